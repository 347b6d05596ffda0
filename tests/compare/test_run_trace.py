"""A run whose latency was measured has a trace beside its rows, and its header says what is in it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from fourways.axes import latency
from fourways.compare import add, resume, start
from fourways.compare import tracing as tracing_of_runs
from fourways.compare.job import Job
from fourways.compare.progress import Silent
from fourways.compare.tracing import INTERRUPTED
from fourways.core.candidate import Candidate
from fourways.core.errors import UserError
from fourways.core.rows import RequestRow, Row
from fourways.core.run_files import ROWS_FILE, STATE_FILE, TRACE_FILE, read_header, read_rows


async def _no_limits(*_: object) -> AsyncIterator[Row]:
    """What the machine could do is not looked for here."""
    for row in ():
        yield row


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Four pictures a part, and two to warm up."""
    monkeypatch.setattr(latency, "PICTURES_QUICK", 4)
    monkeypatch.setattr(latency, "WARM_UP", 2)
    monkeypatch.setattr(latency, "roofline", _no_limits)


@pytest.fixture
def job(models: Mapping[str, Path], tmp_path: Path) -> Job:
    candidate = Candidate("qwen", model=str(models["qwen"]), threads=1)
    return Job((candidate,), ("latency",), {}, quick=True, out=tmp_path / "run")


def rows_of(folder: Path) -> list[dict[str, object]]:
    """Titles of a trace's rows."""
    told = json.loads(folder.read_text())
    return [event["args"]["name"] for event in told["traceEvents"] if event["name"] == "thread_name"]


def test_a_latency_run_has_a_trace_and_says_what_is_in_it(job: Job) -> None:
    folder = start(job, Silent()).folder
    (record,) = read_header(folder).traces
    told = json.loads((folder / TRACE_FILE).read_text())
    assert (record.axis, record.file, record.share, record.dropped) == ("latency", TRACE_FILE, 1.0, 0)
    assert record.events == told["otherData"]["events"] > 0
    answered = [row for row in read_rows(folder / ROWS_FILE) if isinstance(row, RequestRow)]
    assert len([title for title in rows_of(folder / TRACE_FILE) if str(title).startswith("qwen ")]) >= len(answered)
    assert not (folder / ".trace").exists()


def test_a_trace_holds_a_sample_of_the_requests(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing_of_runs, "TRACED", 4)
    folder = start(job, Silent()).folder
    (record,) = read_header(folder).traces
    assert record.share == 4 / 16
    assert 0 < len([title for title in rows_of(folder / TRACE_FILE) if str(title).startswith("qwen ")]) < 16


def test_a_candidate_that_is_added_gets_a_trace_beside_the_first(job: Job, models: Mapping[str, Path]) -> None:
    folder = start(job, Silent()).folder
    first = (folder / TRACE_FILE).read_bytes()
    add(folder, [Candidate("other", model=str(models["qwen"]), threads=1)], ("fourways",), Silent())
    assert [record.file for record in read_header(folder).traces] == [TRACE_FILE, "trace.2.json"]
    assert (folder / TRACE_FILE).read_bytes() == first
    assert any(str(title).startswith("other ") for title in rows_of(folder / "trace.2.json"))


def test_a_pass_that_starts_again_replaces_its_trace(job: Job) -> None:
    folder = start(job, Silent()).folder
    before = read_header(folder).traces
    (folder / STATE_FILE).unlink()  # as if it had been stopped before the end
    (folder / ".trace").mkdir()  # as a killed process leaves it
    (folder / ".trace" / TRACE_FILE).write_text("{}")
    resume(folder, None, Silent())
    (record,) = read_header(folder).traces
    assert record.file == TRACE_FILE and before != () and (folder / INTERRUPTED).read_text() == "{}"


def test_a_trace_that_cannot_be_recorded_stops_no_measurement(
    job: Job, monkeypatch: pytest.MonkeyPatch, telling: Any
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise UserError("no reader")

    monkeypatch.setattr("fourways.trace.recording", refused)
    folder = start(job, telling).folder
    assert any("no trace is recorded: no reader" in line for line in telling.told)
    assert read_header(folder).traces == () and not (folder / TRACE_FILE).exists()
    assert any(isinstance(row, RequestRow) for row in read_rows(folder / ROWS_FILE))
