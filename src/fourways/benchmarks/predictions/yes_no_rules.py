"""The rules under which answers to POPE are scored.

official: `evaluate.py` of the POPE repository, where what is not no is yes; LLaVA's and InternVL's `eval_pope.py` have
the same. vlmevalkit: `dataset/utils/yorn.py`, where a reply that is not read is neither: it adds to no false yes.
lmms-eval: `tasks/pope/utils.py` (0.7.3), where a reply must be the bare word, and others are left out of precision and
recall."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from fourways.benchmarks.answers.scoring import judged, mean_part, ratio_part
from fourways.benchmarks.answers.yes_no import is_yes
from fourways.benchmarks.contract import Metric, ReplyContext, Sample
from fourways.benchmarks.pope import POPE
from fourways.benchmarks.predictions.kit import described, of_rule
from fourways.benchmarks.predictions.mme_rules import WORD
from fourways.benchmarks.predictions.yes_no_words import yes_or_no_word
from fourways.core.rows import AnswerRow

_NAMES = ("f1", "accuracy", "precision", "recall")
_TEXTS = {
    "f1": "2 TP / (2 TP + FP + FN)",
    "accuracy": "right answers / questions",
    "precision": "TP / (TP + FP); FP: true no that is answered yes; 0 where nothing is",
    "recall": "TP / (TP + FN); 0 where nothing is",
}


class _Counted(POPE):
    """The counts of a kit, of all questions and by category; F1 is primary."""

    rule: str
    primary: str = "f1"
    unread_is_missed: bool
    """Whether a true yes whose reply is not read counts as FN."""

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        return float(bool(sample.gold) and parsed == sample.gold[0])

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        rows = judged(rows)
        categories: dict[str, list[AnswerRow]] = defaultdict(list)
        for row in rows:
            for category in row.category.split(","):
                categories[category].append(row)
        every = [row for group in categories.values() for row in group]
        named = [(category, group) for category, group in categories.items() if category]
        return [
            *(self._counts(every, {}) if rows else ()),
            *(metric for category, group in named for metric in self._counts(group, {"category": category})),
        ]

    def _counts(self, rows: Sequence[AnswerRow], labels: dict[str, str]) -> list[Metric]:
        yes = [float(row.parsed == "yes") for row in rows]
        true = [float(is_yes(row)) for row in rows]
        tp = [t * y for t, y in zip(true, yes, strict=True)]
        fp = [(1 - t) * y for t, y in zip(true, yes, strict=True)]
        fn = [t * float(self._missed(row)) for t, row in zip(true, rows, strict=True)]
        parts = {
            "f1": ratio_part(rows, [2 * t for t in tp], [2 * t + f + m for t, f, m in zip(tp, fp, fn, strict=True)]),
            "accuracy": mean_part(rows),
            "precision": ratio_part(rows, tp, [t + f for t, f in zip(tp, fp, strict=True)]),
            "recall": ratio_part(rows, tp, [t + m for t, m in zip(tp, fn, strict=True)]),
        }
        return [
            Metric(
                name, of_rule(f"pope_{name}@1", self.rule), "fraction", 1.0, (parts[name],),
                primary=name == "f1" and not labels, labels=labels,
            )
            for name in _NAMES
        ]  # fmt: skip

    def _missed(self, row: AnswerRow) -> bool:
        return row.parsed != "yes" if self.unread_is_missed else row.parsed == "no"


class POPEByVLMEvalKit(_Counted):
    rule = "vlmevalkit"
    unread_is_missed = True
    definitions: Mapping[str, str] = described(
        {f"pope_{name}@1": text for name, text in _TEXTS.items()},
        "vlmevalkit",
        f"{WORD}; FN: true yes not answered yes",
    )

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:  # type: ignore[override]
        return yes_or_no_word(reply)


class POPEByLmmsEval(_Counted):
    rule = "lmms-eval"
    unread_is_missed = False
    definitions: Mapping[str, str] = described(
        {f"pope_{name}@1": text for name, text in _TEXTS.items()},
        "lmms-eval",
        "the bare word in lower case with its ends stripped; FN: true yes answered no",
    )

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:  # type: ignore[override]
        word = reply.lower().strip()
        return word if word in ("yes", "no") else None
