"""How the load client fared: whether the times are the engine's, or the client's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from fourways.core.figure import Figure
from fourways.core.rows import ClientRow
from fourways.figures.definition import Definition, Estimate, figure
from fourways.stats import t_interval

_OVER_BLOCKS = "Student's t over blocks"
LAG = Definition(
    "client_lag_p99", "latency", "ms", "lower", "blocks",
    "mean over blocks of the 99th percentile of how much later than asked the client's event loop woke from short "
    "sleeps",
    _OVER_BLOCKS,
)  # fmt: skip
CPU = Definition(
    "client_cpu", "latency", "cores", "lower", "blocks",
    "mean over blocks of the client's processor time / time; where the engine runs in the client's process, the two "
    "cannot be told apart",
    _OVER_BLOCKS,
)  # fmt: skip
DEFINITIONS = (LAG, CPU)


@dataclass(slots=True)
class Client:
    """The client in one setting of one candidate."""

    lag: list[float] = field(default_factory=list)
    cores: list[float] = field(default_factory=list)
    bound: list[str] = field(default_factory=list)
    shares_process: bool = False

    def add(self, row: ClientRow) -> None:
        self.lag.append(row.lag_p99_ms)
        self.cores.append(row.cpu_ms / row.wall_ms if row.wall_ms > 0 else 0.0)
        self.shares_process = self.shares_process or row.shares_process
        if row.client_bound is not None:
            self.bound.append(row.client_bound)

    def noted(self, found: Estimate) -> Estimate:
        """The same number, marked where the client may have set it."""
        if not self.bound:
            return found
        blocks = f"{len(self.bound)} of {len(self.lag)} blocks" if len(self.lag) > 1 else "its block"
        return replace(found, marked=f"client-bound in {blocks}: {self.bound[0]}")

    def figures(self, candidate: str, labels: Mapping[str, str]) -> Iterator[Figure]:
        if not self.lag:
            return
        for definition, values, note in (
            (LAG, self.lag, None),
            (CPU, self.cores, "with the engine's own work" if self.shares_process else None),
        ):
            yield figure(
                definition, candidate, Estimate(float(np.mean(values)), t_interval(values), len(values), note), labels
            )
