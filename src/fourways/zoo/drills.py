"""Drills: many short look-ups in one reply, for the language model's first stages only.

A single question teaches one look-up for some forty tokens read; a drill teaches one for every four. Keys are
given, only values are learned. Without drills, looking things up by shape or color stays at chance for a long time,
and so do the option letters, which come after it.
"""

from __future__ import annotations

import random
from collections import Counter

from .questions import Asked, ask_mmbench, ask_mme, ask_realworldqa, ask_vqa
from .scenes import COLORS, SHAPES, Scene
from .words import COLOR_WORDS, DRILL, NUMBER_WORDS, POSITION_WORDS, SHAPE_WORDS, Language

Entry = tuple[str, str]
"""A key (given) and its value (learned)."""


def _one_of(values: list[str]) -> set[str]:
    return {v for v, n in Counter(values).items() if n == 1}


def _look_ups(scene: Scene, language: Language) -> list[Entry]:
    """Every look-up by position, shape, color and pair that has one answer; "empty" for what is not there."""
    colors, shapes, positions = COLOR_WORDS[language], SHAPE_WORDS[language], POSITION_WORDS[language]
    join = " " if language == "en" else ""
    out: list[Entry] = []
    for quadrant, position in enumerate(positions):
        thing = scene.at(quadrant)
        out.append((position, f"{colors[thing.color]}{join}{shapes[thing.shape]}" if thing else "empty"))
    for thing in scene.things:
        out.append((f"{colors[thing.color]}{join}{shapes[thing.shape]}", positions[thing.quadrant]))
        if thing.shape in _one_of([t.shape for t in scene.things]):
            out.append((shapes[thing.shape], colors[thing.color]))
        if thing.color in _one_of([t.color for t in scene.things]):
            out.append((colors[thing.color], shapes[thing.shape]))
    return out


def drill_look(scene: Scene, rng: random.Random) -> Asked:
    """Keys in random order, absent ones among them."""
    language: Language = "cn" if rng.random() < 0.25 else "en"
    entries = _look_ups(scene, language)
    absent_shapes = [s for s in SHAPES if all(t.shape != s for t in scene.things)]
    absent_colors = [c for c in COLORS if all(t.color != c for t in scene.things)]
    entries += [(SHAPE_WORDS[language][s], "empty") for s in rng.sample(absent_shapes, min(1, len(absent_shapes)))]
    entries += [(COLOR_WORDS[language][c], "empty") for c in rng.sample(absent_colors, min(1, len(absent_colors)))]
    rng.shuffle(entries)
    return Asked("drill_look", "look", DRILL, "", entries=tuple(entries[:9]))


def drill_check(scene: Scene, rng: random.Random) -> Asked:
    """Statements, each yes or no: a pair is there; a pair is in a position; a position's color; the number of
    things.
    """
    entries: list[Entry] = []
    positions = POSITION_WORDS["en"]
    present = {(t.color, t.shape) for t in scene.things}
    for _ in range(7):
        thing, form = rng.choice(scene.things), rng.randrange(7)
        near = rng.choice(scene.things)
        color = rng.choice([near.color, rng.choice(list(COLORS))])
        shape = rng.choice([near.shape, rng.choice(SHAPES)])
        if form < 3:
            pair = rng.choice([(thing.color, thing.shape), (thing.color, shape), (color, thing.shape)])
            entries.append((f"{pair[0]} {pair[1]}", "yes" if pair in present else "no"))
        elif form < 5:
            where = rng.choice([thing.quadrant, rng.randrange(4)])
            entries.append((f"{thing.name} {positions[where]}", "yes" if where == thing.quadrant else "no"))
        elif form < 6:
            said = rng.choice([thing.color, color])
            entries.append((f"{positions[thing.quadrant]} {said}", "yes" if said == thing.color else "no"))
        else:
            count = rng.choice([len(scene.things), rng.randint(1, 4)])
            entries.append((NUMBER_WORDS[count - 1], "yes" if count == len(scene.things) else "no"))
    return Asked("drill_check", "check", DRILL, "", entries=tuple(entries))


def count_more(scene: Scene, rng: random.Random) -> Asked:
    """A counting question of any benchmark: the slowest kind to learn gets a share of its own."""
    form = rng.randrange(5)
    if form == 0:
        return ask_mme(scene, rng, "count")
    if form == 1:
        return ask_vqa(scene, rng, "count")
    if form == 2:
        return ask_realworldqa(scene, rng, "count")
    return ask_mmbench(scene, rng, "en" if form == 3 else "cn", "count")


def drill_box(scene: Scene, rng: random.Random) -> Asked:
    """The box of every thing, by its name or its position; ``reply_text`` writes the numbers."""
    things = list(scene.things)
    rng.shuffle(things)
    names = [rng.choice((t.name, POSITION_WORDS["en"][t.quadrant])) for t in things]
    return Asked("drill_box", "boxes", DRILL, "", entries=tuple((n, "") for n in names), things=tuple(things))
