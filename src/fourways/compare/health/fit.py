"""Is this tokenizer the one that the embedding was trained with?

Words of one kind (colours, numbers, directions) get neighbouring rows in every trained embedding. If the rows that the
tokenizer gives to such words lie no closer together than rows drawn at random, then the tokenizer calls other rows by
these names. It is a permutation test against the embedding itself, so neither its size nor its scale matters. A
tokenizer whose ids are off by a few (a token added or lost before them) is found by trying the neighbours of its ids.

The second question is whether the embedding was trained at all: the largest singular value of independent numbers is
known (n^½ + m^½ standard deviations), and training leaves directions far above it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

GROUPS = (
    ("red", "blue", "green", "yellow", "black", "white", "brown"),
    ("one", "two", "three", "four", "five", "six"),
    ("left", "right", "top", "bottom", "up", "down"),
    ("is", "are", "was", "were"),
    ("cat", "dog", "horse", "bird"),
    ("circle", "square", "triangle", "cross"),
    ("yes", "no"),
)
DRAWS = 1000
LEAST_P = 0.01
LEAST_STRUCTURE = 1.3
"""Times the largest singular value of independent numbers; those have 1.0, give or take a few hundredths."""
_LEAST_WORDS = 8
_OFFSETS = range(-8, 9)
_MOST_ROWS, _MOST_COLUMNS = 8192, 1024


@dataclass(frozen=True, slots=True)
class Fit:
    """p: of the permutation test; None where too few of the words are one token. offset: by how many ids the words lie
    closer together than by their own. structure: largest singular value over that of independent numbers."""

    words: int
    p: float | None
    offset: int
    structure: float

    @property
    def fits(self) -> bool | None:
        """None: cannot be told."""
        return None if self.p is None else self.p < LEAST_P and self.offset == 0

    @property
    def trained(self) -> bool:
        return self.structure >= LEAST_STRUCTURE


@torch.inference_mode()
def measure_fit(rows: Tensor, tokenizer: PreTrainedTokenizerBase) -> Fit:
    """rows: the input embedding, (tokens, width)."""
    scale = _largest(rows)
    sample = _sample(rows) / scale
    structure = structure_of(rows)
    groups = [ids for group in GROUPS if len(ids := _ids(group, tokenizer, len(rows))) > 1]
    words = sum(map(len, groups))
    if words < _LEAST_WORDS:
        return Fit(words, None, 0, structure)
    mean = sample.mean(dim=0)
    unit = _unit(sample, mean)
    draw = torch.Generator().manual_seed(0)
    drawn = [unit[torch.randint(len(unit), (DRAWS, len(group)), generator=draw)] for group in groups]
    chance = _closeness(drawn).sort().values

    def moved(by: int) -> float:
        named = (rows[[(i + by) % len(rows) for i in ids]] for ids in groups)
        return float(_closeness([_unit(part.float().cpu() / scale, mean) for part in named]))

    own = moved(0)
    p = (1 + int((chance >= own).sum())) / (1 + DRAWS)
    best = max(_OFFSETS, key=moved)
    return Fit(words, p, best if moved(best) > max(own, float(chance[-1])) else 0, structure)


def _sample(rows: Tensor) -> Tensor:
    return rows[:: -(-len(rows) // _MOST_ROWS)].float().cpu()


def _largest(rows: Tensor) -> float:
    """The largest number without its sign, by which all are divided so that sums of squares cannot overflow; 1 where
    all are zero."""
    low, high = rows.aminmax()
    return max(-float(low), float(high)) or 1.0


def _unit(rows: Tensor, mean: Tensor) -> Tensor:
    """Each row without what all have in common, at length 1."""
    centred = rows - mean
    unit: Tensor = centred / centred.norm(dim=1, keepdim=True).clamp_min(1e-12)
    return unit


def _ids(group: Sequence[str], tokenizer: PreTrainedTokenizerBase, count: int) -> list[int]:
    """Ids of those words that are one token, as they stand inside a sentence, else alone."""
    found = []
    for word in group:
        for text in (f" {word}", word):
            ids = tokenizer.encode(text, add_special_tokens=False)
            if len(ids) == 1 and ids[0] < count:
                found.append(int(ids[0]))
                break
    return list(dict.fromkeys(found))


def _closeness(groups: Sequence[Tensor]) -> Tensor:
    """Mean cosine between two of a group, averaged over the groups. groups: (…, words, width), rows of length 1;
    returns (…)."""
    means = []
    for rows in groups:
        count = rows.shape[-2]
        means.append((rows.sum(dim=-2).square().sum(dim=-1) - count) / (count * (count - 1)))
    return torch.stack(means).mean(dim=0)


@torch.inference_mode()
def structure_of(rows: Tensor) -> float:
    """The largest singular value of (a sample of) a matrix over that of independent numbers; 0 for a constant one, and
    for one that float32 cannot hold. rows: finite."""
    rows = _sample(rows)[:, :_MOST_COLUMNS]
    scale = _largest(rows)
    if not math.isfinite(scale):
        return 0.0
    rows = rows / scale
    rows = rows - rows.mean()
    expected = float(rows.std()) * (rows.shape[0] ** 0.5 + rows.shape[1] ** 0.5)
    return 0.0 if expected == 0 else float(torch.linalg.matrix_norm(rows, 2)) / expected
