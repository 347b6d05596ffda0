"""Energy: joules an answer, where a device counts them itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from fourways.core.figure import Figure
from fourways.core.rows import EnergyRow
from fourways.figures.definition import Definition, Estimate, absent, figure
from fourways.figures.failures import Failures
from fourways.figures.requests import Setting
from fourways.stats import t_interval

JOULES_PER_ANSWER = Definition(
    "joules_per_answer", "latency", "J", "lower", "blocks",
    "what the device drew during a block / answers in it, idle power and all else that ran there included; mean over "
    "blocks long enough for the counter (NVML's: 5 s, because its source is sampled, on some GPUs a quarter of the "
    "time; RAPL's: 0.1 s)",
    "Student's t over blocks",
    version=2,
)  # fmt: skip
DEFINITIONS = (JOULES_PER_ANSWER,)


@dataclass(slots=True)
class Energy:
    """Collects blocks; `figures` computes."""

    _blocks: dict[tuple[str, Setting, str], list[EnergyRow]] = field(default_factory=dict)

    def add(self, row: EnergyRow) -> None:
        where = (row.candidate, Setting(row.workload, row.load, row.cache), row.method)
        self._blocks.setdefault(where, []).append(row)

    def figures(self, failures: Failures) -> Iterator[Figure]:
        """By candidate and setting; one without a value for a candidate whose energy nobody could say."""
        for candidate, (status, reason) in failures.without("latency", "energy").items():
            yield absent(JOULES_PER_ANSWER, candidate, status, reason, {})
        for (candidate, setting, counter), rows in self._blocks.items():
            labels = {**setting.labels, "counter": counter}
            long = [row for row in rows if row.seconds >= row.least_s and row.answers > 0]
            if not long:
                yield absent(JOULES_PER_ANSWER, candidate, "undefined", _too_short(rows), labels)
                continue
            values = [row.joules / row.answers for row in long]
            note = None if len(long) == len(rows) else f"{len(rows) - len(long)} of {len(rows)} blocks were too short"
            estimate = Estimate(sum(values) / len(values), t_interval(values), len(values), note)
            yield figure(JOULES_PER_ANSWER, candidate, estimate, labels)


def _too_short(rows: Sequence[EnergyRow]) -> str:
    longest = max(rows, key=lambda row: row.seconds)
    if longest.seconds >= longest.least_s:
        return "no block that was long enough had an answer"
    return f"the longest block took {longest.seconds:.2g} s, and its counter needs {longest.least_s:g} s"
