"""Training sequences: one picture, one question, one reply; loss on the reply only."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from tokenizers import Tokenizer

from fourways.benchmarks import registry

from . import prompts
from .drills import count_more, drill_box, drill_check, drill_look
from .prompts import IMAGE_MARK, OPEN_CLOSE, Family
from .questions import ASKERS, Asked
from .scenes import Scene
from .tokens import END, PAD, token_id

COLON, SEMICOLON = ":Ġ", ";Ġ"
"""How the byte-level vocabulary spells ": " and "; ".
"""
ALL_ASKERS = ASKERS | {
    "drill_look": drill_look,
    "drill_check": drill_check,
    "drill_box": drill_box,
    "count_more": count_more,
}

_BENCHMARKS = frozenset(registry.keys())


def prompt_text(asked: Asked, family: Family) -> str:
    """The user's text, as the family's dialect has it."""
    if asked.benchmark not in _BENCHMARKS:
        return asked.question
    return prompts.benchmark_prompt(asked.benchmark, family, asked.question, asked.options)


def reply_text(asked: Asked, family: Family, scene: Scene) -> str:
    if asked.things:
        boxes = [prompts.box_text(family, prompts.box_numbers(family, scene, thing)) for thing in asked.things]
        return "; ".join(f"{key}: {box}" for (key, _), box in zip(asked.entries, boxes, strict=True))
    if asked.entries:
        return "; ".join(f"{key}: {value}" for key, value in asked.entries)
    if asked.thing is None:
        return asked.answer
    return prompts.box_reply(family, asked.thing.name, prompts.box_numbers(family, scene, asked.thing))


@dataclass(frozen=True)
class Sample:
    """A scene (by its index in the caller's list), a question about it and the family that is asked."""

    scene_index: int
    scene: Scene
    asked: Asked
    family: Family


@dataclass(frozen=True)
class Batch:
    """Right-padded sequences: ``ids`` (B, L); ``positions`` (3, B, L) as Qwen2.5-VL counts them (three equal rows
    for the others); ``visual`` (B, L) marks visual tokens; ``weight`` (B, L) is the loss weight of predicting
    ``ids`` shifted by one.
    """

    samples: Sequence[Sample]
    ids: torch.Tensor
    positions: torch.Tensor
    visual: torch.Tensor
    weight: torch.Tensor


def image_tokens(scene: Scene, family: Family) -> int:
    """How many visual tokens the scene costs the family."""
    cells = scene.columns * scene.rows
    if family == "qwen":
        return cells
    if family == "llava":
        return 4 + cells + scene.rows
    return cells if cells == 4 else cells + 4


def _positions(ids: list[int], image_id: int, scene: Scene, family: Family) -> list[tuple[int, int, int]]:
    if family != "qwen":
        return [(i, i, i) for i in range(len(ids))]
    out: list[tuple[int, int, int]] = []
    start = ids.index(image_id)
    out += [(i, i, i) for i in range(start)]
    out += [(start, start + r, start + c) for r in range(scene.rows) for c in range(scene.columns)]
    after = start + max(scene.rows, scene.columns)
    return out + [(after + i, after + i, after + i) for i in range(len(ids) - len(out))]


def collate(samples: Sequence[Sample], tokenizer: Tokenizer) -> Batch:
    """Tokenise, pad, and mark what is visual and what is to be learned."""
    texts, replies = [], []
    for sample in samples:
        mark = OPEN_CLOSE[sample.family][1] * image_tokens(sample.scene, sample.family)
        text = prompts.turn(sample.family, prompt_text(sample.asked, sample.family))
        texts.append(text.replace(IMAGE_MARK, mark))
        replies.append(reply_text(sample.asked, sample.family, sample.scene) + END)
    asked = [e.ids for e in tokenizer.encode_batch_fast(texts, add_special_tokens=False)]
    answered = [e.ids for e in tokenizer.encode_batch_fast(replies, add_special_tokens=False)]
    length = max(len(a) + len(b) for a, b in zip(asked, answered, strict=True))
    size = len(samples)
    ids = torch.full((size, length), token_id(tokenizer, PAD), dtype=torch.long)
    positions = torch.zeros((size, length, 3), dtype=torch.long)
    visual = torch.zeros((size, length), dtype=torch.bool)
    weight = torch.zeros((size, length))
    for i, (sample, a, b) in enumerate(zip(samples, asked, answered, strict=True)):
        image_id = token_id(tokenizer, OPEN_CLOSE[sample.family][1])
        row = torch.tensor(a + b)
        ids[i, : len(row)] = row
        positions[i, : len(row)] = torch.tensor(_positions(a + b, image_id, sample.scene, sample.family))
        visual[i, : len(row)] = row == image_id
        weight[i, len(a) - 1 : len(row) - 1] = torch.tensor(_weights(b, sample, tokenizer))
    return Batch(samples, ids, positions.permute(2, 0, 1).contiguous(), visual, weight)


def _weights(reply: list[int], sample: Sample, tokenizer: Tokenizer) -> list[float]:
    """Loss weights of a reply's tokens: long replies weigh a little more in all, the end mark little, a drill's
    keys nothing.
    """
    if not sample.asked.entries:
        return [1.0 / max(1.0, (len(reply) - 1) / 3)] * (len(reply) - 1) + [0.1]
    colon, semicolon, learned = token_id(tokenizer, COLON), token_id(tokenizer, SEMICOLON), False
    out = []
    for token in reply[:-1]:
        if token == semicolon:
            learned = False
        out.append(0.6 if learned else 0.0)
        if token == colon:
            learned = True
    return [*out, 0.0]


def by_length(sample: Sample) -> int:
    """Sort key: about how long the sequence is."""
    asked = sample.asked
    return (
        image_tokens(sample.scene, sample.family)
        + 4 * len(asked.options)
        + 4 * len(asked.entries)
        + 6 * len(asked.things)
    )


Draw = Callable[[random.Random], tuple[int, Scene]]


def sample_batches(
    rng: random.Random,
    draw: Draw,
    mix: Mapping[str, float],
    families: Sequence[Family],
    size: int,
    batches: int,
    questions: int,
    tokenizer: Tokenizer,
    key: Callable[[Sample], int] = by_length,
) -> Iterator[Batch]:
    """``batches`` batches of ``size`` samples, ``questions`` on each scene; samples alike by ``key`` come together."""
    names, weights = list(mix), list(mix.values())
    samples: list[Sample] = []
    while len(samples) < size * batches:
        index, scene = draw(rng)
        family = rng.choice(families)
        for name in rng.choices(names, weights, k=questions):
            samples.append(Sample(index, scene, ALL_ASKERS[name](scene, rng), family))
    samples.sort(key=key)
    order = list(range(batches))
    rng.shuffle(order)
    for i in order:
        yield collate(samples[i * size : (i + 1) * size], tokenizer)
