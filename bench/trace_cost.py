"""What one event costs, and whether a slow reader ever loses one unseen.

    python bench/trace_cost.py [--blocks 2000] [--events 10000000]

*Rival*: an inline `struct.pack_into` of 32 bytes and a read of `perf_counter_ns`, all names local, always to the same
place: the least that a record can cost in Python. *Ours*: `trace.emit`, with a recording under way, so with its reader
at work beside it. Blocks of 200 take turns; the empty loop's time is taken off both. Then events go past a reader that
sleeps 20 ms between looks, and all of them must be read whole or counted.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import psutil

from fourways import trace
from fourways.core.clock import host_clock
from fourways.trace import recorder, shared
from fourways.trace.messages import Stopped, encode
from fourways.trace.session import RING_BYTES, Session

BLOCK = 200
RESULTS = Path(__file__).parent / "results"
Loop = Callable[[int], None]
PACK = struct.Struct("@HHiQQII").pack_into
BUFFER = bytearray(RING_BYTES)


def empty(n: int) -> None:
    for _ in range(n):
        pass


def inline(n: int) -> None:
    pack, buffer, now = PACK, BUFFER, time.perf_counter_ns
    for _ in range(n):
        pack(buffer, 64, 1, 7, -1, now(), 0, 0, 1)


def inline_all_fields(n: int) -> None:
    pack, buffer, now = PACK, BUFFER, time.perf_counter_ns
    for _ in range(n):
        pack(buffer, 64, 1, 7, 7, now(), 123_456_789, 1000, 1)


def inline_moving(n: int) -> None:
    """As `inline`, but record after record, as anything that is to be read must be."""
    pack, buffer, now, at, lap = PACK, BUFFER, time.perf_counter_ns, 0, 1
    for _ in range(n):
        pack(buffer, at, lap, 7, -1, now(), 0, 0, lap)
        at += 32
        if at == RING_BYTES:
            at, lap = 0, lap + 1


def emit(n: int, emit: Callable[[str], None] = trace.emit) -> None:
    for _ in range(n):
        emit("forward_start")


def emit_all_fields(n: int) -> None:
    """As the engine calls it."""
    emit = trace.emit
    for _ in range(n):
        emit("kv_cache_alloc", 7, 123_456_789, 1000)


def emit_by_keywords(n: int) -> None:
    emit = trace.emit
    for _ in range(n):
        emit("kv_cache_alloc", 7, tensor_alloc_bytes=123_456_789, mem_reserved_peak_kb=1000)


def begin_and_end(n: int) -> None:
    begin, end = trace.begin, trace.end
    for _ in range(n):
        begin("decode", 7)
        end("decode", 7)


def span(n: int) -> None:
    span = trace.span
    for _ in range(n):
        with span("decode", 7):
            pass


LOOPS: tuple[Loop, ...] = (
    empty, inline, inline_moving, inline_all_fields, emit, emit_all_fields, emit_by_keywords, begin_and_end, span,
)  # fmt: skip


def costs(blocks: int) -> dict[str, list[float]]:
    """Nanoseconds a turn of each loop, block by block, the empty loop's taken off."""
    found: dict[str, list[float]] = {loop.__name__: [] for loop in LOOPS}
    for _ in range(blocks):
        for loop in LOOPS:
            began = time.perf_counter_ns()
            loop(BLOCK)
            found[loop.__name__].append((time.perf_counter_ns() - began) / BLOCK)
    bare = found.pop("empty")
    return {name: [value - base for value, base in zip(values, bare, strict=True)] for name, values in found.items()}


def median_interval(values: list[float]) -> tuple[float, float, float]:
    """The median and its 95 % interval by order statistics (normal approximation of the binomial)."""
    ordered, n = sorted(values), len(values)
    half = 1.96 * n**0.5 / 2
    return statistics.median(ordered), ordered[max(0, int(n / 2 - half))], ordered[min(n - 1, int(n / 2 + half) + 1)]


def past_a_slow_reader(events: int) -> dict[str, float]:
    """All events of one thread go past a reader that sleeps 20 ms between looks; what became of them."""
    ours, theirs = shared.pair()
    with ours, theirs:
        script = str(Path(__file__).parent / "trace_reader.py")
        reader = subprocess.Popen([sys.executable, script, str(theirs.fileno()), "0.02"], pass_fds=[theirs.fileno()])
        theirs.close()
        ours.setblocking(False)
        session = Session(ours, ours, share=1, seed=0, ring_bytes=RING_BYTES)
        recorder.start(session)
        began = time.perf_counter()
        for n in range(events):
            trace.emit("numbered", (n & 0xFFFFFF) + 1, n, n & 0xFFFFFFFF)
        seconds = time.perf_counter() - began
        recorder.stop()
        told = _ended(ours, session)
        reader.wait()
    return {**told, "events": events, "writer_s": round(seconds, 2)}


def _ended(line: socket.socket, session: Session) -> dict[str, int]:
    line.setblocking(True)
    written = {ring.number: ring.written for ring in session.rings}
    line.send(encode(Stopped(written, session.refused(), host_clock())))
    told: dict[str, int] = json.loads(line.recv(1 << 12))
    return told


def recorded(events: int) -> dict[str, float]:
    """The same number of events into a trace.json: the reader's peak memory and the time that the end takes."""
    with tempfile.TemporaryDirectory() as name:
        began = time.perf_counter()
        with trace.recording(Path(name)) as made:
            (reader,) = [p for p in psutil.Process().children() if "fourways.trace.drain" in p.cmdline()]
            for n in range(events // 2):
                trace.emit("forward_start", tensor_alloc_bytes=n)
                trace.mark("decode", n, n + 10)
            written = time.perf_counter()
            watched = _Peak(reader)
        assert made.counts is not None
        return {
            "events": made.counts.events, "dropped": made.counts.dropped, "emitting_s": round(written - began, 2),
            "ending_s": round(time.perf_counter() - written, 2), "reader_peak_mib": watched.end(),
            "trace_mib": round((Path(name) / "trace.json").stat().st_size / 2**20, 1),
        }  # fmt: skip


class _Peak:
    """The highest resident size of a process while it lives, sampled every 10 ms by a thread."""

    def __init__(self, process: psutil.Process) -> None:
        import threading

        self._process, self._peak = process, 0.0
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self) -> None:
        try:
            while True:
                self._peak = max(self._peak, self._process.memory_info().rss / 2**20)
                time.sleep(0.01)
        except psutil.Error:
            return

    def end(self) -> float:
        self._thread.join(1)
        return round(self._peak, 1)


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--blocks", type=int, default=2000)
    asked.add_argument("--events", type=int, default=10_000_000)
    options = asked.parse_args()
    off = {name: statistics.median(values) for name, values in costs(200).items() if "inline" not in name}
    with tempfile.TemporaryDirectory() as folder, trace.recording(Path(folder)):
        found = costs(options.blocks)
    rivals = (
        ("emit", "inline"), ("emit", "inline_moving"), ("emit_all_fields", "inline_all_fields"),
        ("emit_by_keywords", "inline_all_fields"),
    )  # fmt: skip
    ratios = {
        f"{ours} / {rival}": median_interval(list(np.array(found[ours]) / np.array(found[rival])))
        for ours, rival in rivals
    }
    made = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{os.cpu_count()} cores, {platform.machine()}", "python": platform.python_version(),
        "load": os.getloadavg()[0], "blocks": options.blocks, "block": BLOCK,
        "ns": {name: median_interval(values) for name, values in found.items()}, "ns_off": off, "ratios": ratios,
        "slow_reader": past_a_slow_reader(options.events), "recorded": recorded(options.events),
    }  # fmt: skip
    path = RESULTS / f"trace_cost-{made['date'][:10]}.json"
    path.write_text(json.dumps(made, indent=1) + "\n")
    for name, (middle, low, high) in made["ns"].items():
        print(f"{name:18} {middle:7.0f} ns ({low:.0f}-{high:.0f}); off: {off.get(name, 0):.0f} ns")
    for name, (middle, low, high) in ratios.items():
        print(f"{name:32} {middle:.2f} ({low:.2f}-{high:.2f})")
    print("slow reader:", made["slow_reader"])
    print("recorded:", made["recorded"])
    slow = made["slow_reader"]
    kept = slow["torn"] == slow["out_of_order"] == 0 and slow["read"] + slow["dropped"] == slow["events"]
    cheap = all(ratios[key][2] <= 2 for key in ("emit / inline", "emit_all_fields / inline_all_fields"))
    print(
        f"bars: at most twice inline: {'met' if cheap else 'MISSED'}; all accounted for: {'met' if kept else 'MISSED'}"
    )


if __name__ == "__main__":
    main()
