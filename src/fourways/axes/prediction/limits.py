"""The most of one thing that fits: found by foreseeing a few workloads, not by a formula."""

from __future__ import annotations

from collections.abc import Callable

from fourways.axes.prediction.cards import Card, needed_bytes
from fourways.axes.prediction.forecast import Forecast

_IMPOSSIBLE = 1 << 62
"""What a workload needs that the model cannot take: more than any card has."""


def fits(forecast: Forecast, card: Card) -> bool:
    """Whether the highest peak fits the card, the reserve included."""
    return _need(forecast) <= card.usable_bytes


def largest(foresee: Callable[[int], Forecast | None], card: Card, start: int, most: int, step: int = 1) -> int | None:
    """The largest multiple of `step`, from `step` to `most`, whose workload fits the card; None if none does.

    foresee: the workload of a number, None if there can be none; a larger number must not need less. start: where to
    look first.
    """
    known: dict[int, int] = {}

    def need(count: int) -> int:
        if count not in known:
            forecast = foresee(count * step)
            known[count] = _IMPOSSIBLE if forecast is None else _need(forecast)
        return known[count]

    room, high = card.usable_bytes, most // step
    if need(1) > room:
        return None
    low, beyond = 1, high + 1
    guess = min(max(start // step, 2), high)
    while beyond - low > 1:
        if need(guess) <= room:
            low = guess
        else:
            beyond = guess
        guess = _between(low, beyond, known, room)
    return low * step


def _between(low: int, beyond: int, known: dict[int, int], room: int) -> int:
    """Where a line through the two nearest known needs meets the room; well inside, so that every look narrows."""
    if beyond in known:
        rise = (known[beyond] - known[low]) / (beyond - low)
    else:
        below = max((count for count in known if count < low), default=None)
        if below is None:
            return min(2 * low, beyond - 1)
        rise = (known[low] - known[below]) / (low - below)
    guess = low + int((room - known[low]) / rise) if rise > 0 else beyond - 1
    inset = max(1, (beyond - low) // 8)
    return min(max(guess, low + inset), beyond - inset)


def _need(forecast: Forecast) -> int:
    return needed_bytes(forecast.peak.peak_bytes, forecast.weights_bytes)
