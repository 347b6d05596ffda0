"""Bytes over time while a process works through stages, kept small whatever the length.

Each stage keeps points of its own. When they grow too many, its time is cut into equal slices and each slice keeps its
first, last, least and greatest point (the M4 reduction: Jugel et al., PVLDB 7(10), 2014, section 4), so that a drawn
line looks the same and the highest point of every stage always stays.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from fourways.core.rows import MemoryStage

MOST_A_STAGE = 64
_HELD_A_STAGE = 8192

Point = tuple[float, int]
"""Milliseconds since the timeline began, bytes."""


@dataclass(slots=True)
class _Stage:
    name: MemoryStage
    from_ms: float
    to_ms: float = 0.0
    points: list[Point] = field(default_factory=list)


class Timeline:
    """Call `put` with every new size; what is put outside a stage is not kept. clock: nanoseconds."""

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._began = clock()
        self._stages: list[_Stage] = []
        self._open: _Stage | None = None

    def restart(self) -> None:
        """Milliseconds count from now on; for before the first stage."""
        self._began = self._clock()

    @contextmanager
    def stage(self, name: MemoryStage, size: int) -> Iterator[None]:
        """What is put in this block belongs to `name`. size: bytes at its beginning."""
        self._open = _Stage(name, self._now())
        self._stages.append(self._open)
        self.put(size)
        try:
            yield
        finally:
            self._open.to_ms = self._now()
            self._open = None

    def put(self, size: int) -> None:
        if self._open is None:
            return
        points = self._open.points
        points.append((self._now(), size))
        if len(points) > _HELD_A_STAGE:
            points[:] = thin(points, _HELD_A_STAGE // 2)

    def points(self) -> tuple[Point, ...]:
        """All stages' points in order of time, at most MOST_A_STAGE of each."""
        return tuple(point for stage in self._stages for point in thin(stage.points, MOST_A_STAGE))

    def stages(self) -> tuple[tuple[MemoryStage, float, float], ...]:
        """Name, beginning and end in ms of each stage."""
        return tuple((stage.name, stage.from_ms, stage.to_ms) for stage in self._stages)

    def _now(self) -> float:
        return (self._clock() - self._began) / 1e6


def thin(points: Sequence[Point], most: int) -> list[Point]:
    """At most `most` (4 or more) of the points, which are in order of time: of each slice of time the first, the last,
    and the first of its least and of its greatest ones."""
    if len(points) <= most:
        return list(points)
    start, width = points[0][0], (points[-1][0] - points[0][0]) or 1.0
    slices: list[list[int]] = [[] for _ in range(most // 4)]
    for index, (at, _) in enumerate(points):
        slices[min(int((at - start) / width * len(slices)), len(slices) - 1)].append(index)
    kept: list[Point] = []
    for inside in slices:
        if inside:
            least = min(inside, key=lambda i: points[i][1])
            greatest = max(inside, key=lambda i: points[i][1])
            kept += [points[i] for i in sorted({inside[0], inside[-1], least, greatest})]
    return kept
