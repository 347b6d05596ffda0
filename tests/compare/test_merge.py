"""Shards asked apart and merged are the run that was never divided; anything less is refused and named."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from fourways.benchmarks.registry import suite_of
from fourways.benchmarks.suite import Suite
from fourways.compare import Job, Outcome, Scale, job_of, merge, parse_shard, resume, start
from fourways.compare.progress import Silent
from fourways.core.candidate import Candidate
from fourways.core.errors import UserError
from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow, FailureRow, Row
from fourways.core.run import RunHeader, Shard, asked_sha256
from fourways.core.run_files import ROWS_FILE, STATE_FILE, read_header, read_rows
from fourways.evidence import RowLog, RowsNotWritten, write_header

OF = 3
Same = Callable[[Sequence[Figure], Sequence[Figure]], None]


@pytest.fixture(scope="module")
def job(models: Mapping[str, Path], suite_folder: Path) -> Job:
    from fourways.compare import load_suite

    whole = load_suite([str(suite_folder)])
    suite = {key: whole[key] for key in ("mme", "mmbench_en", "refcoco")}
    return Job((Candidate("qwen", model=str(models["qwen"]), threads=1),), ("accuracy",), suite)


@pytest.fixture(scope="module")
def undivided(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return start(replace(job, out=tmp_path_factory.mktemp("whole") / "run"), Silent())


@pytest.fixture(scope="module")
def made(job: Job, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The run of each shard; the last one by two processes."""
    home = tmp_path_factory.mktemp("shards")
    jobs = [replace(job, shard=Shard(index, OF), out=home / str(index)) for index in range(1, OF + 1)]
    jobs[-1] = replace(jobs[-1], scale=Scale(replicas=2))
    return [start(one, Silent()).folder for one in jobs]


@pytest.fixture
def shards(made: list[Path], tmp_path: Path) -> list[Path]:
    """Copies to work on."""
    return [shutil.copytree(folder, tmp_path / folder.name) for folder in made]


def answers(folder: Path) -> dict[tuple[str, str], tuple[object, float]]:
    rows = [row for row in read_rows(folder / ROWS_FILE) if isinstance(row, AnswerRow)]
    assert max(Counter((row.benchmark, row.sample) for row in rows).values()) == 1
    return {(row.benchmark, row.sample): (row.parsed, row.score) for row in rows}


def refused(tmp_path: Path, shards: Sequence[Path], said: str) -> UserError:
    with pytest.raises(UserError, match=said) as caught:
        merge(tmp_path / "out", shards, ("fourways",), Silent())
    assert not (tmp_path / "out").exists()
    return caught.value


def change(folder: Path, changed: Callable[[RunHeader], RunHeader]) -> None:
    write_header(changed(read_header(folder)), folder)


def test_a_header_says_which_samples_the_run_asks(undivided: Outcome, shards: list[Path], tmp_path: Path) -> None:
    for folder in (undivided.folder, *shards):
        given = list(answers(folder))
        for record in read_header(folder).suite:
            samples = [sample for benchmark, sample in given if benchmark == record.key]
            assert (record.asked, record.asked_sha256) == (len(samples), asked_sha256(samples))
    merged = read_header(merge(tmp_path / "out", shards, ("fourways", "merge"), Silent()).folder)
    assert [(record.asked, record.asked_sha256) for record in merged.suite] == [
        (record.asked, None) for record in read_header(undivided.folder).suite
    ]


def test_merged_shards_have_the_answers_and_figures_of_the_whole(
    shards: list[Path], undivided: Outcome, tmp_path: Path, same_figures: Same
) -> None:
    outcome = merge(tmp_path / "out", shards[::-1], ("fourways", "merge"), Silent())
    assert answers(outcome.folder) == answers(undivided.folder)
    same_figures(outcome.summary.figures, undivided.summary.figures)
    assert outcome.report.is_file() and not outcome.failures
    header = read_header(outcome.folder)
    assert header.shard is None
    assert [(part.shard.index, part.run_id) for part in header.parts] == [
        (index, read_header(folder).run_id) for index, folder in enumerate(shards, start=1)
    ]


def test_a_shard_says_in_its_header_what_it_is_and_asks(made: list[Path], undivided: Outcome) -> None:
    records = [read_header(folder).shard for folder in made]
    total = Counter(key for key, _ in answers(undivided.folder))
    assert all(record is not None and record.drawn == total for record in records)
    assert sum((Counter(record.asked) for record in records if record is not None), Counter()) == total
    assert job_of(read_header(made[1])).shard == Shard(2, OF)


def test_one_request_at_a_time_gives_the_answers_of_many(
    job: Job, undivided: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, same_figures: Same
) -> None:
    monkeypatch.setattr("fourways.axes.accuracy.WINDOW", 1)
    single = start(replace(job, out=tmp_path / "single"), Silent())
    assert answers(single.folder) == answers(undivided.folder)
    same_figures(single.summary.figures, undivided.summary.figures)


def test_missing_shards_are_named(shards: list[Path], tmp_path: Path) -> None:
    error = refused(tmp_path, shards[1:2], "shards 1 and 3 of 3 are not here")
    assert "--shard 1/3" in (error.hint or "")
    refused(tmp_path, shards[:2], "shard 3 of 3 is not here")


def test_a_shard_that_is_there_twice_is_named(shards: list[Path], tmp_path: Path) -> None:
    again = shutil.copytree(shards[0], tmp_path / "again")
    refused(tmp_path, [*shards, again], r"shard 1/3 .* is here twice")


def test_an_unfinished_shard_is_refused_with_the_way_to_finish_it(shards: list[Path], tmp_path: Path) -> None:
    (shards[1] / STATE_FILE).unlink()
    error = refused(tmp_path, shards, r"shard 2/3 .* is not finished: qwen")
    assert f"fourways compare --resume {shards[1]}" in (error.hint or "")
    resume(shards[1], None, Silent())
    merge(tmp_path / "out", shards, ("fourways",), Silent())


def test_a_run_of_no_shard_is_refused(shards: list[Path], undivided: Outcome, tmp_path: Path) -> None:
    refused(tmp_path, [*shards[:2], undivided.folder], "is the run of no shard")


def test_other_weights_are_named(shards: list[Path], tmp_path: Path) -> None:
    def changed(header: RunHeader) -> RunHeader:
        (record,) = header.candidates
        other = msgspec.structs.replace(record, sha256={**record.sha256, "model.safetensors": "00"})
        return msgspec.structs.replace(header, candidates=(other,))

    change(shards[2], changed)
    refused(tmp_path, shards, r"shard 3/3 .* is not of the same run as shard 1/3 .*weights\.model\.safetensors")


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [("seed", 8, "seed: 7 → 8"), ("limit", 9, "limit: None → 9")],
)
def test_another_configuration_is_named(shards: list[Path], tmp_path: Path, field: str, value: int, said: str) -> None:
    change(shards[1], lambda header: msgspec.structs.replace(header, **{field: value}))
    refused(tmp_path, shards, said)


def test_other_packages_data_or_engine_settings_are_named(shards: list[Path], tmp_path: Path) -> None:
    def changed(header: RunHeader) -> RunHeader:
        packages = {**header.environment.packages, "torch": "1.0"}
        suite = tuple(msgspec.structs.replace(one, sha256="00") for one in header.suite)
        return msgspec.structs.replace(
            header, environment=msgspec.structs.replace(header.environment, packages=packages), suite=suite
        )

    change(shards[1], changed)
    error = refused(tmp_path, shards, r"packages\.torch: .* → 1\.0")
    assert "mme" in error.message


def test_another_host_and_thread_count_make_no_difference(shards: list[Path], tmp_path: Path) -> None:
    def changed(header: RunHeader) -> RunHeader:
        (record,) = header.candidates
        assert record.engine is not None
        settings = {**record.engine.settings, "threads": "16", "kv_bytes": "1"}
        engine = msgspec.structs.replace(record.engine, settings=settings)
        elsewhere = msgspec.structs.replace(record.candidate, model="/elsewhere/qwen", threads=16)
        host = msgspec.structs.replace(header.environment, cpu="another", cores=64, kernel="1")
        moved = msgspec.structs.replace(record, candidate=elsewhere, engine=engine)
        return msgspec.structs.replace(header, candidates=(moved,), environment=host)

    change(shards[1], changed)
    outcome = merge(tmp_path / "out", shards, ("fourways",), Silent())
    assert [part.environment.cores for part in read_header(outcome.folder).parts][1] == 64


@pytest.mark.parametrize("edit", ["lost", "doubled"])
def test_a_row_too_few_or_too_many_is_named(shards: list[Path], tmp_path: Path, edit: str) -> None:
    path = shards[0] / ROWS_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1] if edit == "lost" else [*lines, lines[-1]]))
    refused(tmp_path, shards, "answers of qwen on" if edit == "lost" else "was asked of qwen twice in shard 1/3")


def test_a_row_that_could_not_be_kept_excuses_itself_and_no_other(shards: list[Path], tmp_path: Path) -> None:
    path = shards[0] / ROWS_FILE
    lines = path.read_bytes().splitlines(keepends=True)
    unfit = msgspec.json.encode(FailureRow("qwen", "accuracy", "sample", "x", "a number is not finite")) + b"\n"
    path.write_bytes(b"".join([*lines[:-2], unfit]))
    refused(tmp_path, shards, "answers of qwen on")
    path.write_bytes(b"".join([*lines[:-1], unfit]))
    merge(tmp_path / "out", shards, ("fourways",), Silent())


@pytest.mark.parametrize("stop", [KeyboardInterrupt, OSError(28, "No space left on device")])
def test_a_merge_that_is_stopped_leaves_nothing_and_can_be_made_again(
    shards: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException] | BaseException
) -> None:
    append, told = RowLog.append, 0

    def stops(log: RowLog, row: Row) -> None:
        nonlocal told
        told += 1
        if told == 40:
            try:
                raise stop
            except OSError as error:
                raise RowsNotWritten("x") from error
        append(log, row)

    with monkeypatch.context() as patch, pytest.raises((KeyboardInterrupt, RowsNotWritten)) as caught:
        patch.setattr(RowLog, "append", stops)
        merge(tmp_path / "out", shards, ("fourways",), Silent())
    if isinstance(caught.value, RowsNotWritten):
        assert "No space left" in caught.value.message and "merge again" in (caught.value.hint or "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "2", "3"]
    assert answers(merge(tmp_path / "out", shards, ("fourways",), Silent()).folder)


def test_a_row_of_another_shard_is_named(shards: list[Path], tmp_path: Path) -> None:
    own, others = ((folder / ROWS_FILE).read_bytes().splitlines(keepends=True) for folder in shards[:2])
    (shards[0] / ROWS_FILE).write_bytes(b"".join([*own[:-1], others[-1]]))
    refused(tmp_path, shards, r"in shard 1/3 .* and in shard 2/3")


def test_a_candidate_that_no_shard_could_open_is_lost_in_the_merged_run_too(suite: Suite, tmp_path: Path) -> None:
    gone = Candidate("gone", url="http://127.0.0.1:9/v1")
    one = Job((gone,), ("accuracy",), suite)
    folders = [
        start(replace(one, shard=Shard(index, 2), out=tmp_path / str(index)), Silent()).folder for index in (1, 2)
    ]
    outcome = merge(tmp_path / "out", folders, ("fourways",), Silent())
    assert [failure.candidate for failure in outcome.failures] == ["gone"]
    assert len([row for row in read_rows(outcome.folder / ROWS_FILE) if isinstance(row, FailureRow)]) == 1


def test_a_merged_run_is_not_gone_on_with(shards: list[Path], tmp_path: Path) -> None:
    merge(tmp_path / "out", shards, ("fourways",), Silent())
    with pytest.raises(UserError, match="was merged from shards"):
        resume(tmp_path / "out", None, Silent())


def test_a_shard_is_not_gone_on_with_as_another_one(shards: list[Path]) -> None:
    other = replace(job_of(read_header(shards[0])), shard=Shard(2, OF))
    with pytest.raises(UserError, match=r"shard\.shard\.index: 1 → 2"):
        resume(shards[0], other, Silent())


def test_only_accuracy_can_be_sharded(job: Job, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="latency and memory cannot be divided"):
        start(replace(job, axes=("accuracy", "latency", "memory"), shard=Shard(1, 2), out=tmp_path / "run"), Silent())


@pytest.mark.parametrize("text", ["3", "0/3", "4/3", "a/b", "1/0", "-1/3", "1/2/3"])
def test_what_is_no_part_of_a_whole_is_no_shard(text: str) -> None:
    with pytest.raises(UserError, match="--shard"):
        parse_shard(text)


def test_a_shard_with_nothing_to_ask_is_a_finished_run(suite_folder: Path, job: Job, tmp_path: Path) -> None:
    mme = suite_of({"mme": suite_folder / "mme" / "MME_Benchmark_release_version"})
    few = replace(job, suite=mme, limit=2)
    folders = [
        start(replace(few, shard=Shard(index, 2), out=tmp_path / str(index)), Silent()).folder for index in (1, 2)
    ]
    assert sorted(sum(1 for _ in read_rows(folder / ROWS_FILE)) for folder in folders) == [0, 2]
    merge(tmp_path / "out", folders, ("fourways",), Silent())
