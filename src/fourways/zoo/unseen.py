"""A task that the embedded models were not trained on, for the tuning axis: a new word and a new relation.

Half of the questions ask for a shape; in half of those it is a star, for which the models have no word. The towers saw
stars among their pictures, but no language model was ever told what a star is called or saw one while it learned to
answer. The other half ask whether one thing lies left or right of, above or below another; the models know where each
thing is, but were never asked to compare two. Saying "star", "yes" or "no" always is no way out.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from .scenes import SHAPES, UNSEEN_SHAPE, Scene, Split, Thing, png, render, sample_scene
from .words import POSITION_WORDS


class TaskSample(NamedTuple):
    """PNG bytes, the question as plain text, and the reply that is wanted."""

    image: bytes
    question: str
    answer: str


def _shape(scene: Scene, rng: random.Random) -> TaskSample:
    stars = [t for t in scene.things if t.shape == UNSEEN_SHAPE]
    known = [t for t in scene.things if t.shape != UNSEEN_SHAPE]
    thing = rng.choice(stars if not known or rng.random() < 0.5 else known)
    question = f"What shape is the object in the {POSITION_WORDS['en'][thing.quadrant]}?"
    return TaskSample(png(render(scene)), question, thing.shape)


def _across(a: Thing, b: Thing) -> bool:
    return a.quadrant % 2 != b.quadrant % 2


def _relation(scene: Scene, rng: random.Random) -> TaskSample | None:
    """``None`` if no two things have names that differ and quadrants that lie beside or above each other."""
    pairs = [(a, b) for a in scene.things for b in scene.things if a.quadrant != b.quadrant]
    if not pairs:
        return None
    a, b = rng.choice(pairs)
    sideways = _across(a, b) and (a.quadrant // 2 == b.quadrant // 2 or rng.random() < 0.5)
    first = a.quadrant % 2 < b.quadrant % 2 if sideways else a.quadrant // 2 < b.quadrant // 2
    said_first = rng.random() < 0.5
    words = ("to the left of", "to the right of") if sideways else ("above", "below")
    question = f"Is the {a.name} {words[0 if said_first else 1]} the {b.name}?"
    return TaskSample(png(render(scene)), question, "yes" if first == said_first else "no")


def _sample(rng: random.Random, held_out: bool) -> TaskSample:
    split: Split = "held_out" if held_out else "train"
    if rng.random() < 0.5:
        return _shape(sample_scene(rng, split, (*SHAPES, UNSEEN_SHAPE), UNSEEN_SHAPE), rng)
    while True:
        sample = _relation(sample_scene(rng, split), rng)
        if sample is not None:
            return sample


def unseen_task(seed: int, n_train: int, n_val: int) -> tuple[list[TaskSample], list[TaskSample]]:
    """Training and validation samples; no scene of the one has the description of a scene of the other."""
    rng = random.Random(f"unseen {seed}")
    return [_sample(rng, False) for _ in range(n_train)], [_sample(rng, True) for _ in range(n_val)]
