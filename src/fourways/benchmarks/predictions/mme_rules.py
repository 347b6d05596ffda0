"""The rules under which answers to MME are scored.

official: `calculation.py` of the MME evaluation tool. lmms-eval: `tasks/mme/utils.py` (0.7.3). vlmevalkit:
`dataset/utils/yorn.py` with `--judge exact_matching` (August 2026); it reads "yes" or "no" anywhere in the text but not
both, and does not give the official score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from fourways.benchmarks.contract import Metric, ReplyContext, Sample
from fourways.benchmarks.mme import MME
from fourways.benchmarks.predictions.kit import Kit, described
from fourways.benchmarks.predictions.yes_no_words import otter_label, yes_or_no_word
from fourways.core.rows import AnswerRow

_PERCENT = {
    "mme_subtask_acc@1": "right answers / questions of one subtask",
    "mme_subtask_acc_plus@1": "images with both questions right / images of one subtask",
}


class ScoredMME(MME):
    """MME with acc and acc+ of each subtask beside its score."""

    definitions: Mapping[str, str] = {**MME.definitions, **_PERCENT}

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        metrics: list[Metric] = []
        for metric in super().metrics(rows):
            if metric.name == "mme_score":
                metrics += _shares(metric)
            metrics.append(metric)
        return metrics


def _shares(score: Metric) -> list[Metric]:
    """The two parts of a subtask's score, each as a figure of its own."""
    names = (("acc", "mme_subtask_acc@1"), ("acc_plus", "mme_subtask_acc_plus@1"))
    return [
        Metric(name, definition, "fraction", 1.0, (replace(part, coefficient=1.0),), labels=score.labels)
        for (name, definition), part in zip(names, score.parts, strict=True)
    ]


class MMEByVLMEvalKit(Kit, ScoredMME):
    rule = "vlmevalkit"
    definitions: Mapping[str, str] = described(
        ScoredMME.definitions, "vlmevalkit", '"yes" among the words and "no" not, or the reverse; else unknown, wrong'
    )

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        return yes_or_no_word(reply)


class MMEByLmmsEval(Kit, ScoredMME):
    rule = "lmms-eval"
    definitions: Mapping[str, str] = described(
        ScoredMME.definitions,
        "lmms-eval",
        "ends stripped, full stops dropped, y or n alone, else the first 4 characters",
    )

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        return otter_label(reply)
