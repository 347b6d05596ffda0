"""The held-out suite: which scenes, which questions. ``suite_files`` writes it; the recipe's own check reads it
directly.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from .questions import Asked, ask_mmbench, ask_mme, ask_realworldqa, ask_refcoco, ask_vqa, value_kinds
from .scenes import TRAINING_GRAIN, Scene, sample_scene
from .words import CHECK

GRAINS: tuple[float, ...] = (TRAINING_GRAIN, 25.0, 50.0, 75.0)
"""How noisy the suite's pictures are, by chance: all but the first are noisier than any picture of the training,
so that models that have learned the world perfectly can still differ."""
MME_TASKS: tuple[str, ...] = tuple(CHECK)


@dataclass(frozen=True)
class Item:
    """One question of the suite. ``image`` numbers the benchmark's pictures from 1."""

    image: int
    scene: Scene
    asked: Asked


def _scenes(name: str, seed: int, images: int, fit: Callable[[Scene], bool] = lambda scene: True) -> list[Scene]:
    """``images`` held-out scenes, no two of one description."""
    rng, seen, out = random.Random(f"suite {name} {seed}"), set[str](), list[Scene]()
    while len(out) < images:
        scene = sample_scene(rng, "held_out")
        if fit(scene) and (scene.description not in seen or len(seen) > 20_000):
            seen.add(scene.description)
            out.append(replace(scene, grain=rng.choice(GRAINS)))
    return out


def mme(seed: int, images: int) -> dict[str, list[Item]]:
    """By subtask; ``images`` in all, a yes question and a no question on each."""
    out: dict[str, list[Item]] = {}
    for number, task in enumerate(MME_TASKS):
        rng = random.Random(f"suite mme {task} {seed} ask")
        share = images // len(MME_TASKS) + (number < images % len(MME_TASKS))
        items = []
        for image, scene in enumerate(_scenes(f"mme {task}", seed, share, lambda s: len(s.things) > 1), 1):
            items += [Item(image, scene, ask_mme(scene, rng, task, truth)) for truth in (True, False)]
        out[task] = items
    return out


def mmbench(seed: int, images: int) -> list[tuple[Item, Item]]:
    """One question an image, in English and in Chinese: the same options in the same order."""
    out = []
    kinds = random.Random(f"suite mmbench {seed} kinds")
    for image, scene in enumerate(_scenes("mmbench", seed, images), 1):
        kind = kinds.choice(value_kinds(scene))
        both = [ask_mmbench(scene, random.Random(f"suite mmbench {seed} {image}"), lang, kind) for lang in ("en", "cn")]
        out.append((Item(image, scene, both[0]), Item(image, scene, both[1])))
    return out


def _distinct(ask: Callable[[], Asked], count: int) -> list[Asked]:
    """Up to ``count`` questions of different text."""
    found: dict[str, Asked] = {}
    for _ in range(60):
        asked = ask()
        found.setdefault(asked.question, asked)
        if len(found) == count:
            break
    return list(found.values())


def _each(
    name: str, seed: int, images: int, questions: int, ask: Callable[[Scene, random.Random], Asked]
) -> list[Item]:
    rng = random.Random(f"suite {name} {seed} ask")
    out = []
    for image, scene in enumerate(_scenes(name, seed, images), 1):
        out += [Item(image, scene, asked) for asked in _distinct(partial(ask, scene, rng), questions)]
    return out


def vqav2(seed: int, images: int, questions: int) -> list[Item]:
    return _each("vqav2", seed, images, questions, ask_vqa)


def realworldqa(seed: int, images: int, questions: int) -> list[Item]:
    return _each("realworldqa", seed, images, questions, ask_realworldqa)


def refcoco(seed: int, images: int, questions: int) -> list[Item]:
    """At most as many expressions an image as it has things."""
    return _each("refcoco", seed, images, questions, ask_refcoco)
