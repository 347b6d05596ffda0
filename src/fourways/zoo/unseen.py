"""A task that the embedded models were not trained on, for the tuning axis: the name of a shape they have no word
for.

The towers saw stars among their pictures; no language model was ever told what a star is called, or saw one while
it learned to answer. Half of the questions are about a star, half about a known shape, so saying "star" always is
no way out.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from .scenes import SHAPES, UNSEEN_SHAPE, Scene, Thing, png, render, sample_scene
from .words import POSITION_WORDS


class TaskSample(NamedTuple):
    """PNG bytes, the question as plain text, and the reply that is wanted."""

    image: bytes
    question: str
    answer: str


def _ask(scene: Scene, thing: Thing) -> TaskSample:
    question = f"What shape is the object in the {POSITION_WORDS['en'][thing.quadrant]}?"
    return TaskSample(png(render(scene)), question, thing.shape)


def _sample(rng: random.Random, held_out: bool) -> TaskSample:
    while True:
        scene = sample_scene(rng, "held_out" if held_out else "train", (*SHAPES, UNSEEN_SHAPE), UNSEEN_SHAPE)
        known = [t for t in scene.things if t.shape != UNSEEN_SHAPE]
        stars = [t for t in scene.things if t.shape == UNSEEN_SHAPE]
        if known:
            return _ask(scene, rng.choice(stars if rng.random() < 0.5 else known))


def unseen_task(seed: int, n_train: int, n_val: int) -> tuple[list[TaskSample], list[TaskSample]]:
    rng = random.Random(f"unseen {seed}")
    return [_sample(rng, False) for _ in range(n_train)], [_sample(rng, True) for _ in range(n_val)]
