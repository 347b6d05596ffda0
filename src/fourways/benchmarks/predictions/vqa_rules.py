"""The rules under which answers to VQAv2 are scored.

official (github): the program in the repository GT-Vision-Lab/VQA, which normalises only where the ten answers differ.
always: the same with every answer normalised, as on EvalAI. lmms-eval: `tasks/vqav2/utils.py` (0.7.3): as always, but a
run of commas between digits counts as one."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import mean

from fourways.benchmarks.answers.scoring import by_label, judged, mean_part
from fourways.benchmarks.answers.vqa_answers import accuracy, clean, without_articles, without_punctuation
from fourways.benchmarks.contract import Metric, Sample
from fourways.benchmarks.predictions.kit import described, of_rule
from fourways.benchmarks.vqav2 import VQAv2
from fourways.core.rows import AnswerRow

_ALWAYS, _GITHUB = "vqa_accuracy_always@2", "vqa_accuracy_github@2"
_COMMAS = re.compile(r"(?<=\d),+(?=\d)")


class VQAAlways(VQAv2):
    """Every answer normalised, and nothing else reported."""

    definition: str = _ALWAYS
    definitions: Mapping[str, str] = {_ALWAYS: VQAv2.definitions[_ALWAYS]}

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        rows = judged(rows)
        if not rows:
            return []
        name = self.definition
        return [
            Metric("accuracy", name, "fraction", 1.0, (mean_part(rows),), primary=True),
            *by_label(rows, "accuracy", name, "category", lambda row: row.category),
            *by_label(rows, "accuracy", name, "question_type", lambda row: row.extra.get("question_type", "")),
        ]


class VQAGithub(VQAAlways):
    """The official program as it stands in its repository."""

    definition: str = _GITHUB
    definitions: Mapping[str, str] = {_GITHUB: VQAv2.definitions[_GITHUB]}

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        return accuracy(parsed, [str(g) for g in sample.gold], "github") if isinstance(parsed, str) else 0.0


class VQAByLmmsEval(VQAAlways):
    definition: str = of_rule(_ALWAYS, "lmms-eval")
    definitions: Mapping[str, str] = described(
        VQAAlways.definitions, "lmms-eval", "EvalAI's normalisation as lmms-eval has it"
    )

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        if not isinstance(parsed, str) or not sample.gold:
            return 0.0
        reply = _normalize(parsed)
        matches = [_normalize(str(answer)) == reply for answer in sample.gold]
        return float(mean(min(1, float(sum(matches) - match) / 3) for match in matches))


@lru_cache(maxsize=2**14)
def _normalize(text: str) -> str:
    return without_articles(without_punctuation(clean(text), commas=_COMMAS))
