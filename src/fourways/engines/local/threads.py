"""How many threads the model runs on: measured, not assumed.

A small model is often slower on two threads than on one, on a busy machine many times so (each operation waits for
its slowest thread); a large one is not. So one prefill and a few decode steps are timed on each count, alternately.
"""

from __future__ import annotations

import os
import statistics
import time

import torch

from fourways.engines.local.kv import KVStore
from fourways.families.contract import Family

_ROUNDS = 5
_GAIN = 0.7
"""More threads must need at most this share of one thread's time. They wait for each other at every operation and take
cores from preprocessing, which a trial does not see: where it saved an eighth, requests took 2.6 times as long."""
_PATIENCE_S = 4.0
RULE = (
    f"all usable cores if they needed less than {_GAIN:g} of one thread's time in the median of alternate trials, and "
    "less than all of it in each; else one thread"
)


def cores() -> int:
    """Cores that this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_threads(family: Family) -> tuple[int, str]:
    """The count to use on this machine now, and how it was found. Leaves torch's own setting as it was."""
    most = cores()
    if family.spec.device.type != "cpu":
        return torch.get_num_threads(), "torch's default: the model runs on the device"
    if most == 1:
        return 1, "one core"
    before = torch.get_num_threads()
    taken: dict[int, list[float]] = {1: [], most: []}
    began = time.perf_counter()
    try:
        for _ in range(_ROUNDS):
            for count, seconds in taken.items():
                torch.set_num_threads(count)
                seconds.append(_trial(family))
            if time.perf_counter() - began > _PATIENCE_S:
                break
    finally:
        torch.set_num_threads(before)
    ratios = [many / one for one, many in zip(taken[1], taken[most], strict=True)]
    chosen = most if statistics.median(ratios) < _GAIN and max(ratios) < 1 else 1
    return chosen, ", ".join(f"{count}: {statistics.median(s) * 1e3:.1f} ms" for count, s in taken.items())


def _trial(family: Family) -> float:
    """Seconds of one prefill (4 x 48 tokens) and three decode steps (batch 4)."""
    rows, query, steps = 4, 48, 3
    with torch.inference_mode():
        store = KVStore(family.spec, max_rows=rows, max_bytes=rows * 128 * family.spec.kv_bytes_per_token)
        store.add(rows, query + steps)
        began = time.perf_counter()
        for start, length in ((0, query), *((query + n, 1) for n in range(steps))):
            tokens = torch.zeros((rows, length), dtype=torch.long)
            positions = torch.arange(start, start + length).expand(family.spec.position_rows, rows, length)
            window = store.window(0, [start] * rows, length)
            hidden = family.forward(family.embed_tokens(tokens), positions, window.mask(), window)
            family.logits(hidden[:, -1])
        return time.perf_counter() - began
