"""Does the load client measure what the server did? Judged by the mock server's own log of when it sent each token.

Closed loops at concurrency 1, 4, 16 and 64, and 200 requests a second in a Poisson process; 100 ms to the first token,
10 ms from token to token, 64 tokens. The bar: median ttft within 3 ms, and mean tpot within 2 %, of the log's.

Then a server that is silent for 2 s, under 20 requests a second (open loop) and under a closed loop of about the same
rate. What an honest open loop must find follows from its instants and the stall alone; the bar: its p99 of ttft within
5 % of that. The closed loop stops asking while the server is silent, and so finds next to nothing: it is shown beside.

Exit status 1 if a bar is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, median

import numpy as np
import psutil

from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation
from fourways.core.load import Load
from fourways.core.request import Generate, Plan, Request
from fourways.core.rows import RequestRow
from fourways.engines.openai import open_openai_engine
from fourways.load import Ask, Timing, request_row, send
from fourways.load.mock import MockSettings, Running, Served, running
from fourways.load.mock.script import WorkingTime

RESULTS = Path(__file__).parent / "results"
TTFT_BAR_MS, TPOT_BAR, STALL_BAR = 3.0, 0.02, 0.05
TOKENS, SHORT = 64, 8
STALL_S = (5.0, 2.0)
STALL_RATE, STALL_PLACES, STALL_COUNT = 20.0, 4, 640
CASES = ((1, 12), (4, 48), (16, 192), (64, 768), (None, 2000))
"""(concurrency, requests); no concurrency: a Poisson process."""
RATE = 200.0


@dataclass(frozen=True)
class Seen:
    """One run of one case: what the client found, and what the server's log says. failed: requests."""

    load: str
    n: int
    failed: int
    client_ttft_ms: float
    log_ttft_ms: float
    client_tpot_ms: float
    log_tpot_ms: float
    server_late_ms: float

    @property
    def ttft_off_ms(self) -> float:
        return self.client_ttft_ms - self.log_ttft_ms

    @property
    def tpot_off(self) -> float:
        return self.client_tpot_ms / self.log_tpot_ms - 1


def asks(count: int, tokens: int) -> list[Ask]:
    plan, output = Plan("mock"), Generate(tokens, min_tokens=tokens, ignore_eos=True)
    question = Conversation.ask("Describe what a load generator does, in as many words as you like.")
    return [Ask(Request(str(item), question, plan, output), item, "") for item in range(count)]


async def measured(server: Running, load: Load, count: int, tokens: int, seed: int) -> list[tuple[int, RequestRow]]:
    """Each request's row, and when it was due on the clock that client and server share."""
    engine = await open_openai_engine(Candidate("mock", url=f"{server.url}/v1"), concurrency=None)
    wanted = asks(count, tokens)

    def row(timing: Timing) -> RequestRow:
        ask = wanted[timing.index]
        return request_row(timing, ask, candidate="mock", workload="text", load=load, cache="cold", block=0)

    try:
        return [(timing.scheduled_ns, row(timing)) async for timing in send(engine, wanted, load, seed=seed)]
    finally:
        await engine.close()


def told(server: Running, tokens: int) -> list[Served]:
    """The log without the engine's own question when it connects."""
    return [one for one in server.log() if len(one.sent_ns) == tokens]


def one_case(concurrency: int | None, count: int, seed: int) -> Seen:
    load = Load("closed", concurrency) if concurrency else Load("poisson", rate_per_s=RATE)
    with running(MockSettings(tokens=TOKENS)) as server:
        rows = [row for _, row in asyncio.run(measured(server, load, count, TOKENS, seed))]
        log = told(server, TOKENS)
    good = [row for row in rows if row.error is None]
    late = [sent - due for one in log for sent, due in zip(one.sent_ns, one.due_ns, strict=True)]
    return Seen(
        load.label,
        len(good),
        len(rows) - len(good),
        median(row.ttft_ms for row in good if row.ttft_ms is not None),
        median((one.sent_ns[0] - one.arrival_ns) / 1e6 for one in log),
        fmean(row.tpot_ms for row in good if row.tpot_ms is not None),
        fmean((one.sent_ns[-1] - one.sent_ns[0]) / 1e6 / (TOKENS - 1) for one in log),
        median(late) / 1e6,
    )


def stalled(load: Load, count: int, seed: int) -> tuple[list[RequestRow], float]:
    """The rows, and the p99 of ttft that the instants at which they were due imply."""
    settings = MockSettings(tokens=SHORT, stalls=(STALL_S,))
    with running(settings) as server:
        found = asyncio.run(measured(server, load, count, SHORT, seed))
        first_ns = min(one.arrival_ns for one in server.log())
    time = WorkingTime(settings.stalls, first_ns)
    implied = [(time.after(due_ns, round(settings.ttft_ms * 1e6)) - due_ns) / 1e6 for due_ns, _ in found]
    return [row for _, row in found], float(np.percentile(implied, 99))


def show_stall(seed: int) -> dict[str, object]:
    found: dict[str, object] = {}
    for load in (Load("poisson", rate_per_s=STALL_RATE), Load("closed", STALL_PLACES)):
        rows, implied = stalled(load, STALL_COUNT, seed)
        ttft = [row.ttft_ms for row in rows if row.ttft_ms is not None]
        p50, p99, most = (float(np.percentile(ttft, q)) for q in (50, 99, 100))
        slow = sum(value > 2 * p50 for value in ttft)
        found[load.label] = {
            "n": len(rows), "failed": sum(row.error is not None for row in rows), "ttft_p50_ms": p50,
            "ttft_p99_ms": p99, "ttft_max_ms": most, "slow": slow, "implied_p99_ms": implied,
        }  # fmt: skip
        honest = f"; its instants imply a p99 of {implied:.1f} ms" if load.arrivals == "poisson" else ""
        print(
            f"stall of {STALL_S[1]:g} s, {load.label:<12} n {len(rows)}: ttft p50 {p50:.1f} ms, p99 {p99:.1f} ms, max "
            f"{most:.1f} ms; {slow} requests felt it{honest}"
        )
    return found


def verdicts(runs: Sequence[Seen], stall: dict[str, object]) -> dict[str, bool]:
    """By load: the median of its runs against the bars."""
    out: dict[str, bool] = {}
    for label in dict.fromkeys(seen.load for seen in runs):
        same = [seen for seen in runs if seen.load == label]
        ttft, tpot = (median(abs(getattr(seen, name)) for seen in same) for name in ("ttft_off_ms", "tpot_off"))
        out[label] = ttft <= TTFT_BAR_MS and tpot <= TPOT_BAR and not any(seen.failed for seen in same)
    opened = stall[Load("poisson", rate_per_s=STALL_RATE).label]
    assert isinstance(opened, dict)
    out["stall"] = abs(opened["ttft_p99_ms"] / opened["implied_p99_ms"] - 1) <= STALL_BAR and not opened["failed"]
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="once, a quarter of the requests; no results file")
    asked = parser.parse_args()
    runs: list[Seen] = []
    repeats, part = (1, 4) if asked.quick else (asked.repeats, 1)
    for repeat in range(repeats):
        for concurrency, count in CASES:
            seen = one_case(concurrency, max(count // part, concurrency or 1), seed=repeat)
            runs.append(seen)
            print(
                f"{seen.load:<13} n {seen.n:>4}: ttft {seen.client_ttft_ms:7.2f} ms, log {seen.log_ttft_ms:7.2f} "
                f"({seen.ttft_off_ms:+.2f}); tpot {seen.client_tpot_ms:.3f} ms, log {seen.log_tpot_ms:.3f} "
                f"({seen.tpot_off:+.2%}); {seen.failed} failed; server late by {seen.server_late_ms:.2f} ms (median)",
                flush=True,
            )
    stall = show_stall(0)
    passed = verdicts(runs, stall)
    print("  ".join(f"{label}: {'pass' if good else 'FAIL'}" for label, good in passed.items()))
    if not asked.quick:
        now = datetime.now(UTC)
        result = {
            "bench": "load_vs_mock", "date": now.isoformat(timespec="seconds"), "machine": platform.machine(),
            "cores": psutil.cpu_count(), "python": platform.python_version(), "load": os.getloadavg(),
            "bars": {"ttft_ms": TTFT_BAR_MS, "tpot": TPOT_BAR, "stall_p99": STALL_BAR},
            "runs": [asdict(seen) for seen in runs], "stall": stall, "passed": passed,
        }  # fmt: skip
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"load_vs_mock-{now:%Y-%m-%d}.json").write_text(json.dumps(result, indent=1) + "\n")
    return 0 if all(passed.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
