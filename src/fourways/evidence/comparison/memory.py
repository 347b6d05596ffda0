"""Does it need the same memory? What is counted from tensors exactly, what a process holds within 2 %."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean

from fourways.core.rows import MemoryQuantity, MemoryRow
from fourways.core.verdict import AxisVerdict
from fourways.evidence.comparison.conditions import apart
from fourways.evidence.comparison.facts import Both
from fourways.evidence.comparison.findings import Finding, of_a_loss, together
from fourways.figures.memory import Reading
from fourways.stats import welch

COUNTED: frozenset[MemoryQuantity] = frozenset({"exact", "live_tensors"})
ALLOCATED: frozenset[MemoryQuantity] = frozenset({"allocated", "reserved", "active"})
"""CUDA's allocator hands out whole blocks, so that one more or less is no difference."""
OTHERS: frozenset[MemoryQuantity] = frozenset({"non_torch", "device", "inactive_split"})
"""Not judged: other processes and the allocator's history are in it."""
BLOCK, ALLOCATED_SHARE, PROCESS_SHARE = 2 << 20, 0.01, 0.02
_Values = Mapping[Reading, Sequence[int]]


def memory(both: Both) -> AxisVerdict:
    """One finding for each reading that is not the same; one that counts those that are."""
    name = both.new_name
    if (lost := of_a_loss(both, "memory")) is not None:
        return together(name, "memory", [lost])
    if reasons := apart(both):
        return together(name, "memory", [Finding("not comparable", reason) for reason in reasons])
    old, new = _by_reading(both.old.memory), _by_reading(both.new.memory)
    shared = [reading for reading in old if reading in new and reading.quantity not in OTHERS]
    if not shared:
        return together(name, "memory", [Finding("not comparable", "nothing was measured in both runs")])
    missing = [f"{_name(r)}: measured in one run only" for r in old.keys() ^ new.keys() if r.quantity not in OTHERS]
    found = [finding for reading in shared for finding in _judged(reading, old[reading], new[reading])]
    found += [Finding("not comparable", text) for text in missing]
    return together(name, "memory", [*_alike(shared, old, new), *found])


def _by_reading(rows: Sequence[MemoryRow]) -> dict[Reading, list[int]]:
    found: dict[Reading, list[int]] = {}
    for row in rows:
        reading = Reading(row.stage, row.quantity, "{}x{}".format(*row.image_size), row.batch)
        found.setdefault(reading, []).append(row.bytes)
    return found


def _judged(reading: Reading, old: Sequence[int], new: Sequence[int]) -> Iterator[Finding]:
    """Nothing where it is the same."""
    before, after = mean(old), mean(new)
    said = f"{_name(reading)}: {before:,.0f} → {after:,.0f} bytes"
    statistics = {f"{_name(reading)}.ratio": after / before} if before else {}
    if reading.quantity in COUNTED:
        if set(old) != set(new):
            yield Finding("not reproduced", f"{said}: tensors are counted, and must be the same", statistics)
        return
    allowed = _allowed(reading.quantity, before)
    if abs(after - before) <= allowed:
        return
    interval = welch([float(value) for value in new], [float(value) for value in old]).interval
    beyond = interval is None or min(abs(interval.low), abs(interval.high)) > allowed
    if beyond and (interval is None or not interval.contains(0.0)):
        yield Finding("not reproduced", f"{said}: more than {_tolerance(reading.quantity)}", statistics)
        return
    spread = f"processes of one run lie {min(*old, *new):,} to {max(*old, *new):,} bytes apart"
    yield Finding("not comparable", f"{said}: {spread}, too far to place it within {_tolerance(reading.quantity)}")


def _allowed(quantity: MemoryQuantity, before: float) -> float:
    if quantity in ALLOCATED:
        return max(float(BLOCK), ALLOCATED_SHARE * before)
    return PROCESS_SHARE * before


def _tolerance(quantity: MemoryQuantity) -> str:
    return "1 % or one block of 2 MiB" if quantity in ALLOCATED else "2 %"


def _alike(shared: Sequence[Reading], old: _Values, new: _Values) -> Iterator[Finding]:
    """What agrees, by kind."""
    counted = [r for r in shared if r.quantity in COUNTED]
    same = [r for r in counted if set(old[r]) == set(new[r])]
    if same:
        said = f"{len(same)} of {len(counted)} counts of tensors are the same to the byte"
        yield Finding("reproduced", said, {"tensors.same": float(len(same)), "tensors.n": float(len(counted))})
    rest = [r for r in shared if r.quantity not in COUNTED]
    ratios = {r: mean(new[r]) / mean(old[r]) for r in rest if mean(old[r]) > 0}
    close = [r for r in rest if abs(mean(new[r]) - mean(old[r])) <= _allowed(r.quantity, mean(old[r]))]
    if close and ratios:
        farthest = max(ratios.values(), key=lambda ratio: abs(ratio - 1))
        said = f"{len(close)} of {len(rest)} readings of processes lie within {_tolerance(close[0].quantity)}"
        statistics = {"processes.farthest_ratio": farthest, "processes.n": float(len(rest))}
        yield Finding("reproduced", f"{said}; the farthest of all: {farthest - 1:+.2%}", statistics)


def _name(reading: Reading) -> str:
    return f"{reading.stage} {reading.quantity} {reading.image} batch {reading.batch}"
