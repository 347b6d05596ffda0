"""The load client finds what the mock server's log says it did, and an open loop does not hide a stall.

Bounds are wide, since other work may hold the machine; bench/load_vs_mock.py has the narrow ones.
"""

from __future__ import annotations

from statistics import fmean, median

import numpy as np
import pytest

from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation
from fourways.core.load import Load
from fourways.core.request import Generate, Plan, Request
from fourways.core.rows import RequestRow
from fourways.engines.openai import open_openai_engine
from fourways.load import Ask, Timing, request_row, send
from fourways.load.mock import MockSettings, Running, running
from fourways.load.mock.script import WorkingTime


async def measured(server: Running, load: Load, count: int, tokens: int) -> list[tuple[Timing, RequestRow]]:
    output = Generate(tokens, min_tokens=tokens, ignore_eos=True)
    asks = [Ask(Request(str(i), Conversation.ask("hello"), Plan("mock"), output), i, "") for i in range(count)]
    engine = await open_openai_engine(Candidate("mock", url=f"{server.url}/v1"), concurrency=None)
    found = []
    try:
        async for timing in send(engine, asks, load, seed=5):
            row = request_row(
                timing, asks[timing.index], candidate="mock", workload="text", load=load, cache="cold", block=0
            )
            found.append((timing, row))
    finally:
        await engine.close()
    return found


@pytest.mark.parametrize("load", [Load("closed", 1), Load("closed", 8), Load("poisson", rate_per_s=40)])
async def test_ttft_and_tpot_are_those_of_the_server_s_log(load: Load) -> None:
    with running(MockSettings(ttft_ms=60, gap_ms=8)) as server:
        rows = [row for _, row in await measured(server, load, 8 if load.concurrency == 1 else 48, 16)]
        log = [one for one in server.log() if len(one.sent_ns) == 16]
    assert all(row.error is None and row.output_tokens == 16 for row in rows)
    assert len(log) == len(rows)
    ttft = median((one.sent_ns[0] - one.arrival_ns) / 1e6 for one in log)
    tpot = fmean((one.sent_ns[-1] - one.sent_ns[0]) / 1e6 / 15 for one in log)
    assert median(row.ttft_ms or 0 for row in rows) == pytest.approx(ttft, abs=25)
    assert fmean(row.tpot_ms or 0 for row in rows) == pytest.approx(tpot, rel=0.15)


async def test_an_open_loop_shows_a_stall_as_its_instants_imply_and_a_closed_one_hides_it() -> None:
    settings = MockSettings(ttft_ms=20, gap_ms=2, stalls=((1.0, 1.0),))
    slow: dict[str, int] = {}
    for load in (Load("constant", rate_per_s=50), Load("closed", 2)):
        with running(settings) as server:
            found = await measured(server, load, 150, 4)
            epoch_ns = min(one.arrival_ns for one in server.log())
        time = WorkingTime(settings.stalls, epoch_ns)
        ttft = [row.ttft_ms or 0 for _, row in found]
        slow[load.arrivals] = sum(value > 250 for value in ttft)
        if load.arrivals == "constant":
            due = [timing.scheduled_ns for timing, _ in found]
            implied = [(time.after(at, 20_000_000) - at) / 1e6 for at in due]
            assert np.percentile(ttft, 95) == pytest.approx(np.percentile(implied, 95), rel=0.2)
            assert np.percentile(implied, 95) > 500
    assert slow["constant"] >= 30  # a second's worth of requests, less those that waited under 250 ms
    assert slow["closed"] <= 4  # as many as were inside; wide for a busy machine


async def test_slots_give_the_capacity_that_their_number_implies() -> None:
    with running(MockSettings(ttft_ms=30, gap_ms=5, slots=4)) as server:
        found = await measured(server, Load("poisson", rate_per_s=200), 120, 7)
        log = sorted((one for one in server.log() if len(one.sent_ns) == 7), key=lambda one: one.number)
    assert all(row.error is None for _, row in found)
    busy_s = ((log[-1].started_ns or 0) - (log[4].started_ns or 0)) / 1e9
    assert (len(log) - 5) / busy_s == pytest.approx(4 / 0.060, rel=0.02)  # e2e is 30 + 6 x 5 ms
