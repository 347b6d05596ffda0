"""A run again from its header: what comes out the same, what is caught, and what cannot be run again."""

from __future__ import annotations

import importlib.util
import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

import jsonschema
import msgspec
import pytest

from fourways.axes import latency
from fourways.benchmarks.mme import MME
from fourways.benchmarks.suite import Suite
from fourways.compare import Job, start
from fourways.compare.progress import Silent
from fourways.compare.reproduce import COMPARISON_FILE, Reproduction, again, compared, reproduce
from fourways.core.candidate import Candidate
from fourways.core.errors import CheckpointError, UserError
from fourways.core.rows import ROWS_SCHEMA, RowsHeader, TermsRow
from fourways.core.run import PartRecord, Shard, ThreadChoice
from fourways.core.run_files import ROWS_FILE, SUMMARY_FILE, read_header, write_whole
from fourways.core.verdict import AxisVerdict, Ground
from fourways.engines.local.worker import Worker
from fourways.evidence import load_schema, write_header

_spec = importlib.util.spec_from_file_location("bench_slowed", Path(__file__).parents[2] / "bench" / "slowed.py")
assert _spec is not None and _spec.loader is not None
slowed = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(slowed)

QUICK = 8
"""Questions a benchmark."""


def verdict(made: Reproduction, ground: Ground) -> AxisVerdict:
    return next(one for one in made.comparison.verdicts if one.ground == ground)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, models: Mapping[str, Path]) -> Path:
    """A checkpoint of this file's own, which a test may change and put back."""
    return shutil.copytree(models["qwen"], tmp_path_factory.mktemp("model") / "qwen")


@pytest.fixture(scope="module")
def answered(model: Path, tmp_path_factory: pytest.TempPathFactory, suite_folder: Path) -> Path:
    """A finished run of the accuracy axis."""
    from fourways.compare import load_suite

    suite = load_suite([f"mme={suite_folder / 'mme' / 'MME_Benchmark_release_version'}"])
    candidate = Candidate("qwen", model=str(model), threads=1)
    folder = tmp_path_factory.mktemp("answered")
    return start(Job((candidate,), ("accuracy",), suite, limit=QUICK, out=folder / "run"), Silent()).folder


@pytest.fixture
def changed(answered: Path, tmp_path: Path) -> Callable[..., Path]:
    """A copy of the run with another header."""

    def make(**changes: object) -> Path:
        folder = shutil.copytree(answered, tmp_path / "changed")
        write_header(msgspec.structs.replace(read_header(answered), **changes), folder)
        return folder

    return make


def test_an_unchanged_run_is_reproduced_and_leaves_its_comparison(answered: Path, tmp_path: Path) -> None:
    made = reproduce(answered, show=Silent(), out=tmp_path / "again", argv=("fourways", "reproduce"))
    assert {one.ground: one.verdict for one in made.comparison.verdicts} == {
        "hashes": "reproduced",
        "accuracy": "reproduced",
    }
    assert not made.failed
    written = json.loads((tmp_path / "again" / COMPARISON_FILE).read_bytes())
    jsonschema.Draft202012Validator(load_schema("comparison")).validate(written)
    old, new = read_header(answered), read_header(tmp_path / "again" / "run")
    assert (new.seed, new.limit, new.axes) == (old.seed, old.limit, old.axes)
    assert new.argv == ("fourways", "reproduce")


def test_another_checkpoint_under_the_same_name_is_caught_by_its_digest_and_its_answers(
    answered: Path, model: Path, tmp_path: Path
) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    weights = model / "model.safetensors"
    before = weights.read_bytes()
    torch.manual_seed(0)
    noisy = {name: t + 0.5 * t.std() * torch.randn_like(t) for name, t in load_file(weights).items()}
    try:
        save_file(noisy, weights, metadata={"format": "pt"})
        made = reproduce(answered, show=Silent(), out=tmp_path / "again")
    finally:
        weights.write_bytes(before)
    assert made.failed
    assert verdict(made, "hashes").verdict == "not reproduced"
    assert "checkpoint: model.safetensors" in verdict(made, "hashes").reasons[0]
    assert verdict(made, "accuracy").verdict == "not reproduced"


def test_another_prompt_version_is_caught(answered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    prompt = MME.prompt
    monkeypatch.setattr(MME, "prompt_version", 2)
    monkeypatch.setattr(MME, "prompt", lambda self, sample, dialect: f"Look. {prompt(self, sample, dialect)}")
    made = reproduce(answered, show=Silent(), out=tmp_path / "again")
    assert "mme: prompt version: 1 → 2" in verdict(made, "hashes").reasons
    assert verdict(made, "accuracy").verdict == "not reproduced"
    assert "8 prompts were not the same text" in verdict(made, "accuracy").reasons[0]


def test_a_scorer_that_was_changed_in_silence_is_caught_by_replies_that_are_the_same(
    answered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MME, "score", lambda self, sample, parsed: 0.5)
    made = reproduce(answered, show=Silent(), out=tmp_path / "again")
    assert verdict(made, "hashes").verdict == "reproduced"
    found = verdict(made, "accuracy")
    assert found.verdict == "not reproduced"
    assert "a rule changed" in found.reasons[0]


def test_an_engine_that_became_slower_is_caught(
    model: Path, suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It really is slower: every pass over the model takes 1.8 times its processor time. Judged by one start;
    bench/reproduce.py has the whole axis, three starts, a factor of 1.5, and engines that are as they were."""
    for name, value in (("PICTURES_QUICK", 6), ("BLOCK", 3), ("WARM_UP", 1), ("CONCURRENCIES", (1,))):
        monkeypatch.setattr(latency, name, value)
    candidate = Candidate("qwen", model=str(model), threads=1)
    old = start(Job((candidate,), ("latency",), suite, quick=True, out=tmp_path / "old"), Silent()).folder
    for name in slowed.PASSES:
        monkeypatch.setattr(Worker, name, slowed.slowed(getattr(Worker, name), 1.8))
    found = verdict(reproduce(old, show=Silent(), out=tmp_path / "slow", starts=1), "latency")
    assert found.statistics["undisturbed step.describe-32@2.closed 1.cold.ratio"] > 1.3
    # On a machine that became as much slower itself in between, this is all that can be said.
    assert found.verdict == "not reproduced" or found.statistics["machine.slower"] > 1.15, found.reasons


def test_further_starts_of_the_latency_axis_lie_beside_the_re_run(
    answered: Path, changed: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[tuple[str, ...]] = []

    def note(job: Job, show: object, like: object) -> None:
        assert job.out is not None
        started.append((job.out.name, *job.axes))
        shutil.copytree(answered, job.out)
        write_header(msgspec.structs.replace(read_header(answered), run_id=job.out.name), job.out)

    monkeypatch.setattr("fourways.compare.reproduce.start", note)
    folder = changed(axes=("accuracy", "latency"))
    reproduce(folder, show=Silent(), out=tmp_path / "again", starts=3)
    assert started == [("run", "accuracy", "latency"), ("latency-2", "latency"), ("latency-3", "latency")]
    reproduce(folder, show=Silent(), out=tmp_path / "one", axes=("accuracy",), starts=3)
    assert started[3:] == [("run", "accuracy")]


def test_the_recorded_number_of_threads_is_used_again_without_a_trial(
    answered: Path, changed: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = read_header(answered)
    record = header.candidates[0]
    free = msgspec.structs.replace(record, candidate=msgspec.structs.replace(record.candidate, threads=None))
    choice = ThreadChoice(1, "qwen", "1: 3.0 ms, 2: 9.9 ms", "a rule")
    folder = changed(candidates=(free,), thread_choice=choice)
    monkeypatch.setattr("fourways.engines.local.engine.choose_threads", _no_trial)
    made = reproduce(folder, show=Silent(), out=tmp_path / "again")
    assert read_header(tmp_path / "again" / "run").thread_choice == choice
    assert not made.failed


def _no_trial(*_: object) -> tuple[int, str]:
    raise AssertionError("a trial was made")


def test_re_runs_that_are_there_are_judged_without_running_anything(
    answered: Path, changed: Callable[..., Path]
) -> None:
    made = compared(answered, [changed(run_id="another")])
    assert {one.verdict for one in made.comparison.verdicts} == {"reproduced"}
    assert made.comparison.differences == ()


def test_a_run_is_not_its_own_re_run_and_no_start_counts_twice(answered: Path, changed: Callable[..., Path]) -> None:
    with pytest.raises(UserError, match="is the same run as"):
        compared(answered, [answered])
    other = changed(run_id="another")
    with pytest.raises(UserError, match="is the same run as"):
        compared(answered, [other, other])


def test_a_run_whose_pictures_were_kept_out_keeps_them_out_again(answered: Path, changed: Callable[..., Path]) -> None:
    folder = changed(argv=("fourways", "compare", "--no-images"))
    job = again(folder, read_header(folder), argv=("fourways", "reproduce"))
    assert not job.show_images
    assert job.argv == ("fourways", "reproduce", "--no-images")


def test_credentials_that_are_not_kept_are_named_before_anything_runs(
    answered: Path, changed: Callable[..., Path]
) -> None:
    record = read_header(answered).candidates[0]
    served = Candidate("qwen", url="https://[redacted]@host/v1", device="")
    folder = changed(candidates=(msgspec.structs.replace(record, candidate=served),))
    with pytest.raises(UserError, match="the url of 'qwen' held something secret"):
        again(folder, read_header(folder))


def test_data_that_is_gone_is_named_with_where_it_lay(answered: Path, changed: Callable[..., Path]) -> None:
    gone = msgspec.structs.replace(read_header(answered).suite[0], path="/nowhere/mme", sha256="7" * 64)
    folder = changed(suite=(gone,))
    with pytest.raises(UserError, match="the data of mme is gone: it lay at /nowhere/mme"):
        again(folder, read_header(folder))


def test_a_model_that_is_gone_is_named(answered: Path, changed: Callable[..., Path], tmp_path: Path) -> None:
    record = read_header(answered).candidates[0]
    gone = msgspec.structs.replace(record.candidate, model="/nowhere/model")
    folder = changed(candidates=(msgspec.structs.replace(record, candidate=gone),))
    with pytest.raises(CheckpointError, match="/nowhere/model"):
        reproduce(folder, show=Silent(), out=tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_merged_unfinished_and_load_runs_say_what_to_do_instead(answered: Path, changed: Callable[..., Path]) -> None:
    header = read_header(answered)
    part = PartRecord("part", header.started, Shard(1, 1), header.environment)
    folder = changed(parts=(part,))
    with pytest.raises(UserError, match="merged from 1 shards") as merged:
        again(folder, read_header(folder))
    assert "fourways diff" in (merged.value.hint or "")
    write_header(header, folder)
    (folder / SUMMARY_FILE).unlink()
    with pytest.raises(UserError, match="is not finished") as unfinished:
        again(folder, header)
    assert "--resume" in (unfinished.value.hint or "")
    first = RowsHeader(ROWS_SCHEMA, header.run_id, None, None, None)
    lines = (first, TermsRow("qwen", ()))
    write_whole(folder / ROWS_FILE, b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    with pytest.raises(UserError, match="is a run of `fourways load`"):
        again(folder, header)


def test_an_axis_that_the_run_does_not_have_is_named(answered: Path) -> None:
    with pytest.raises(UserError, match="has no memory axis"):
        again(answered, read_header(answered), ("memory",))


def test_a_folder_in_use_is_not_written_to(answered: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="not empty"):
        reproduce(answered, show=Silent(), out=tmp_path)
