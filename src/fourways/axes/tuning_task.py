"""The task that is learned, on scenes like the embedded models' own: a shape that they have no word for, and which of
two things lies left, right, above or below the other, which they were never asked (zoo/unseen.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fourways.benchmarks import registry
from fourways.benchmarks.contract import Sample
from fourways.core.conversation import Conversation, Image
from fourways.media import read_image
from fourways.tuning.examples import Example
from fourways.zoo import unseen_task
from fourways.zoo.unseen import TaskSample

NAME = "new-word-and-relation"
EXAMPLES = 256


@dataclass(frozen=True, slots=True)
class Question:
    """One question about one picture. gold: the reply that counts."""

    id: str
    image: Image
    text: str
    gold: str

    def asked(self, dialect: str) -> Conversation:
        """As a short-answer question in the words that the model likes (those of VQAv2)."""
        sample = Sample(self.id, self.id, self.image.source_sha256, lambda: self.image.source, self.text, (self.gold,))
        return Conversation.ask(registry.get("vqav2").prompt(sample, dialect), self.image)

    def score(self, reply: str) -> float:
        """1 if the reply is the answer; case, surrounding space and a final full stop do not count."""
        return float(reply.strip().removesuffix(".").casefold() == self.gold.casefold())


@dataclass(frozen=True, slots=True)
class Task:
    """The same for every candidate of a run. No picture of `held_out` shows a scene of `train`."""

    train: tuple[Question, ...]
    held_out: tuple[Question, ...]

    @classmethod
    def draw(cls, seed: int, held_out: int) -> Task:
        train, rest = unseen_task(seed, EXAMPLES, held_out)
        return cls(_questions("train", train), _questions("held-out", rest))

    def examples(self, dialect: str) -> list[Example]:
        return [Example(q.id, q.asked(dialect), q.gold) for q in self.train]


def _questions(part: str, samples: Sequence[TaskSample]) -> tuple[Question, ...]:
    return tuple(
        Question(name, read_image(sample.image, name=name), sample.question, sample.answer)
        for name, sample in ((f"{part}-{number}", sample) for number, sample in enumerate(samples))
    )
