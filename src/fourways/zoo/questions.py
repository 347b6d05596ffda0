"""Questions about a scene: what is asked, with which options, and the right answer. Pure functions of scene and
generator.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from .scenes import COLORS, SHAPES, Scene, Thing
from .words import (
    ASK,
    CHECK,
    COLOR_WORDS,
    COUNT_WORDS,
    DESCRIBE,
    EXPRESSION,
    LETTER_SUFFIX,
    LETTERS,
    MME_SUFFIX,
    NUMBER_WORDS,
    POSITION_WORDS,
    SHAPE_WORDS,
    WORD_SUFFIX,
    Language,
)


@dataclass(frozen=True)
class Asked:
    """A question as its benchmark writes it.

    ``options`` are the choices, where the benchmark keeps them apart from the question (MMBench); ``answer`` is
    the reply that counts as right: a word, a number, yes or no, or a letter. ``thing`` is what a box is asked of;
    ``entries`` are a drill's keys and values (see ``drills``), ``things`` those whose boxes are its values.
    """

    benchmark: str
    kind: str
    question: str
    answer: str
    options: tuple[str, ...] = ()
    thing: Thing | None = None
    entries: tuple[tuple[str, str], ...] = ()
    things: tuple[Thing, ...] = ()


def _only(values: list[str]) -> list[str]:
    return [v for v, n in Counter(values).items() if n == 1]


def value_kinds(scene: Scene) -> list[str]:
    """The value questions that have one right answer on this scene."""
    kinds = ["count", "where", "color_at", "shape_at"]
    if _only([t.shape for t in scene.things]):
        kinds.append("color_of")
    if _only([t.color for t in scene.things]):
        kinds.append("shape_of")
    return kinds


def ask_value(scene: Scene, kind: str, rng: random.Random, language: Language) -> tuple[str, str, list[str]]:
    """A value question of ``kind``: its text, the right value's words, and all values' words."""
    colors, shapes, positions = COLOR_WORDS[language], SHAPE_WORDS[language], POSITION_WORDS[language]
    text = ASK[kind][language]
    if kind == "count":
        counts = COUNT_WORDS[language]
        return text, counts[len(scene.things) - 1], list(counts)
    if kind == "color_of":
        shape = rng.choice(_only([t.shape for t in scene.things]))
        color = next(t.color for t in scene.things if t.shape == shape)
        return text.format(shape=shapes[shape]), colors[color], list(colors.values())
    if kind == "shape_of":
        color = rng.choice(_only([t.color for t in scene.things]))
        shape = next(t.shape for t in scene.things if t.color == color)
        return text.format(color=colors[color]), shapes[shape], list(shapes.values())
    thing = rng.choice(scene.things)
    if kind == "where":
        question = text.format(color=colors[thing.color], shape=shapes[thing.shape])
        return question, positions[thing.quadrant], list(positions)
    question = text.format(position=positions[thing.quadrant])
    if kind == "color_at":
        return question, colors[thing.color], list(colors.values())
    return question, shapes[thing.shape], list(shapes.values())


def choices(value: str, values: list[str], count: int, rng: random.Random) -> tuple[str, ...]:
    """``count`` options in random order, ``value`` among them."""
    picked = [value, *rng.sample([v for v in values if v != value], count - 1)]
    rng.shuffle(picked)
    return tuple(picked)


def _absent(scene: Scene, rng: random.Random) -> tuple[str, str]:
    """A pair that is not there; mostly one whose color or shape is."""
    present = {(t.color, t.shape) for t in scene.things}
    while True:
        thing = rng.choice(scene.things)
        pair = rng.choice([(thing.color, rng.choice(SHAPES)), (rng.choice(list(COLORS)), thing.shape)])
        if rng.random() < 0.15:
            pair = (rng.choice(list(COLORS)), rng.choice(SHAPES))
        if pair not in present:
            return pair


def check(scene: Scene, kind: str, truth: bool, rng: random.Random) -> str:
    """A yes/no question of an MME subtask whose right answer is ``truth``. Counts are asked from two up: a true
    one needs two things.
    """
    text, thing = CHECK[kind], rng.choice(scene.things)
    positions = POSITION_WORDS["en"]
    if kind == "existence":
        color, shape = (thing.color, thing.shape) if truth else _absent(scene, rng)
        return text.format(color=color, shape=shape)
    if kind == "count":
        count = len(scene.things)
        said = count if truth else rng.choice([n for n in range(2, 5) if n != count])
        return text.format(number=NUMBER_WORDS[said - 1])
    if kind == "position":
        where = thing.quadrant if truth else rng.choice([q for q in range(4) if q != thing.quadrant])
        return text.format(color=thing.color, shape=thing.shape, position=positions[where])
    others = [c for c in COLORS if c != thing.color]
    near = [t.color for t in scene.things if t.color != thing.color]
    color = thing.color if truth else rng.choice(near if near and rng.random() < 0.6 else others)
    return text.format(position=positions[thing.quadrant], color=color)


def ask_mme(scene: Scene, rng: random.Random, kind: str | None = None, truth: bool | None = None) -> Asked:
    kind = kind or rng.choice(list(CHECK))
    truth = rng.random() < 0.5 if truth is None else truth
    if kind == "count" and len(scene.things) < 2:
        truth = False
    return Asked("mme", kind, check(scene, kind, truth, rng) + MME_SUFFIX, "yes" if truth else "no")


def ask_vqa(scene: Scene, rng: random.Random, kind: str | None = None) -> Asked:
    if kind is None:
        kind = "existence" if rng.random() < 0.25 else rng.choice(value_kinds(scene))
    if kind in CHECK and kind != "count":
        truth = rng.random() < 0.5
        return Asked("vqav2", kind, check(scene, kind, truth, rng), "yes" if truth else "no")
    question, value, _ = ask_value(scene, kind, rng, "en")
    return Asked("vqav2", kind, question, value)


def ask_mmbench(scene: Scene, rng: random.Random, language: Language, kind: str | None = None) -> Asked:
    kind = kind or rng.choice(value_kinds(scene))
    question, value, values = ask_value(scene, kind, rng, language)
    options = choices(value, values, 4, rng)
    return Asked(f"mmbench_{language}", kind, question, LETTERS[options.index(value)], options)


def ask_realworldqa(scene: Scene, rng: random.Random, kind: str | None = None) -> Asked:
    kind = kind or rng.choice(value_kinds(scene))
    question, value, values = ask_value(scene, kind, rng, "en")
    if rng.random() < 0.3:
        return Asked("realworldqa", kind + "_word", question + WORD_SUFFIX, value)
    options = choices(value, values, 3, rng)
    listed = "\n".join(f"{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))
    return Asked("realworldqa", kind, f"{question}\n\n{listed}{LETTER_SUFFIX}", LETTERS[options.index(value)])


def ask_refcoco(scene: Scene, rng: random.Random) -> Asked:
    thing = rng.choice(scene.things)
    expression = EXPRESSION.format(color=thing.color, shape=thing.shape)
    return Asked("refcoco", "box", expression, expression, thing=thing)


def describe(scene: Scene) -> str:
    """The whole scene in words, quadrant by quadrant."""
    parts = []
    for quadrant, position in enumerate(POSITION_WORDS["en"]):
        thing = scene.at(quadrant)
        parts.append(f"{position}: {thing.name if thing else 'empty'}")
    return "; ".join(parts)


def ask_describe(scene: Scene, rng: random.Random) -> Asked:
    return Asked("describe", "describe", DESCRIBE, describe(scene))


ASKERS: dict[str, Callable[[Scene, random.Random], Asked]] = {
    "mme": ask_mme,
    "vqav2": ask_vqa,
    "mmbench_en": lambda scene, rng: ask_mmbench(scene, rng, "en"),
    "mmbench_cn": lambda scene, rng: ask_mmbench(scene, rng, "cn"),
    "realworldqa": ask_realworldqa,
    "refcoco": ask_refcoco,
    "describe": ask_describe,
}
"""One asker per benchmark; together they are all that the models are trained on."""
