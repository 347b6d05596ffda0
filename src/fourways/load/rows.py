"""What was observed → the rows that stand in `rows.jsonl`."""

from __future__ import annotations

from itertools import pairwise

from fourways.core.events import Usage
from fourways.core.load import Load
from fourways.core.rows import Cache, ClientRow, RequestRow
from fourways.load.client import Ask, Timing
from fourways.load.meter import Health


def request_row(
    timing: Timing,
    ask: Ask,
    *,
    candidate: str,
    workload: str,
    load: Load,
    cache: Cache,
    block: int,
    restart: int = 0,
) -> RequestRow:
    """ttft, e2e and tpot as DESIGN defines them, None where undefined: all three without visible text or with an error,
    tpot also below two tokens or where the engine tells no count. ask: the one that `timing` is of."""
    usage = timing.done.usage if timing.done is not None else Usage(None, None, None)
    told = timing.content_ns if timing.error is None else []
    ttft_ms = _ms(told[0] - timing.scheduled_ns) if told else None
    e2e_ms = _ms(told[-1] - timing.scheduled_ns) if told else None
    tokens = usage.completion_tokens
    tpot_ms = None
    if ttft_ms is not None and e2e_ms is not None and tokens is not None and tokens >= 2:
        tpot_ms = (e2e_ms - ttft_ms) / (tokens - 1)
    return RequestRow(
        candidate=candidate,
        workload=workload,
        concurrency=load.concurrency,
        cache=cache,
        block=block,
        item=ask.item,
        image=ask.image,
        scheduled_ms=_ms(timing.scheduled_ns - timing.started_ns),
        dispatched_ms=_ms(timing.dispatched_ns - timing.started_ns),
        ttft_ms=ttft_ms,
        e2e_ms=e2e_ms,
        tpot_ms=tpot_ms,
        chunk_gaps_ms=tuple(_ms(after - before) for before, after in pairwise(told)),
        prompt_tokens=usage.prompt_tokens,
        visual_tokens=usage.visual_tokens,
        output_tokens=tokens,
        stages_ms=_stages_ms(timing),
        error=timing.error,
        arrivals=load.arrivals,
        rate_per_s=load.rate_per_s,
        from_rate_per_s=load.from_rate_per_s,
        restart=restart,
        adapter=ask.request.plan.adapter,
    )


def client_row(
    health: Health,
    *,
    candidate: str,
    workload: str,
    load: Load,
    cache: Cache,
    block: int,
    restart: int = 0,
) -> ClientRow:
    """What `Meter.health` said of one block."""
    return ClientRow(
        candidate=candidate,
        workload=workload,
        load=load,
        cache=cache,
        block=block,
        wall_ms=health.wall_ms,
        cpu_ms=health.cpu_ms,
        lag_n=health.lag_n,
        lag_p50_ms=health.lag_p50_ms,
        lag_p99_ms=health.lag_p99_ms,
        lag_max_ms=health.lag_max_ms,
        shares_process=health.shares_process,
        client_bound=health.client_bound,
        restart=restart,
    )


def _stages_ms(timing: Timing) -> dict[str, float]:
    decoded = {} if timing.decode_ms is None else {"media_decode": timing.decode_ms}
    return {**decoded, **(timing.done.stages_ms if timing.done is not None else {})}


def _ms(nanoseconds: int) -> float:
    return nanoseconds / 1e6
