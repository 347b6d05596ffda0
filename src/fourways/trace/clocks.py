"""Laying one clock on another by brackets, and saying how well it fits.

A *bracket* is a reading of the other clock between two readings of the host's: the host's instant of that reading lies
somewhere between. Many brackets are taken at the start and again at the end; the tightest of both ends fix offset and
drift. What is published is not the fit's own error but a bound: the furthest that a laid-on instant can lie from the
true one, which is known only to lie within its bracket. So a wide bracket shows as a large residual even if its middle
happens to be right. Pure functions over arrays of nanoseconds; the device's part is `cuda_clock`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fourways.core.run import ClockRecord

Nanoseconds = NDArray[np.int64]

TARGET_NS = 83.0
"""The specification's: the residual's 99th percentile should not exceed it."""
KEPT = 0.25
"""The share of each end's brackets, the tightest, that a fit rests on: the others were interrupted."""
FEWEST = 5


@dataclass(frozen=True)
class Brackets:
    """before, after: the host's clock around the reading `device` of the other, all int64 nanoseconds of one length."""

    before: Nanoseconds
    device: Nanoseconds
    after: Nanoseconds

    def __post_init__(self) -> None:
        if not len(self.before) == len(self.device) == len(self.after):
            raise ValueError("a bracket has three readings: before, device and after are of one length")
        if (self.after < self.before).any():
            raise ValueError("a bracket ends before it begins")

    def __add__(self, later: Brackets) -> Brackets:
        return Brackets(
            np.concatenate([self.before, later.before]),
            np.concatenate([self.device, later.device]),
            np.concatenate([self.after, later.after]),
        )

    @property
    def half_widths(self) -> NDArray[np.float64]:
        return (self.after - self.before) / 2

    def tightest(self) -> Brackets:
        """The quarter with the narrowest brackets, at least five."""
        count = max(FEWEST, int(len(self.before) * KEPT))
        kept = np.sort(np.argsort(self.half_widths, kind="stable")[:count])
        return Brackets(self.before[kept], self.device[kept], self.after[kept])


@dataclass(frozen=True)
class Alignment:
    """host = device + whole_ns + part_ns + (device - reference_ns) × drift. Of the brackets that it rests on: how far a
    laid-on instant can lie from the true one, in ns (p50, p99, largest), and how many they are.

    The offset is in two pieces because a float cannot hold it: a wall clock is 1.8e18 ns ahead, where floats are 256
    ns apart."""

    reference_ns: int
    whole_ns: int
    part_ns: float
    drift: float
    residual_p50_ns: float
    residual_p99_ns: float
    residual_max_ns: float
    brackets: int

    @property
    def offset_ns(self) -> float:
        return self.whole_ns + self.part_ns

    @property
    def drift_ppb(self) -> float:
        return self.drift * 1e9

    def to_host(self, device: Nanoseconds) -> Nanoseconds:
        """The host's instants of these instants of the device."""
        since = (device - self.reference_ns).astype(np.float64)
        return device + self.whole_ns + np.rint(self.part_ns + since * self.drift).astype(np.int64)


def align(start: Brackets, end: Brackets) -> Alignment:
    """Offset and drift from brackets taken at both ends of a measurement. Raises ValueError below five at an end, or if
    the ends are not apart in the device's time."""
    if min(len(start.before), len(end.before)) < FEWEST:
        raise ValueError(f"an alignment needs {FEWEST} brackets at each end")
    kept = start.tightest(), end.tightest()
    reference, whole = int(kept[0].device[0]), int(kept[0].before[0] - kept[0].device[0])
    (at, ahead), (later, ahead_later) = (_middle(part, reference, whole) for part in kept)
    if later <= at:
        raise ValueError("the brackets at the end were not taken after those at the start")
    drift = (ahead_later - ahead) / (later - at)
    part = ahead - drift * at
    residual = residuals(kept[0] + kept[1], reference, whole, part, drift)
    p50, p99 = (float(value) for value in np.percentile(residual, [50, 99]))
    return Alignment(reference, whole, part, drift, p50, p99, float(residual.max()), len(residual))


def residuals(
    brackets: Brackets, reference_ns: int, whole_ns: int, part_ns: float, drift: float
) -> NDArray[np.float64]:
    """For each bracket the distance of its laid-on instant from the farther of its two host readings, ns."""
    laid_on = part_ns + (brackets.device - reference_ns) * drift
    shifted = brackets.device + whole_ns
    return np.maximum(np.abs(laid_on - (brackets.before - shifted)), np.abs(laid_on - (brackets.after - shifted)))


def violations(caused_ns: Nanoseconds, began_ns: Nanoseconds) -> int:
    """How many began before their own cause: kernels before their launch, both on the host's clock."""
    return int(np.count_nonzero(began_ns < caused_ns))


def elapsed_quantum_ns(elapsed_ms: float) -> float:
    """Half a step of `cudaEventElapsedTime` at this length: it is a float32 of milliseconds. At most 122 ns up to 4 s,
    31 µs at 1000 s; so anchor again every 4 s."""
    return float(np.spacing(np.float32(abs(elapsed_ms)))) / 2 * 1e6


def aligned_clock(name: str, resolution_ns: float, found: Alignment, broken: int, note: str) -> ClockRecord:
    """The record of a device's clock that was laid on the host's. broken: causality violations."""
    return ClockRecord(
        name=name,
        resolution_ns=resolution_ns,
        residual_ns=found.residual_max_ns,
        note=f"{note}; {found.brackets} brackets at both ends; a residual is a bound and holds the bracket's width",
        residual_p50_ns=found.residual_p50_ns,
        residual_p99_ns=found.residual_p99_ns,
        offset_ns=found.offset_ns,
        drift_ppb=found.drift_ppb,
        target_ns=TARGET_NS,
        met=found.residual_p99_ns <= TARGET_NS,
        causality_violations=broken,
    )


def _middle(brackets: Brackets, reference_ns: int, whole_ns: int) -> tuple[float, float]:
    """The device's mean time after the reference, and how far beyond `whole_ns` the host was ahead then, by the
    brackets' middles."""
    ahead = (brackets.before - brackets.device - whole_ns) + brackets.half_widths
    return float(np.mean(brackets.device - reference_ns)), float(np.median(ahead))
