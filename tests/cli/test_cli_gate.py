"""`fourways gate`: exit codes, the table, JSON, and what cannot be compared."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from fourways.cli.gate import parse_drop
from fourways.cli.main import app
from fourways.core.candidate import Candidate
from fourways.core.errors import UserError
from fourways.core.rows import ROWS_SCHEMA, AnswerRow, FailureRow, Row, RowsHeader
from fourways.core.run import (
    RUN_SCHEMA,
    BenchmarkRecord,
    CandidateRecord,
    ClockRecord,
    Environment,
    RunHeader,
    RunState,
    SourceState,
)
from fourways.core.run_files import STATE_FILE

MakeRun = Callable[..., Path]


def record(key: str, **more: object) -> BenchmarkRecord:
    made = BenchmarkRecord(key, key, f"/data/{key}", "5" * 64, 1, 1, 1, "0" * 64, "val")
    return msgspec.structs.replace(made, **more)


def answers(benchmark: str, right: float, n: int = 400, candidate: str = "a", seed: int = 0) -> list[Row]:
    """Samples in a fixed order of difficulty with a little luck: a lower share loses some of what a higher one has."""
    luck = random.Random(f"{benchmark} {seed}")
    rows: list[Row] = []
    for i in range(n):
        hit = luck.random() < right
        rows.append(
            AnswerRow(
                candidate=candidate, benchmark=benchmark, sample=str(i), group=str(i), image=f"{benchmark}{i}",
                category="existence" if benchmark == "mme" else "", question="q",
                gold=("yes",) * (10 if benchmark == "vqav2" else 1), reply="r", parsed="yes" if hit else "no",
                score=float(hit), status="ok", finish_reason="stop", mean_logprob=None, output_tokens=1, visuals=(),
                prompt_sha256="", seed=0,
            )
        )  # fmt: skip
    return rows


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Writes a run folder as `fourways compare` leaves it."""

    def make(
        name: str,
        rows: list[Row],
        suite: tuple[BenchmarkRecord, ...] | None = None,
        candidates: tuple[str, ...] = ("a",),
        finished: tuple[str, ...] | None = None,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        keys = dict.fromkeys(row.benchmark for row in rows if isinstance(row, AnswerRow))
        header = RunHeader(
            schema=RUN_SCHEMA, run_id=name, started="2026-11-22T10:00:00+00:00", argv=("fourways", "compare"),
            source=SourceState("0"), seed=7, axes=("accuracy",), limit=None, quick=False,
            candidates=tuple(CandidateRecord(Candidate(one, model=one), None, {}, None) for one in candidates),
            suite=tuple(record(key) for key in keys) if suite is None else suite, definitions={},
            environment=Environment("cpu", 1, 1, 1, "Linux", "6", "3.11", {}), clock=ClockRecord("c", 1.0, 0.0, ""),
        )  # fmt: skip
        (folder / "run.json").write_bytes(msgspec.json.encode(header))
        lines = [RowsHeader(ROWS_SCHEMA, name, None, None, None), *rows]
        (folder / "rows.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
        state = RunState(finished={"accuracy": list(candidates if finished is None else finished)})
        (folder / "state.json").write_bytes(msgspec.json.encode(state))
        return folder

    return make


def run_gate(new: Path, old: Path, *more: str, drop: str = "1pt") -> Result:
    return CliRunner().invoke(app, ["gate", str(new), "--baseline", str(old), "--max-drop", drop, *more])


def refused(new: Path, old: Path, *more: str, drop: str = "1pt") -> str:
    """The message of a comparison that cannot be made; its exit code is 2."""
    result = run_gate(new, old, *more, drop=drop)
    assert isinstance(result.exception, UserError)
    assert result.exception.exit_code == 2
    return result.exception.message


def test_the_same_answers_pass(make_run: MakeRun) -> None:
    rows = answers("vqav2", 0.8)
    result = run_gate(make_run("new", rows), make_run("old", rows), drop="0pt")
    assert result.exit_code == 0
    assert "every answer scored the same" in " ".join(result.stdout.split())


def test_a_larger_drop_fails_and_says_by_how_much(make_run: MakeRun) -> None:
    new, old = make_run("new", answers("vqav2", 0.7)), make_run("old", answers("vqav2", 0.8))
    result = run_gate(new, old, "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    (one,) = said["compared"]
    expected = [
        sum(float(row["score"]) for row in map(json.loads, (folder / "rows.jsonl").read_text().splitlines()[1:])) / 400
        for folder in (old, new)
    ]
    assert [one["baseline"], one["run"]] == pytest.approx(expected)
    assert one["difference"] == pytest.approx(expected[1] - expected[0])
    assert one["low"] < one["difference"] < one["high"] < 0
    assert one["dropped"] and not said["passed"]
    assert one["verdict"].startswith("dropped by ") and "chance" not in one["verdict"]


def test_a_drop_of_exactly_what_is_allowed_passes(make_run: MakeRun) -> None:
    old = answers("vqav2", 1.0, n=100)
    new = [msgspec.structs.replace(row, score=0.0) if i < 3 else row for i, row in enumerate(old)]
    folders = make_run("new", new), make_run("old", old)
    assert run_gate(*folders, drop="3pt").exit_code == 0
    assert run_gate(*folders, drop="2.9pt").exit_code == 1


def test_an_n_that_could_miss_the_drop_says_so(make_run: MakeRun) -> None:
    new, old = (make_run(name, answers("vqav2", 0.8, n=60, seed=i)) for i, name in enumerate(("new", "old")))
    (one,) = json.loads(run_gate(new, old, "--json", drop="15pt").stdout)["compared"]
    assert one["sees"] > one["allowed"]
    assert one["verdict"].startswith("within 15.0 pp, but this n could miss such a drop: it sees ")
    (one,) = json.loads(run_gate(new, old, "--json", drop="60pt").stdout)["compared"]
    assert one["verdict"].startswith("within 60.0 pp; this n sees ")


def test_several_benchmarks_are_judged_one_by_one_and_together(make_run: MakeRun) -> None:
    good = answers("realworldqa", 0.8)
    new, old = (make_run(name, [*answers("vqav2", share), *good]) for name, share in (("new", 0.7), ("old", 0.8)))
    result = run_gate(new, old, "--json", drop="6pt")
    assert result.exit_code == 1
    found = {one["benchmark"]: one for one in json.loads(result.stdout)["compared"]}
    assert [found[key]["dropped"] for key in ("vqav2", "realworldqa", None)] == [True, False, False]
    assert found[None]["difference"] == pytest.approx(
        (found["vqav2"]["difference"] + found["realworldqa"]["difference"]) / 2
    )


def test_a_point_of_mme_is_a_hundredth_of_its_maximum(make_run: MakeRun) -> None:
    new, old = (make_run(name, answers("mme", share)) for name, share in (("new", 0.79), ("old", 0.8)))
    (one,) = json.loads(run_gate(new, old, "--json", drop="1%").stdout)["compared"]
    assert one["unit"] == "points of 200"
    assert one["allowed"] == pytest.approx(2.0)
    assert " of 200" in run_gate(new, old, drop="1%").stdout


def test_only_samples_that_both_runs_asked_count(make_run: MakeRun) -> None:
    old = answers("vqav2", 0.8, n=100)
    new = [*old[:50], *answers("vqav2", 0.0, n=200)[150:]]
    said = json.loads(run_gate(make_run("new", new), make_run("old", old), "--json").stdout)
    (one,) = said["compared"]
    assert (one["difference"], one["n"]) == (0.0, 50)


def test_a_run_that_asked_fewer_samples_does_not_pass_silently(make_run: MakeRun) -> None:
    rows = answers("vqav2", 0.8, n=100)
    few, all_ = make_run("few", rows[:20]), make_run("all", rows)
    for new, old, asked in ((few, all_, "few asked 20"), (all_, few, "all asked 100")):
        found = run_gate(new, old)
        assert found.exit_code == 0
        said = " ".join(found.stderr.split())
        assert "vqav2: all but the 20 samples that both asked" in said and asked in said
    assert "all but" not in run_gate(all_, all_).stderr


def test_a_candidate_that_vanished_is_named(make_run: MakeRun) -> None:
    rows = answers("vqav2", 0.8, n=100)
    new = make_run("new", rows)
    old = make_run("old", [*rows, *answers("vqav2", 0.8, n=100, candidate="b")], candidates=("a", "b"))
    assert "not compared: b is only in" in " ".join(run_gate(new, old).stderr.split())
    assert json.loads(run_gate(new, old, "--json").stdout)["notes"] == [f"b is only in {old}"]
    assert json.loads(run_gate(new, old, "--json", "--candidate", "a").stdout)["notes"] == []


def test_runs_without_a_common_sample_cannot_be_compared(make_run: MakeRun) -> None:
    rows = answers("vqav2", 0.8)
    message = refused(make_run("new", rows[:50]), make_run("old", rows[50:]))
    assert "asked no sample in common" in message and "vqav2" in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"sha256": "9" * 64}, "vqav2: the data differs"),
        ({"parser_version": 2}, "parser version 2"),
        ({"scorer_version": 3}, "scorer version 3"),
        ({"prompt_version": 4}, "prompt version 4"),
    ],
)
def test_other_data_and_other_rules_are_refused_by_name(
    make_run: MakeRun, change: dict[str, object], said: str
) -> None:
    rows = answers("vqav2", 0.8)
    assert said in refused(make_run("new", rows, (record("vqav2", **change),)), make_run("old", rows))


def test_a_benchmark_that_the_run_lost_is_no_pass(make_run: MakeRun) -> None:
    both = [*answers("vqav2", 0.8), *answers("realworldqa", 0.8)]
    old = make_run("old", both)
    gone = make_run("gone", answers("vqav2", 0.8))
    broken = make_run(
        "broken", [*answers("vqav2", 0.8), FailureRow("a", "accuracy", "benchmark", "realworldqa", "no such file")]
    )
    assert "did not ask a the benchmark realworldqa" in refused(gone, old)
    assert "lost realworldqa of a: no such file" in refused(broken, old)


def test_what_the_baseline_lost_is_named_and_left_out(make_run: MakeRun) -> None:
    both = [*answers("vqav2", 0.8), *answers("realworldqa", 0.8)]
    half = [*both[:500], FailureRow("a", "accuracy", "benchmark", "realworldqa", "no such file")]
    result = run_gate(make_run("new", both), make_run("old", half), "--json")
    said = json.loads(result.stdout)
    assert [one["benchmark"] for one in said["compared"]] == ["vqav2"]
    assert "realworldqa" in said["notes"][0] and said["notes"][0].endswith("lost it")
    gone = make_run("gone", [*both, FailureRow("a", "accuracy", "axis", "", "the server is gone")])
    assert "the server is gone" in refused(gone, make_run("other", both))


def test_a_run_that_is_not_finished_is_refused(make_run: MakeRun) -> None:
    rows = answers("vqav2", 0.8)
    old = make_run("old", rows)
    assert "is not finished" in refused(make_run("new", rows, finished=()), old)
    killed = make_run("killed", rows[:200])
    (killed / STATE_FILE).unlink()
    assert "is not finished" in refused(killed, old)
    assert "is not finished" in refused(old, killed)


def test_candidates_are_found_by_name_alone_or_as_told(make_run: MakeRun) -> None:
    old = make_run("old", answers("vqav2", 0.8, candidate="bf16"), candidates=("bf16",))
    new = make_run("new", answers("vqav2", 0.8, candidate="int4"), candidates=("int4",))
    two = make_run(
        "two",
        [*answers("vqav2", 0.8, candidate="int4"), *answers("vqav2", 0.2, candidate="int8")],
        candidates=("int4", "int8"),
    )
    assert run_gate(new, old).exit_code == 0
    assert "no candidate is in both" in refused(two, old)
    assert run_gate(two, old, "--candidate", "int4=bf16").exit_code == 0
    assert run_gate(two, old, "--candidate", "int8=bf16").exit_code == 1
    assert "has no candidate 'int3'" in refused(two, old, "--candidate", "int3=bf16")
    assert [one["candidate"] for one in json.loads(run_gate(two, two, "--json").stdout)["compared"]] == ["int4", "int8"]


@pytest.mark.parametrize(
    ("text", "share"), [("1pt", 0.01), ("0.5pp", 0.005), ("2 %", 0.02), (".5pt", 0.005), ("0pt", 0.0)]
)
def test_a_drop_is_points_of_a_hundred(text: str, share: float) -> None:
    assert parse_drop(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["0.01", "1", "", "-1pt", "1pt pt", "nanpt", "1e9pt", "101pt", "pt"])
def test_a_drop_without_a_clear_unit_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--max-drop"):
        parse_drop(text)


def test_a_folder_without_a_run_is_the_users_mistake(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "holds no run" in refused(tmp_path / "empty", make_run("old", answers("vqav2", 0.8)))
