"""run.json says what ran, without secrets, and every change that matters is named."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from fourways.core.candidate import Candidate
from fourways.core.engine import EngineInfo
from fourways.core.errors import UserError
from fourways.core.run import BenchmarkRecord, CandidateRecord, RunHeader
from fourways.core.run_files import read_header
from fourways.evidence import build_header, changes, new_run_id, write_header

HOME = "/home/ada"
BENCHMARK = BenchmarkRecord("mme", "MME", f"{HOME}/data/mme", "ab" * 32, 1, 1, 1, "cd" * 32)


def record(**settings: str) -> CandidateRecord:
    info = EngineInfo("local", "generic", None, frozenset({"generate", "rank"}), {"threads": "1", **settings})
    return CandidateRecord(Candidate("qwen", model=f"{HOME}/models/qwen"), "Arch", {"config.json": "00"}, info)


@pytest.fixture
def header(monkeypatch: pytest.MonkeyPatch) -> RunHeader:
    monkeypatch.setenv("HOME", HOME)
    server = CandidateRecord(Candidate("server", url="http://me:pw@host/v1"), None, {}, None, f"no {HOME}/x")
    return build_header(
        run_id="r",
        argv=["fourways", "compare", "--api-key", "pw"],
        seed=7,
        axes=("accuracy",),
        limit=None,
        quick=False,
        candidates=(record(), server),
        suite=(BENCHMARK,),
        definitions={"acc@1": "right / all"},
    )


def test_a_header_comes_back_from_its_file(header: RunHeader, tmp_path: Path) -> None:
    write_header(header, tmp_path)
    assert read_header(tmp_path) == header


def test_no_secret_and_no_home_folder_stands_in_the_file(header: RunHeader, tmp_path: Path) -> None:
    text = write_header(header, tmp_path).read_text()
    assert HOME not in text
    assert "pw" not in text.replace("[redacted]", "")
    assert header.candidates[0].candidate.model == "~/models/qwen"


def test_machine_versions_and_source_are_recorded(header: RunHeader) -> None:
    assert header.environment.memory_bytes > 0
    assert 1 <= header.environment.cores <= header.environment.cores_machine
    assert {"torch", "transformers", "numpy"} <= set(header.environment.packages)
    assert header.source.version
    assert (header.source.commit is None) == (header.source.dirty is None)
    assert header.clock.residual_ns == 0


def test_the_same_header_of_a_later_hour_may_go_on(header: RunHeader) -> None:
    later = msgspec.structs.replace(header, run_id="s", started="2030-01-01T00:00:00+00:00", argv=("fourways",))
    assert changes(header, later) == []


def test_how_long_a_trial_of_threads_took_is_no_change(header: RunHeader) -> None:
    other = msgspec.structs.replace(header, candidates=(record(threads_measured="1: 3 ms"), header.candidates[1]))
    again = msgspec.structs.replace(header, candidates=(record(threads_measured="1: 4 ms"), header.candidates[1]))
    assert [line for line in changes(other, again) if "qwen" in line] == []


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("seed", 8, "seed: 7 → 8"),
        ("axes", ("accuracy", "memory"), "axes: accuracy → accuracy, memory"),
        ("limit", 5, "limit: None → 5"),
        ("suite", (msgspec.structs.replace(BENCHMARK, path="~/data/mme", sha256="ff"),), "suite[mme].sha256: "),
    ],
)
def test_every_change_that_matters_is_named(header: RunHeader, field: str, value: object, said: str) -> None:
    lines = changes(header, msgspec.structs.replace(header, **{field: value}))
    assert len(lines) == 1
    assert lines[0].startswith(said)


def test_a_changed_checkpoint_is_named_with_its_candidate_and_file(header: RunHeader) -> None:
    changed = msgspec.structs.replace(header.candidates[0], sha256={"config.json": "01"})
    lines = changes(header, msgspec.structs.replace(header, candidates=(changed, header.candidates[1])))
    assert lines == ["candidates[qwen].sha256.config.json: 00 → 01"]


def test_a_changed_machine_is_named(header: RunHeader) -> None:
    other = msgspec.structs.replace(header.environment, cpu="another")
    (line,) = changes(header, msgspec.structs.replace(header, environment=other))
    assert line.startswith("environment.cpu: ")


def test_a_header_of_another_schema_is_not_read_as_if_it_were_ours(header: RunHeader, tmp_path: Path) -> None:
    write_header(msgspec.structs.replace(header, schema="fourways.run/v9"), tmp_path)
    with pytest.raises(UserError, match=r"schema 'fourways\.run/v9', and this version reads fourways\.run/v1"):
        read_header(tmp_path)


def test_a_folder_that_is_no_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no run"):
        read_header(tmp_path)


@pytest.mark.parametrize("names", [["qwen", "llava"], ["a/b c:d", "ü"], ["x" * 300]])
def test_a_run_id_is_a_safe_folder_name(names: list[str]) -> None:
    run_id = new_run_id(names, datetime(2026, 11, 22, 10, 4, 5, tzinfo=UTC))
    assert run_id.startswith("2026-11-22T10-04-05Z-")
    assert len(run_id) <= 120
    assert not set(run_id) & set('/\\:*?"<>| ')


def test_a_busier_hour_and_another_installed_package_are_no_change(header: RunHeader) -> None:
    """A resumed run is not refused for them: nothing that it computes rests on either."""
    machine = header.environment
    readings = tuple(msgspec.structs.replace(one, value="another", advice="rest") for one in machine.readings)
    lock = {**machine.lock, "left-pad": "1.0"}
    later = msgspec.structs.replace(machine, readings=readings, lock=lock)
    assert machine.readings and machine.lock
    assert changes(header, msgspec.structs.replace(header, environment=later)) == []


def test_another_version_of_a_package_that_computes_is_a_change(header: RunHeader) -> None:
    packages = {**header.environment.packages, "torch": "0.0"}
    other = msgspec.structs.replace(header.environment, packages=packages)
    (line,) = changes(header, msgspec.structs.replace(header, environment=other))
    assert line.startswith("environment.packages.torch: ")


@pytest.mark.parametrize("name", ["lock", "clock", "readings", "argv", "traces"])
def test_a_file_of_a_checkpoint_is_compared_whatever_its_name(header: RunHeader, name: str) -> None:
    def with_file(digest: str) -> RunHeader:
        changed = msgspec.structs.replace(header.candidates[0], sha256={name: digest})
        return msgspec.structs.replace(header, candidates=(changed, header.candidates[1]))

    assert changes(with_file("00"), with_file("01")) == [f"candidates[qwen].sha256.{name}: 00 → 01"]


def test_names_in_the_header_are_redacted_like_values(header: RunHeader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", HOME)
    columns = {f"{HOME}/table": "http://ada:pw@host/x"}
    built = build_header(
        run_id="r", argv=[], seed=0, axes=(), limit=None, quick=False, candidates=(),
        suite=(msgspec.structs.replace(BENCHMARK, columns=columns),), definitions={},
    )  # fmt: skip
    assert built.suite[0].columns == {"~/table": "http://[redacted]@host/x"}


def test_two_runs_of_one_process_never_have_one_name() -> None:
    assert new_run_id(["qwen"]) != new_run_id(["qwen"])
