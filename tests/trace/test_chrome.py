"""trace.json keeps to the Trace Event Format: known phases and fields, and spans that nest within each row."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.core.clock import host_clock
from fourways.core.errors import FourwaysError
from fourways.trace import chrome, spool
from fourways.trace.messages import Dropped, Name, Owner, Started, Stopped, Track
from fourways.trace.record import BEGIN, DTYPE, END, INSTANT, SPAN, THREAD

Event = tuple[int, int, int, int, int]
"""Owner, track, kind, name, and when; a span lasts as long as its name's number."""


def written(folder: Path, events: list[Event], lengths: list[int] | None = None) -> dict[str, Any]:
    writer = spool.SpoolWriter(folder)
    writer.note(Started(7, 1_000, 2_000_000_000_000_000_000, "program"))
    for owner in (1, 2):
        writer.note(Owner(owner, owner - 1, 0, f"thread {owner}", 40 + owner))
    for track in (1, 2, 3):
        writer.note(Track(track, f'request "{track}"\n'))
    for name in range(1, 5):
        writer.note(Name(name, f"näme <{name}>"))
    for place, (owner, track, kind, name, at) in enumerate(events):
        value = lengths[place] if lengths is not None and kind == SPAN else 0
        writer.put(owner, np.array([(0, kind | name, track, at, value, 0, 0)], DTYPE))
    writer.note(Dropped(2, 5))
    writer.note(Stopped({0: 1}, 3, host_clock()))
    writer.close()
    chrome.finish(folder)
    return json.loads((folder / "trace.json").read_bytes())


REQUIRED = {
    "X": {"ph", "pid", "tid", "ts", "dur", "name"},
    "i": {"ph", "pid", "tid", "ts", "name", "s"},
    "C": {"ph", "pid", "tid", "ts", "name", "args"},
    "M": {"ph", "pid", "tid", "name", "args"},
}


def check_format(trace: dict[str, Any]) -> None:
    """The fields that the format requires of each phase, and nesting of complete events within each row."""
    assert trace["displayTimeUnit"] in ("ms", "ns")
    rows = defaultdict(list)
    for event in trace["traceEvents"]:
        assert REQUIRED[event["ph"]] <= set(event)
        assert isinstance(event["pid"], int) and isinstance(event["tid"], int) and isinstance(event["name"], str)
        if event["ph"] == "C":
            assert all(isinstance(value, int) for value in event["args"].values())
        if event["ph"] == "M":
            assert event["name"] in {"process_name", "thread_name", "thread_sort_index"}
        if event["ph"] == "X":
            assert event["dur"] >= 0
            start = round(event["ts"] * 1000)
            rows[event["pid"], event["tid"]].append((start, start + round(event["dur"] * 1000)))
    for spans in rows.values():
        open_now: list[int] = []
        for start, end in sorted(spans, key=lambda span: (span[0], -span[1])):
            while open_now and open_now[-1] <= start:
                open_now.pop()
            assert not open_now or end <= open_now[-1], "two spans of a row overlap without nesting"
            open_now.append(end)


events = st.lists(
    st.tuples(
        st.integers(1, 2), st.sampled_from([THREAD, THREAD, 1, 2, 3]), st.sampled_from([INSTANT, BEGIN, END, SPAN]),
        st.integers(1, 4), st.integers(1_000, 3_000),
    ), max_size=40,
)  # fmt: skip


@settings(max_examples=100, deadline=None)
@given(events=events, lengths=st.lists(st.integers(0, 2_000), min_size=40, max_size=40))
def test_whatever_is_recorded_the_trace_keeps_to_the_format_and_holds_all_of_it(
    tmp_path_factory: pytest.TempPathFactory, events: list[Event], lengths: list[int]
) -> None:
    trace = written(tmp_path_factory.mktemp("trace"), events, lengths)
    check_format(trace)
    shown = [event["ph"] for event in trace["traceEvents"]]
    count = {kind: sum(event[2] == kind for event in events) for kind in (INSTANT, BEGIN, END, SPAN)}
    unmatched = trace["otherData"]["ends_without_begin"]
    assert shown.count("i") == count[INSTANT]
    assert shown.count("X") == count[SPAN] + count[BEGIN]
    open_spans = sum(event.get("args", {}).get("open", False) for event in trace["traceEvents"])
    assert count[END] - unmatched == count[BEGIN] - open_spans


def test_the_metadata_say_what_is_missing_and_which_clock_it_was(tmp_path: Path) -> None:
    about = written(tmp_path, [(1, THREAD, INSTANT, 1, 2_500)])["otherData"]
    assert about["schema"] == "fourways.trace/v1"
    assert (about["events"], about["dropped"], about["refused"]) == (1, 5 + 3, 3)
    assert about["dropped_by_thread"] == {"thread 2 (42)": 5}
    assert about["clock"]["residual_p99_ns"] == 0
    assert about["origin_perf_counter_ns"] == 1_000


def test_spans_that_overlap_without_nesting_go_to_a_row_of_the_same_name(tmp_path: Path) -> None:
    events = [(1, 1, SPAN, name, at) for name, at in ((1, 1_000), (2, 1_100), (3, 1_150))]
    trace = written(tmp_path, events, [500, 1_000, 100])
    check_format(trace)
    spans = {event["name"]: event["tid"] for event in trace["traceEvents"] if event["ph"] == "X"}
    names = {e["tid"]: e["args"]["name"] for e in trace["traceEvents"] if e["name"] == "thread_name" and e["pid"] == 2}
    assert names[spans["näme <1>"]] == names[spans["näme <3>"]] == 'request "1"\n'
    assert names[spans["näme <2>"]] == 'request "1"\n [2]'


def test_instants_are_exact_to_the_nanosecond_after_weeks_of_uptime(tmp_path: Path) -> None:
    at = 1_000 + 3_000_000_000_000_001
    (event,) = [e for e in written(tmp_path, [(1, THREAD, INSTANT, 1, at)])["traceEvents"] if e["ph"] == "i"]
    assert event["args"]["timestamp_ns"] == at
    assert b'"ts":3000000000000.001' in (tmp_path / "trace.json").read_bytes()


def test_names_that_never_arrived_are_shown_by_number(tmp_path: Path) -> None:
    trace = written(tmp_path, [(9, 77, INSTANT, 99, 2_000)])
    (event,) = [e for e in trace["traceEvents"] if e["ph"] == "i"]
    assert event["name"] == "name 99"


def test_a_full_disk_leaves_the_recording_to_be_finished_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(chrome, "write", full)
        with pytest.raises(FourwaysError, match="No space left"):
            written(tmp_path, [(1, THREAD, INSTANT, 1, 2_000)])
    assert spool.present(tmp_path)
    assert not (tmp_path / "trace.json").exists()
    assert chrome.finish(tmp_path) == (1, 8)


def test_a_torn_end_of_either_file_is_left_out(tmp_path: Path) -> None:
    writer = spool.SpoolWriter(tmp_path)
    writer.note(Name(1, "kept"))
    writer.put(1, np.zeros(2, DTYPE))
    writer.close()
    with (tmp_path / spool.EVENTS_FILE).open("ab") as stream:
        stream.write(b"x" * 31)
    with (tmp_path / spool.TABLES_FILE).open("ab") as stream:
        stream.write(b'{"type":"Name","num')
    found = spool.read(tmp_path)
    assert found.total == sum(len(piece) for piece in found.pieces()) == 2
    assert found.names == {1: "kept"}
    stream = io.BytesIO()
    chrome.write(found, stream)
    check_format(json.loads(stream.getvalue()))
