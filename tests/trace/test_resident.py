"""Peak resident size: a block that was touched and freed is in the peak, and gone after a reset."""

from __future__ import annotations

import numpy as np
import pytest

from fourways.trace import resident
from fourways.trace.resident import PeakResident, resident_bytes

BLOCK = 64 * 2**20


@pytest.mark.parametrize("method", ["kernel high-water mark", "sampled every 2 ms"])
def test_a_freed_block_stays_in_the_peak_until_the_reset(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if method != "kernel high-water mark":
        monkeypatch.setattr(resident, "_reset_mark", lambda: False)
    with PeakResident() as watch:
        if watch.method != method:
            pytest.skip("this kernel does not let a process reset its high-water mark")
        before = resident_bytes()
        block = np.ones(BLOCK, dtype=np.uint8)
        for _ in range(50):  # some milliseconds alive, for the sampler
            block += 1
        del block
        assert watch.peak() - before > 0.9 * BLOCK
        watch.reset()
        assert watch.peak() - before < 0.5 * BLOCK
