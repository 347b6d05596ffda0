"""Does it need the same memory? What is counted from tensors exactly, what a process holds within 2 %."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from statistics import mean, variance

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
    found = [finding for reading in shared for finding in _judged(reading, old[reading], new[reading])]
    return together(name, "memory", [*_alike(shared, old, new), *found, *_missing(both, old, new)])


def _missing(both: Both, old: _Values, new: _Values) -> Iterator[Finding]:
    """Readings of one run only."""
    why = next((f": {row.message}" for row in both.new.failures if row.axis == "memory"), "")
    for reading in (one for one in old if one not in new and one.quantity not in OTHERS):
        yield Finding("not reproduced", f"{_name(reading)}: the new run has none, and the old one has{why}")
    for reading in (one for one in new if one not in old and one.quantity not in OTHERS):
        yield Finding("not comparable", f"{_name(reading)}: the old run has none")


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
    allowed, tolerance = _allowed(reading.quantity, before), _tolerance(reading.quantity)
    if abs(after - before) <= allowed:
        if _error(old, new) > allowed:
            yield Finding("not comparable", f"{said}: {_apart(old, new)} to place it within {tolerance}", statistics)
    elif _beyond(old, new, allowed):
        yield Finding("not reproduced", f"{said}: more than {tolerance}", statistics)
    elif min(len(old), len(new)) < 2:
        single = "one process cannot show how far processes of one run differ"
        yield Finding("not comparable", f"{said}: {single}", statistics)
    else:
        yield Finding("not comparable", f"{said}: {_apart(old, new)} to place it within {tolerance}", statistics)


def _error(old: Sequence[int], new: Sequence[int]) -> float:
    """The standard error of the difference of means, as far as processes show it; 0 where each run has one alone."""
    return sqrt(sum(variance(values) / len(values) for values in (old, new) if len(values) > 1))


def _beyond(old: Sequence[int], new: Sequence[int], allowed: float) -> bool:
    """Whether the whole interval of the difference lies beyond what is allowed. Where no process of a run differed
    from another it has no width; that one alone cannot say."""
    if min(len(old), len(new)) < 2:
        return False
    found = welch([float(value) for value in new], [float(value) for value in old])
    if found.interval is None:
        return abs(found.value) > allowed
    return found.interval.low > allowed or found.interval.high < -allowed


def _apart(old: Sequence[int], new: Sequence[int]) -> str:
    ranges = "; ".join(f"{run} {min(values):,} to {max(values):,}" for run, values in (("old", old), ("new", new)))
    return f"processes of one run lie too far apart ({ranges} bytes)"


def _allowed(quantity: MemoryQuantity, before: float) -> float:
    if quantity in ALLOCATED:
        return max(float(BLOCK), ALLOCATED_SHARE * before)
    return PROCESS_SHARE * abs(before)


def _tolerance(quantity: MemoryQuantity) -> str:
    return "1 % or one block of 2 MiB" if quantity in ALLOCATED else "2 %"


def _alike(shared: Sequence[Reading], old: _Values, new: _Values) -> Iterator[Finding]:
    """What agrees, by kind."""
    counted = [r for r in shared if r.quantity in COUNTED]
    same = [r for r in counted if set(old[r]) == set(new[r])]
    if same:
        said = f"{len(same)} of {len(counted)} counts of tensors are the same to the byte"
        yield Finding("reproduced", said, {"tensors.same": float(len(same)), "tensors.n": float(len(counted))})
    for kind in (ALLOCATED, frozenset({r.quantity for r in shared}) - COUNTED - ALLOCATED):
        yield from _close([r for r in shared if r.quantity in kind], old, new)


def _close(rest: Sequence[Reading], old: _Values, new: _Values) -> Iterator[Finding]:
    """rest: of one tolerance."""
    ratios = {r: mean(new[r]) / mean(old[r]) for r in rest if mean(old[r]) > 0}
    close = [r for r in rest if abs(mean(new[r]) - mean(old[r])) <= _allowed(r.quantity, mean(old[r]))]
    if close and ratios:
        farthest = max(ratios.values(), key=lambda ratio: abs(ratio - 1))
        what = "allocator" if close[0].quantity in ALLOCATED else "processes"
        said = f"{len(close)} of {len(rest)} readings of the {what} lie within {_tolerance(close[0].quantity)}"
        statistics = {f"{what}.farthest_ratio": farthest, f"{what}.n": float(len(rest))}
        yield Finding("reproduced", f"{said}; the farthest of all: {farthest - 1:+.2%}", statistics)


def _name(reading: Reading) -> str:
    return f"{reading.stage} {reading.quantity} {reading.image} batch {reading.batch}"
