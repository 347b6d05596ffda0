"""How a figure is written: value, interval and n in one look, or why there is no value (rule 1)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

from fourways.core.figure import Figure

EN_DASH = "\N{EN DASH}"
_BYTES = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10), ("B", 1))
_FLOPS = (("Tflop/s", 10**12), ("Gflop/s", 10**9), ("Mflop/s", 10**6))


@dataclass(frozen=True, slots=True)
class Shown:
    """value: with its unit, or the status in words. interval: "low – high", empty if none. n: with its unit."""

    value: str
    interval: str
    n: str
    measured: bool

    @property
    def short(self) -> str:
        """The value, or the status without its reason: for pictures, whose tables say the rest."""
        return self.value if self.measured or len(self.value) <= 24 else self.value.partition(":")[0]

    @property
    def line(self) -> str:
        """All on one line."""
        return " ".join(part for part in (self.value, f"[{self.interval}]" if self.interval else "", self.n) if part)


@dataclass(frozen=True, slots=True)
class Scale:
    """A unit as it is printed: value / divisor, with so many decimals, and its suffix; sign "+" shows both signs."""

    divisor: float
    decimals: int
    suffix: str
    sign: Literal["-", "+"] = "-"

    def bare(self, value: float) -> str:
        text = f"{value / self.divisor:{self.sign},.{self.decimals}f}"
        return text.replace("-", "\N{MINUS SIGN}") if float(text.replace(",", "")) else text.lstrip("+-")

    def full(self, value: float) -> str:
        return f"{self.bare(value)}{self.suffix}"


def scale_for(unit: str, largest: float) -> Scale:
    """The scale in which numbers of that unit, up to `largest` in size, are printed."""
    size = abs(largest) if math.isfinite(largest) else 1.0
    if unit.startswith("points of "):
        return Scale(1, 0, f" of {unit.removeprefix('points of ')}")
    if unit in {"fraction", "accuracy", "share"}:
        return Scale(0.01, 1, " %")
    if unit in {"bytes", "bytes/s"}:
        suffix, divisor = next(((s, d) for s, d in _BYTES if size >= d), _BYTES[-1])
        return Scale(
            divisor, 0 if divisor == 1 else _decimals(size / divisor), f" {suffix}{unit.removeprefix('bytes')}"
        )
    if unit == "flop/s":
        suffix, divisor = next(((s, d) for s, d in _FLOPS if size >= d), _FLOPS[-1])
        return Scale(divisor, _decimals(size / divisor), f" {suffix}")
    if unit == "ms" and size >= 10_000:
        return Scale(1000, _decimals(size / 1000), " s")
    return Scale(1, _decimals(size), f" {unit}" if unit and unit not in {"1", "score", "points", "ratio"} else "")


def show(figure: Figure | None) -> Shown:
    """A figure as it is printed. None: the axis gave none. Too few prints as such, not as a number."""
    if figure is None:
        return Shown("not run", "", "", measured=False)
    n = f"n = {figure.n:,} {figure.n_unit}".rstrip()
    if figure.status == "too_few":
        return Shown(f"n too small: {figure.reason}" if figure.reason else "n too small", "", n, measured=False)
    if figure.status != "ok" or figure.value is None:
        why = f": {figure.reason}" if figure.reason else ""
        return Shown(f"{figure.status}{why}", "", n if figure.n else "", measured=False)
    scale = scale_for(figure.unit, largest(figure))
    if is_difference(figure):
        scale = replace(scale, suffix=" pp" if figure.unit == "fraction" else scale.suffix, sign="+")
    interval = ""
    if figure.low is not None and figure.high is not None:
        interval = f"{scale.bare(figure.low)} {'to' if scale.sign == '+' else EN_DASH} {scale.bare(figure.high)}"
    return Shown(scale.full(figure.value), interval, n, measured=True)


def is_difference(figure: Figure) -> bool:
    """Whether the value is one thing minus another: then shares differ by percentage points, and the sign is shown."""
    return figure.metric == "gain" or "versus" in figure.labels


def largest(figure: Figure) -> float:
    """The largest size among value and interval: it decides the unit in which all three are printed."""
    return max((abs(v) for v in (figure.value, figure.low, figure.high) if v is not None), default=0.0)


def _decimals(size: float) -> int:
    """For three digits; a size that rounds up to the next power of ten is one of those."""
    if size >= 99.95 or size == 0:
        return 0
    if size >= 9.995:
        return 1
    return 2 if size >= 0.9995 else 3
