"""What failed for a reason that may have passed is asked again by the next resume; what cannot change is not."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from fourways.benchmarks.registry import suite_of
from fourways.compare import Job, add, judge_run, resume, start, write_suite
from fourways.compare.progress import Silent
from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.engine import Engine, EngineInfo
from fourways.core.errors import CapabilityError, EngineError, UserError
from fourways.core.events import Done, Event
from fourways.core.request import Request
from fourways.core.rows import AnswerRow, FailureRow
from fourways.core.run_files import ROWS_FILE, read_header, read_rows, read_rows_header, read_state
from fourways.engines import open_engine
from fourways.evidence import RowLog
from fourways.evidence.rowlog import SUPERSEDED


class Flaky:
    """A real engine that loses every request whose id holds `lost`."""

    lost = "nothing"
    asked: ClassVar[Counter[str]] = Counter()

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @property
    def info(self) -> EngineInfo:
        return self._engine.info

    async def stream(self, request: Request) -> AsyncIterator[Event | Done]:
        Flaky.asked[request.id] += 1
        if Flaky.lost in request.id:
            raise EngineError("the connection was lost")
        async for event in self._engine.stream(request):
            yield event

    async def clear_caches(self) -> None:
        await self._engine.clear_caches()

    async def close(self) -> None:
        await self._engine.close()


@pytest.fixture
def flaky(monkeypatch: pytest.MonkeyPatch) -> type[Flaky]:
    async def opened(candidate: Candidate, checkpoint: Checkpoint | None, *, concurrency: int) -> Engine:
        return Flaky(await open_engine(candidate, checkpoint, concurrency=concurrency))

    monkeypatch.setattr("fourways.compare.opening.open_engine", opened)
    monkeypatch.setattr(Flaky, "lost", "nothing")
    monkeypatch.setattr(Flaky, "asked", Counter())
    return Flaky


@pytest.fixture
def job(models: Mapping[str, Path], tmp_path: Path) -> Job:
    places = {key: entry.path for key, entry in write_suite(tmp_path / "suite", images=8, seed=3).items()}
    qwen = Candidate("qwen", model=str(models["qwen"]), threads=1)
    suite = suite_of({"mme": places["mme"], "refcoco": places["refcoco"]})
    return Job((qwen,), ("accuracy",), suite, out=tmp_path / "run")


def rows_of(folder: Path) -> list[AnswerRow]:
    return [row for row in read_rows(folder / ROWS_FILE) if isinstance(row, AnswerRow)]


def test_questions_lost_with_a_connection_are_asked_again_and_the_others_are_not(job: Job, flaky: type[Flaky]) -> None:
    flaky.lost = "mme/color"
    first = start(job, Silent())
    lost = [row.sample for row in rows_of(first.folder) if row.status == "failed"]
    assert lost and first.try_again
    flaky.lost = "nothing"
    second = resume(first.folder, None, Silent())
    answers = rows_of(second.folder)
    assert {row.status for row in answers} <= {"ok", "unparsed"} and not second.try_again
    assert len({(row.benchmark, row.sample) for row in answers}) == len(answers) == len(rows_of(first.folder))
    assert (first.folder / SUPERSEDED).read_bytes().count(b"\n") == len(lost)
    assert sorted(name.rpartition("mme/")[2] for name, times in flaky.asked.items() if times > 1) == sorted(lost)


def test_a_picture_that_cannot_be_read_is_not_asked_for_again(job: Job, tmp_path: Path) -> None:
    damaged = sorted((tmp_path / "suite" / "refcoco").rglob("*.jpg"))[0]
    damaged.write_bytes(damaged.read_bytes()[:40])
    first = start(job, Silent())
    assert {row.status for row in rows_of(first.folder)} >= {"failed"} and not first.try_again
    before = (first.folder / ROWS_FILE).read_bytes()
    resume(first.folder, None, Silent())
    assert (first.folder / ROWS_FILE).read_bytes() == before


def test_a_kill_between_reopening_and_setting_aside_loses_nothing(
    job: Job, flaky: type[Flaky], monkeypatch: pytest.MonkeyPatch
) -> None:
    flaky.lost = "mme/color"
    first = start(job, Silent())
    flaky.lost = "nothing"

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("fourways.compare.folder.supersede", killed)
        with pytest.raises(Exception, match="stopped"):
            resume(first.folder, None, Silent())
    assert "qwen" not in read_state(first.folder).finished["accuracy"]
    answers = rows_of(resume(first.folder, None, Silent()).folder)
    assert len({(row.benchmark, row.sample) for row in answers}) == len(answers)
    assert not [row for row in answers if row.status == "failed"]


def test_a_benchmark_that_broke_is_tried_again(job: Job, flaky: type[Flaky], monkeypatch: pytest.MonkeyPatch) -> None:
    from fourways.axes import accuracy
    from fourways.core.errors import BenchmarkFormatError

    real = accuracy.samples_of
    with monkeypatch.context() as patch:

        def broken(entry: object, settings: object) -> object:
            if getattr(entry, "benchmark", None) is job.suite["refcoco"].benchmark:
                raise BenchmarkFormatError("line 3: the disk hiccuped")
            return real(entry, settings)  # type: ignore[arg-type]  # as it was called

        patch.setattr("fourways.axes.accuracy.samples_of", broken)
        first = start(job, Silent())
    assert [failure.where for failure in first.failures] == ["refcoco"] and first.try_again
    asked = dict(flaky.asked)
    second = resume(first.folder, None, Silent())
    assert second.failures == () and not second.try_again
    assert {row.benchmark for row in rows_of(second.folder)} == {"mme", "refcoco"}
    assert all(flaky.asked[name] == times for name, times in asked.items())


def test_what_an_engine_cannot_do_is_undefined_and_not_tried_again(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    async def cannot(candidate: Candidate, checkpoint: Checkpoint | None, *, concurrency: int) -> Engine:
        raise CapabilityError("undefined: this engine has no int4")

    monkeypatch.setattr("fourways.compare.opening.open_engine", cannot)
    outcome = start(replace(job, axes=("accuracy", "memory")), Silent())
    rows = [row for row in read_rows(outcome.folder / ROWS_FILE) if isinstance(row, FailureRow)]
    assert [(row.axis, row.status) for row in rows] == [("accuracy", "undefined"), ("memory", "undefined")]
    assert outcome.failures == () and not outcome.try_again
    assert read_state(outcome.folder).finished == {"accuracy": ["qwen"], "memory": ["qwen"]}
    (record,) = read_header(outcome.folder).candidates
    assert (record.failure, record.failure_status) == ("undefined: this engine has no int4", "undefined")


def test_a_candidate_joins_a_run_whose_questions_failed_and_those_are_asked_again(
    job: Job, flaky: type[Flaky], models: Mapping[str, Path]
) -> None:
    flaky.lost = "qwen/mme/color"
    first = start(job, Silent())
    flaky.lost = "nothing"
    add(first.folder, [Candidate("internvl", model=str(models["internvl"]), threads=1)], ("fourways",), Silent())
    answers = rows_of(first.folder)
    assert not [row for row in answers if row.status == "failed"]
    assert {row.candidate for row in answers} == {"qwen", "internvl"}


def test_a_run_that_still_goes_on_is_left_as_it_is(job: Job, models: Mapping[str, Path]) -> None:
    folder = start(replace(job, limit=2), Silent()).folder
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    internvl = Candidate("internvl", model=str(models["internvl"]), threads=1)
    with RowLog(folder, read_rows_header(folder / ROWS_FILE)):
        with pytest.raises(UserError, match="another process is writing"):
            resume(folder, None, Silent())
        with pytest.raises(UserError, match="another process is writing"):
            add(folder, [internvl], ("fourways",), Silent())
        with pytest.raises(UserError, match="another process is writing"):
            judge_run(folder, Candidate("judge", url="http://127.0.0.1:9/v1"), Silent())
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
