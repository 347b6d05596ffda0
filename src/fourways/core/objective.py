"""What the user wants of the answers: one objective of an SLO."""

from __future__ import annotations

from typing import Literal

import msgspec

ObjectiveMetric = Literal["ttft", "e2e", "tpot", "failures"]


class Objective(msgspec.Struct, frozen=True):
    """`ttft_p95=500ms`: at least `1 - allowed` of the requests have a ttft of at most `limit_ms`. `failures=1%`: at
    most `allowed` of them fail; limit_ms is then None. allowed: in (0, 1)."""

    metric: ObjectiveMetric
    allowed: float
    limit_ms: float | None = None

    @property
    def label(self) -> str:
        """As it is written after `--slo`."""
        if self.limit_ms is None:
            return f"failures={100 * self.allowed:g}%"
        return f"{self.metric}_p{100 - 100 * self.allowed:g}={self.limit_ms:g}ms"

    def missed(self, ttft_ms: float | None, e2e_ms: float | None, tpot_ms: float | None, failed: bool) -> bool:
        """Whether one request misses it. A failed request misses all; one without a tpot (a single token) keeps it."""
        if failed or self.limit_ms is None:
            return failed
        return self._above(self.limit_ms, ttft_ms, e2e_ms, tpot_ms)

    def nearly_missed(self, ttft_ms: float | None, e2e_ms: float | None, tpot_ms: float | None, failed: bool) -> bool:
        """Whether it misses it, or would miss half of its limit."""
        if failed or self.limit_ms is None:
            return failed
        return self._above(self.limit_ms / 2, ttft_ms, e2e_ms, tpot_ms)

    def _above(self, limit_ms: float, ttft_ms: float | None, e2e_ms: float | None, tpot_ms: float | None) -> bool:
        if self.metric == "failures":
            return False
        value = {"ttft": ttft_ms, "e2e": e2e_ms, "tpot": tpot_ms}[self.metric]
        return value is not None and value > limit_ms
