"""When requests are due."""

from __future__ import annotations

import math
import random

from fourways.core.load import Load
from fourways.core.request import derive_seed


def instants(load: Load, count: int, seed: int) -> list[float]:
    """The instants at which the `count` requests of an open loop are due, in seconds after its start; they never fall.

    constant: every 1 / rate seconds, from 0. poisson: the first `count` points of a Poisson process, as it falls: the
    gaps, the first one from the start, are independent and exponential with mean 1 / rate, and are not stretched to
    meet the rate over a run. A larger `count` only adds points. ramp: request i is due when the integral of the rate
    has reached i; the rate is the last one when it has reached `count`.
    Raises ValueError for a closed loop and for a replay, which know no instants of their own.
    """
    rate = load.rate_per_s
    if rate is None or load.arrivals in ("closed", "replay"):
        raise ValueError(f"{load.arrivals} arrivals have no instants of their own")
    if load.arrivals == "constant":
        return [index / rate for index in range(count)]
    if load.arrivals == "ramp":
        return _ramp(load.from_rate_per_s or 0.0, rate, count)
    return _poisson(rate, count, random.Random(derive_seed(seed, "arrivals")))


def _poisson(rate: float, count: int, luck: random.Random) -> list[float]:
    at, points = 0.0, []
    for _ in range(count):
        at -= math.log1p(-luck.random()) / rate
        points.append(at)
    return points


def _ramp(first: float, last: float, count: int) -> list[float]:
    """The roots of first·t + slope·t²/2 = i, where the slope brings the rate to `last` as the integral is `count`."""
    if not count:
        return []
    slope = (last**2 - first**2) / (2 * count)
    return [0.0] + [2 * i / (first + math.sqrt(first**2 + 2 * slope * i)) for i in range(1, count)]
