"""Requests that are a benchmark's own questions about its own pictures, in an order of chance."""

from __future__ import annotations

from fourways.core.errors import UserError
from fourways.core.questions import Question, Questions
from fourways.core.request import Output
from fourways.load.workload.chance import Chance, amount_at
from fourways.load.workload.drafts import Draft, Medium, generate, planner
from fourways.load.workload.spec import WorkloadSpec

_KEPT, _SHARE = 16, 8
"""Pictures kept for warming up: so many, but at most one in so many."""


class Asked:
    """stream "warm-up" asks about pictures that no other stream asks about, again and again if it must."""

    def __init__(self, spec: WorkloadSpec, seed: int, stream: str, questions: Questions) -> None:
        chance = Chance(seed, "order")
        pictures = sorted({q.picture for q in questions.all}, key=lambda picture: chance.number("picture", picture))
        if len(pictures) < 2:
            raise UserError(
                f"{questions.name} has {len(pictures)} pictures, and warming up takes other ones than measuring"
            )
        kept = set(pictures[: max(1, min(_KEPT, len(pictures) // _SHARE))])
        warm = stream == "warm-up"
        own = [question for question in questions.all if (question.picture in kept) == warm]
        self._own = sorted(own, key=lambda question: chance.number("question", question.id))
        self.limit = None if warm else len(self._own)
        self.repeats = warm or len({question.picture for question in self._own}) < len(self._own)
        self.adapters = frozenset(choice.adapter for choice in spec.adapters if choice.adapter is not None)
        self._spec, self._stream, self._chance = spec, stream, Chance(seed, stream)

    def draft(self, item: int) -> Draft:
        question = self._own[item % len(self._own)]
        media = [Medium(f"{question.picture}/{n}", "image", make) for n, make in enumerate(question.images)]
        return Draft(
            original=f"{self._stream}/{question.id}",
            media=media,
            prompt=question.prompt,
            system=None,
            output=self._output(question, item),
            planned=planner(self._spec, self._chance, item),
        )

    def _output(self, question: Question, item: int) -> Output:
        answer = self._spec.answer
        if answer is None:
            return question.output
        return generate(answer, max(1, amount_at(answer.tokens, self._chance.even("answer", item))))
