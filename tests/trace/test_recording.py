"""A recording from the program's side: what is emitted is in the trace or counted, and nothing of it outlives it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fourways import trace
from fourways.core.clock import host_clock
from fourways.core.errors import FourwaysError, UserError
from fourways.trace import recorder, shared, spool
from fourways.trace.messages import Stopped, encode
from fourways.trace.reading import requests, stages_ms
from fourways.trace.session import Session

SLOW_READER = Path(__file__).parents[2] / "bench" / "trace_reader.py"


def events(folder: Path, phase: str) -> list[dict[str, Any]]:
    return [event for event in json.loads((folder / "trace.json").read_bytes())["traceEvents"] if event["ph"] == phase]


def about(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "trace.json").read_bytes())["otherData"]


def test_two_lines_put_an_event_of_anyone_into_the_trace(tmp_path: Path) -> None:
    before = time.perf_counter_ns()
    with trace.recording(tmp_path) as made:
        trace.emit("my_event", tensor_alloc_bytes=2**40 + 1, mem_reserved_peak_kb=7)
    assert made.counts == trace.Counts(events=1, dropped=0)
    assert made.path == tmp_path / "trace.json"
    (event,) = events(tmp_path, "i")
    assert event["name"] == "my_event"
    assert event["args"].pop("timestamp_ns") > before
    assert event["args"] == {"tensor_alloc_bytes": 2**40 + 1, "mem_reserved_peak_kb": 7}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["trace.json"]
    assert about(tmp_path)["clock"]["met"] is True, "one clock"


def test_a_folder_and_a_trace_may_be_named_by_plain_text(tmp_path: Path) -> None:
    folder = str(tmp_path / "of" / "text")
    with trace.recording(folder):
        now = time.perf_counter_ns()
        trace.mark("prefill", now, now + 2_000_000, trace.track("r"))
    file = f"{folder}/trace.json"
    assert stages_ms(file) == stages_ms(Path(file)) == {"r": {"prefill": 2.0}}
    assert list(requests(file).rows) == ["r"]
    with pytest.raises(UserError, match="nowhere"):
        trace.recover(str(tmp_path / "nowhere"))


def test_nothing_is_recorded_and_nothing_breaks_while_nobody_records() -> None:
    trace.emit("x", 3, tensor_alloc_bytes=1)
    trace.begin("x")
    trace.end("x")
    trace.mark("x", 1, 2)
    with trace.span("x"):
        pass
    assert trace.track("request") == 0


def test_spans_by_begin_and_end_by_block_and_by_mark_are_the_same_spans(tmp_path: Path) -> None:
    with trace.recording(tmp_path):
        request = trace.track("request 1")
        trace.begin("decode", request)
        with trace.span("prefill", request):
            pass
        now = time.perf_counter_ns()
        trace.mark("queue", now, now + 1234, request)
        worker = threading.Thread(target=trace.end, args=("decode", request))
        worker.start()
        worker.join()
    spans = {event["name"]: event for event in events(tmp_path, "X")}
    assert set(spans) == {"decode", "prefill", "queue"}
    assert spans["queue"]["dur"] == 1.234
    assert {event["pid"] for event in spans.values()} == {2}
    names = {(e["pid"], e["tid"]): e["args"]["name"] for e in events(tmp_path, "M") if e["name"] == "thread_name"}
    assert {names[e["pid"], e["tid"]].split(" [")[0] for e in spans.values()} == {"request 1"}


def test_a_span_that_never_ends_and_an_end_without_a_begin_are_shown_as_such(tmp_path: Path) -> None:
    with trace.recording(tmp_path):
        trace.begin("forward")
        trace.emit("later")
        trace.end("never begun")
    (span,) = events(tmp_path, "X")
    assert (span["name"], span["args"]) == ("forward", {"open": True})
    assert about(tmp_path)["ends_without_begin"] == 1


def test_values_out_of_range_stand_at_their_bound_and_disturb_no_other(tmp_path: Path) -> None:
    with trace.recording(tmp_path) as made:
        trace.emit("plain")
        trace.emit("odd", tensor_alloc_bytes=2**70, mem_reserved_peak_kb=2**40)
        trace.emit("odd", tensor_alloc_bytes=-5, mem_reserved_peak_kb=-1)
        trace.mark("backwards", 2000, 1000)
        trace.emit("plain", 2**40)
    assert made.counts == trace.Counts(5, 0)
    values = [(e["args"]["tensor_alloc_bytes"], e["args"]["mem_reserved_peak_kb"]) for e in events(tmp_path, "i")]
    assert values == [(0, 0), (2**64 - 1, 2**32 - 1), (0, 0), (0, 0)]
    assert [e["dur"] for e in events(tmp_path, "X")] == [0]


@pytest.mark.parametrize("wrong", [{"tensor_alloc_bytes": 1.5}, {"mem_reserved_peak_kb": "many"}])
def test_a_number_that_is_none_is_the_callers_error_and_later_events_stand(tmp_path: Path, wrong: Any) -> None:
    with trace.recording(tmp_path):
        trace.emit("x")
        with pytest.raises(TypeError):
            trace.emit("x", **wrong)
        trace.emit("after")
    assert [e["name"] for e in events(tmp_path, "i")][-1] == "after"


def test_one_label_is_one_row_whoever_asks_for_it(tmp_path: Path) -> None:
    with trace.recording(tmp_path):
        asked: list[int] = []
        threads = [threading.Thread(target=lambda: asked.append(trace.track("request 1"))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        other = trace.track("request 2")
    assert len(set(asked)) == 1 and other not in (0, *asked)


def test_text_that_no_file_can_hold_is_recorded_all_the_same(tmp_path: Path) -> None:
    with trace.recording(tmp_path) as made:
        trace.emit("half \ud800", trace.track("of \udcff"))
    assert made.counts == trace.Counts(1, 0)
    assert [e["name"] for e in events(tmp_path, "i")] == ["half ?"]


def test_the_share_and_the_seed_decide_which_requests_are_recorded_and_the_rest_leave_nothing(tmp_path: Path) -> None:
    def tracked(folder: Path, seed: int) -> list[int]:
        with trace.recording(folder, share=0.3, seed=seed):
            tracks = [trace.track(f"request {n}") for n in range(400)]
            for one in tracks:
                trace.emit("forward_start", one)
        return [n for n, one in enumerate(tracks) if one]

    first = tracked(tmp_path / "a", 1)
    assert 80 < len(first) < 160
    assert len(events(tmp_path / "a", "i")) == len(first)
    assert tracked(tmp_path / "b", 1) == first
    assert tracked(tmp_path / "c", 2) != first


def test_many_threads_that_come_and_go_share_a_few_rings_and_keep_their_names(tmp_path: Path) -> None:
    with trace.recording(tmp_path) as made:
        for n in range(300):
            thread = threading.Thread(target=trace.emit, args=("hello",), name=f"short {n}")
            thread.start()
            thread.join()
        session = recorder.active()
        assert session is not None
        rings = len(session.rings)
    assert rings <= 3
    assert made.counts is not None
    assert made.counts.events + made.counts.dropped == 300, "a thread whose name the reader could not take is counted"
    names = {e["tid"]: e["args"]["name"] for e in events(tmp_path, "M") if e["name"] == "thread_name"}
    shown = [names[e["tid"]].rsplit(" (", 1)[0] for e in events(tmp_path, "i")]
    assert len(shown) == len(set(shown)) == made.counts.events
    assert set(shown) <= {f"short {n}" for n in range(300)}
    assert shown


def test_threads_at_once_lose_nothing_and_each_keeps_its_order(tmp_path: Path) -> None:
    def work(number: int) -> None:
        for n in range(5000):
            trace.emit(f"thread {number}", tensor_alloc_bytes=n + 1)

    with trace.recording(tmp_path) as made:
        threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert made.counts == trace.Counts(40_000, 0)
    for number in range(8):
        mine = [e["args"]["tensor_alloc_bytes"] for e in events(tmp_path, "i") if e["name"] == f"thread {number}"]
        assert mine == list(range(1, 5001))


def test_events_from_a_signals_handler_in_the_middle_of_others_are_all_there(tmp_path: Path) -> None:
    rang = 0

    def handler(*_: object) -> None:
        nonlocal rang
        rang += 1
        trace.emit("handler")

    old = signal.signal(signal.SIGALRM, handler)
    try:
        with trace.recording(tmp_path) as made:
            signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
            for _ in range(100_000):
                trace.emit("plain")
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        signal.signal(signal.SIGALRM, old)
    assert rang > 10
    assert made.counts is not None
    assert made.counts.events + made.counts.dropped == 100_000 + rang
    assert made.counts.dropped < 100_000


def test_a_forked_child_records_nothing_and_harms_nothing(tmp_path: Path) -> None:
    with trace.recording(tmp_path) as made:
        trace.emit("parent")
        child = os.fork()
        if child == 0:
            trace.emit("child")
            os._exit(0 if trace.track("x") == 0 else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        trace.emit("parent")
    assert made.counts == trace.Counts(2, 0)
    assert {e["name"] for e in events(tmp_path, "i")} == {"parent"}


def test_a_forked_child_that_leaves_the_block_ends_nothing(tmp_path: Path) -> None:
    child = -1
    try:
        with trace.recording(tmp_path) as made:
            trace.emit("parent")
            child = os.fork()
            if child == 0:
                raise SystemExit
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            trace.emit("parent")
    except BaseException as left:
        if child != 0:
            raise
        os._exit(0 if type(left) is SystemExit else 1)
    assert made.counts == trace.Counts(2, 0)


def test_a_forked_child_may_record_into_a_folder_of_its_own(tmp_path: Path) -> None:
    with trace.recording(tmp_path / "parent") as made:
        trace.emit("parent")
        child = os.fork()
        if child == 0:
            with trace.recording(tmp_path / "child") as own:
                trace.emit("child")
            os._exit(0 if own.counts == trace.Counts(1, 0) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert made.counts == trace.Counts(1, 0)
    assert [e["name"] for e in events(tmp_path / "child", "i")] == ["child"]


def test_a_program_that_is_killed_leaves_its_trace(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; from fourways import trace\n"
        "with trace.recording(Path(sys.argv[1])):\n"
        "    for n in range(2000): trace.emit('forward_start')\n"
        "    trace.begin('forward')\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False, capture_output=True)
    assert ended.returncode == -signal.SIGKILL
    _wait_until((tmp_path / "trace.json").exists)
    assert len(events(tmp_path, "i")) == 2000
    assert about(tmp_path)["complete"] is False
    assert events(tmp_path, "X")[0]["args"] == {"open": True}


def _wait_until(there: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not there():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _kill_reader() -> None:
    import psutil

    (reader,) = [p for p in psutil.Process().children() if "fourways.trace.drain" in p.cmdline()]
    reader.kill()
    reader.wait()


def test_a_reader_that_dies_costs_what_it_had_not_read_and_the_program_goes_on(tmp_path: Path) -> None:
    with trace.recording(tmp_path) as made:
        trace.emit("early")
        _wait_until(lambda: (tmp_path / spool.EVENTS_FILE).stat().st_size > 0)
        _kill_reader()
        for n in range(100):
            trace.emit("late")
            trace.track(f"request {n}")
    assert made.counts == trace.Counts(events=1, dropped=100)
    assert [e["name"] for e in events(tmp_path, "i")] == ["early"]


def test_what_a_killed_reader_left_can_be_made_a_trace_and_blocks_no_folder_silently(tmp_path: Path) -> None:
    writer = spool.SpoolWriter(tmp_path)
    writer.close()
    with (tmp_path / spool.EVENTS_FILE).open("ab") as torn:
        torn.write(b"half a record")
    with pytest.raises(UserError, match="never finished"), trace.recording(tmp_path):
        pass
    assert trace.recover(tmp_path) == trace.Counts(0, 0)
    with pytest.raises(UserError, match="already"), trace.recording(tmp_path):
        pass
    with pytest.raises(UserError, match="no recording"):
        trace.recover(tmp_path)


def test_one_recording_at_a_time_and_a_share_within_its_range(tmp_path: Path) -> None:
    with trace.recording(tmp_path / "a"), pytest.raises(UserError, match="already"), trace.recording(tmp_path / "b"):
        pass
    with pytest.raises(UserError, match="share"), trace.recording(tmp_path / "c", share=1.5):
        pass


def test_a_folder_that_cannot_be_written_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / spool.EVENTS_FILE).mkdir()
    with pytest.raises(FourwaysError, match="reader ended at its start"), trace.recording(tmp_path):
        pass
    assert recorder.active() is None


def test_overflow_is_counted_and_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fourways.trace.recordings.RING_BYTES", 64 * 32)
    with trace.recording(tmp_path) as made:
        for _ in range(50_000):
            trace.emit("burst")
    assert made.counts is not None
    assert made.counts.dropped > 0
    assert made.counts.events + made.counts.dropped == 50_000
    assert about(tmp_path)["dropped"] == made.counts.dropped == sum(about(tmp_path)["dropped_by_thread"].values())
    assert len(events(tmp_path, "i")) == made.counts.events


def test_a_million_events_past_a_slow_reader_are_read_or_counted_and_none_is_torn() -> None:
    ours, theirs = shared.pair()
    with ours, theirs:
        reader = subprocess.Popen(
            [sys.executable, str(SLOW_READER), str(theirs.fileno()), "0.02"], pass_fds=[theirs.fileno()]
        )
        session = Session(ours, ours, share=1, seed=0, ring_bytes=4096 * 32)
        ours.setblocking(False)
        recorder.start(session)
        try:
            for n in range(1_000_000):
                trace.emit("numbered", (n & 0xFFFFFF) + 1, n, n & 0xFFFFFFFF)
        finally:
            recorder.stop()
        ours.setblocking(True)
        written = {ring.number: ring.written for ring in session.rings}
        ours.send(encode(Stopped(written, session.refused(), host_clock())))
        told = json.loads(ours.recv(1 << 12))
        assert reader.wait() == 0
    assert told["torn"] == told["out_of_order"] == 0
    assert told["read"] > 0
    assert told["dropped"] > 0
    assert told["read"] + told["dropped"] == 1_000_000


def test_messages_that_the_reader_cannot_take_yet_are_kept_and_a_new_thread_is_refused_and_counted() -> None:
    (ours, theirs), (bell, ringing) = shared.pair(), shared.pair()
    with ours, theirs, bell, ringing:
        ours.setblocking(False)
        bell.setblocking(False)
        session = Session(ours, bell, share=1, seed=0, ring_bytes=128)
        labels = [f"request {n}" for n in range(5000)]
        for label in labels:
            assert session.track(label) > 0
        assert not session.flush()
        assert session.join() is None
        assert session.refused() == 1
        theirs.setblocking(False)
        heard = []
        while len(heard) < len(labels):
            session.flush()
            heard.append(theirs.recv(1 << 16))
        assert all(label.encode() in data for label, data in zip(labels, heard, strict=True))


def test_a_closed_line_is_no_error_of_the_program() -> None:
    ours, theirs = shared.pair()
    with ours:
        theirs.close()
        session = Session(ours, ours, share=1, seed=0, ring_bytes=128)
        assert session.track("request") == 1
        assert session.reader_lost
    assert isinstance(ours, socket.socket)
