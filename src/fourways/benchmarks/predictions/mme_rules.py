"""The rules under which answers to MME are scored.

official: `calculation.py` of the MME evaluation tool. lmms-eval: `tasks/mme/utils.py` (0.7.3). vlmevalkit:
`dataset/utils/yorn.py` with `--judge exact_matching` (August 2026); it reads "yes" or "no" anywhere in the text but not
both, and does not give the official score. internvl: `eval/mme/eval.py` of the repository OpenGVLab/InternVL, which
alters a reply before it writes the result file; its own result files are the same under both rules."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from fourways.benchmarks.contract import Metric, ReplyContext
from fourways.benchmarks.mme import MME
from fourways.benchmarks.predictions.kit import Reread
from fourways.benchmarks.predictions.yes_no_words import otter_label, yes_or_no_word
from fourways.core.rows import AnswerRow

WORD = '"yes" among the words and "no" not, or the reverse; else unknown, wrong'
_INTERNVL = "是 and true taken for yes, 否, 不是 and false for no, Chinese dropped; then the first 4 characters"
_CHINESE = re.compile("[\u4e00-\u9fa5]")
_OTTER = "ends stripped, full stops dropped, y or n alone, else the first 4 characters"


class ScoredMME(MME):
    """MME with acc and acc+ of each subtask beside its score."""

    definitions: Mapping[str, str] = {
        **MME.definitions,
        "mme_subtask_acc@1": "right answers / questions of one subtask",
        "mme_subtask_acc_plus@1": "images with both questions right / images of one subtask",
    }

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


def by_vlmevalkit() -> Reread:
    return Reread(ScoredMME(), "vlmevalkit", WORD, lambda _, reply: yes_or_no_word(reply))


def by_internvl() -> Reread:
    """The figure that InternVL publishes, from replies as the model gave them."""
    official = ScoredMME()
    asis = ReplyContext(None, ())
    return Reread(
        official, "internvl", _INTERNVL, lambda sample, reply: official.parse(sample, _translated(reply), asis)
    )


def _translated(reply: str) -> str:
    """`post_processing`, in its order: 不是 holds 是, and goes first."""
    text = reply.replace("\n", "").replace("不是", "No").replace("是", "Yes").replace("否", "No").lower()
    return _CHINESE.sub("", text.replace("true", "yes").replace("false", "no"))


def by_lmms_eval() -> Reread:
    return Reread(ScoredMME(), "lmms-eval", _OTTER, lambda _, reply: otter_label(reply))
