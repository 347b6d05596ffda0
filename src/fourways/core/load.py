"""How requests are sent to an engine: the noun that rows, figures and the load client share."""

from __future__ import annotations

from typing import Literal

import msgspec

from fourways.core.errors import UserError

Arrivals = Literal["closed", "constant", "poisson", "ramp", "replay"]


class Load(msgspec.Struct, frozen=True):
    """closed: `concurrency` requests are always inside, the next is due when one ends. The others are open loops, where
    a request is due at its instant whatever became of those before it: constant and poisson at `rate_per_s`; ramp at a
    rate that grows linearly from `from_rate_per_s` to `rate_per_s`; replay at the instants of a recorded trace, whose
    mean rate is `rate_per_s`. An open loop has no bound on what is inside."""

    arrivals: Arrivals = "closed"
    concurrency: int | None = None
    rate_per_s: float | None = None
    from_rate_per_s: float | None = None

    def __post_init__(self) -> None:
        if self.arrivals == "closed":
            if self.concurrency is None or self.concurrency < 1:
                raise UserError(f"a closed loop needs a concurrency of at least 1, not {self.concurrency}")
        elif self.rate_per_s is None or not 0 < self.rate_per_s < float("inf"):
            raise UserError(f"an open loop needs a rate above 0 requests a second, not {self.rate_per_s}")
        elif self.arrivals == "ramp" and (self.from_rate_per_s is None or self.from_rate_per_s < 0):
            raise UserError(f"a ramp needs a first rate of at least 0, not {self.from_rate_per_s}")

    @property
    def label(self) -> str:
        """As it stands in figures' labels: `closed 8`, `poisson 20/s`, `ramp 1-20/s`."""
        if self.arrivals == "closed":
            return f"closed {self.concurrency}"
        if self.arrivals == "ramp":
            return f"ramp {self.from_rate_per_s:g}-{self.rate_per_s:g}/s"
        return f"{self.arrivals} {self.rate_per_s:g}/s"

    @property
    def place(self) -> tuple[bool, str, float, float]:
        """Its place in a table: closed loops by concurrency, then open ones by rate."""
        size = self.concurrency if self.concurrency is not None else self.rate_per_s or 0.0
        return self.arrivals != "closed", self.arrivals, size, self.from_rate_per_s or 0.0
