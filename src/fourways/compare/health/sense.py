"""Does the model make sense of a question? And if not: the weights, or the tokenizer?

It is asked for a yes or no, and for a letter. A model that understands its own tokenizer puts weight on the kind of
word that was asked for, and moves weight from one kind to the other as the question changes. Both are compared with
nothing but the model itself: `weight` with an even spread over all tokens, `shift` with the other question. The shift
adds both directions up, so a model that always prefers letters gains nothing by it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from fourways.compare.health.asking import Asker
from fourways.compare.health.questions import LETTER, PAIRS, TELL, YES_NO
from fourways.core.conversation import Conversation

YES_WORDS = ("Yes", "No", "yes", "no")
LETTERS = ("A", "B", "C", "D")
LEAST_WEIGHT = 0.05
"""Of the four words of yes and no together, on the better of the questions."""
LEAST_SHIFT = 3.0
"""Nats: by how much the odds of the kinds must follow the question, on average; odds of 20 to 1."""
LEAST_ORDERED = 9
"""Of PAIRS; without any sense of the words, one checkpoint in a hundred comes so far by chance."""
_NONE = -1e4


@dataclass(frozen=True, slots=True)
class Sense:
    """weight: chance that the model gives to the words asked for. shift: as in the module's words, in nats."""

    weight: float
    shift: float

    @property
    def firm(self) -> bool:
        return self.weight >= LEAST_WEIGHT and self.shift >= LEAST_SHIFT

    @property
    def none(self) -> bool:
        return self.weight < LEAST_WEIGHT and self.shift < LEAST_SHIFT

    def __str__(self) -> str:
        weight = min(1.0, self.weight)
        return f"{weight:.2g} of the chance on the words asked for, odds follow the question by {self.shift:.1f} nats"


async def feel_sense(asker: Asker) -> Sense:
    """Four requests. Raises Unanswered and Refused."""
    words = (*YES_WORDS, *LETTERS)
    yes = [await asker.rank(Conversation.ask(question), words) for question in YES_NO]
    letter = [await asker.rank(Conversation.ask(question), words) for question in LETTER]
    cut = len(YES_WORDS)
    kinds_yes = [(logsum(scores[:cut]), logsum(scores[cut:])) for scores in yes]
    kinds_letter = [(logsum(scores[:cut]), logsum(scores[cut:])) for scores in letter]
    shift = _mean([yes - no for yes, no in kinds_yes]) - _mean([yes - no for yes, no in kinds_letter])
    return Sense(max(math.exp(asked) for asked, _ in kinds_yes), shift)


async def count_ordered(asker: Asker) -> int:
    """In how many of PAIRS the sentence is likelier than the same tokens in disorder. A language model that knows its
    tokenizer tells them apart whether or not it answers questions. One request. Raises Unanswered and Refused."""
    scores = await asker.rank(Conversation.ask(TELL), tuple(text for pair in PAIRS for text in pair))
    return sum(plain > mixed for plain, mixed in zip(scores[::2], scores[1::2], strict=True))


def logsum(scores: Sequence[float]) -> float:
    """Logarithm of the sum of probabilities; a large negative number for none."""
    top = max(scores)
    return max(_NONE, top + math.log(sum(math.exp(score - top) for score in scores))) if top > _NONE else _NONE


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
