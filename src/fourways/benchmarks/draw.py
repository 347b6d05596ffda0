"""Which samples a limited run asks, and in what order: whole images, whole groups, every category in proportion."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from fourways.benchmarks.contract import Sample


@dataclass(slots=True)
class _Unit:
    """Samples that are asked together or not at all: those of an image, and of every image that shares a group with
    it."""

    key: str
    category: str
    samples: list[Sample] = field(default_factory=list)


def draw(samples: Iterable[Sample], limit: int | None, seed: int) -> list[Sample]:
    """At most `limit` samples (None: all), drawn by `seed`, questions about one image adjacent, in the file's order
    else.

    Whole units are drawn: an image with all its questions and all rotations of each. Categories (that of a unit's
    first question) are kept in proportion. The same seed and data give the same draw, whatever the order of the file.
    If even the smallest drawn unit is larger than the limit, that one unit is taken whole. Raises ValueError for a
    limit below 1."""
    if limit is not None and limit < 1:
        raise ValueError(f"the limit must be at least 1, got {limit}")
    units = _units(samples)
    if limit is not None:
        units = _choose(units, limit, seed)
    return [sample for unit in units for sample in _by_image(unit.samples)]


def whole_units(samples: Iterable[Sample]) -> list[list[Sample]]:
    """The samples in the units that are never divided (an image with all its questions, and every image that shares a
    group with it), in the order of each unit's first sample. Of drawn samples, the same units in the same order."""
    return [_by_image(unit.samples) for unit in _units(samples)]


def _units(samples: Iterable[Sample]) -> list[_Unit]:
    """Units in the order of their first sample. Images are joined where a group spans two of them."""
    parent: dict[str, str] = {}
    image_of_group: dict[str, str] = {}
    held = list(samples)
    for sample in held:
        parent.setdefault(sample.image_key, sample.image_key)
        other = image_of_group.setdefault(sample.group, sample.image_key)
        if other != sample.image_key:
            parent[_root(parent, sample.image_key)] = _root(parent, other)
    units: dict[str, _Unit] = {}
    for sample in held:
        root = _root(parent, sample.image_key)
        unit = units.setdefault(root, _Unit(root, sample.category))
        unit.samples.append(sample)
    return list(units.values())


def _root(parent: dict[str, str], key: str) -> str:
    while parent[key] != key:
        parent[key] = parent[parent[key]]
        key = parent[key]
    return key


def _choose(units: list[_Unit], limit: int, seed: int) -> list[_Unit]:
    """Each category's units in random order are spread evenly over [0, 1) by the samples they hold, with a random
    start; units are taken from 0 on, so that every length of the draw has the categories in proportion."""
    categories: dict[str, list[_Unit]] = defaultdict(list)
    for unit in units:
        categories[unit.category].append(unit)
    placed: list[tuple[float, str, _Unit]] = []
    for category, members in categories.items():
        members.sort(key=lambda unit: (_chance(seed, "unit", unit.key), unit.key))
        total = sum(len(unit.samples) for unit in members)
        start = _chance(seed, "category", category)
        before = 0.0
        for unit in members:
            placed.append(((before + start * len(unit.samples)) / total, unit.key, unit))
            before += len(unit.samples)
    placed.sort(key=lambda entry: entry[:2])
    taken: set[str] = set()
    room = limit
    for _, key, unit in placed:
        if len(unit.samples) <= room:
            taken.add(key)
            room -= len(unit.samples)
    if not taken:
        taken = {min(placed, key=lambda entry: (len(entry[2].samples), *entry[:2]))[1]} if placed else set()
    return [unit for unit in units if unit.key in taken]


def _chance(seed: int, kind: str, key: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"{seed}:{kind}:{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _by_image(samples: list[Sample]) -> list[Sample]:
    first: dict[str, int] = {}
    for sample in samples:
        first.setdefault(sample.image_key, len(first))
    return sorted(samples, key=lambda sample: first[sample.image_key])
