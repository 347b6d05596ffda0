"""The rules under which multiple choice is scored.

vlmevalkit: `can_infer` with `--judge exact_matching`, which is each benchmark's own rule here (`benchmarks/choice.py`);
what it cannot read is wrong. lmms-eval: the older extractor of its MMBench tasks; what that cannot read is wrong, where
the kit would ask a judge. lmms-eval-static: its task `mmbench_en_dev_static`, which reads the rest with the extractor
that newer tasks share. All as of August 2026, lmms-eval 0.7.3."""

from __future__ import annotations

from collections.abc import Mapping

from fourways.benchmarks.contract import ReplyContext, Sample
from fourways.benchmarks.mmbench import MMBenchCN, MMBenchEN
from fourways.benchmarks.predictions.choice_words import older_choice, ranked_choice
from fourways.benchmarks.predictions.kit import Kit, described
from fourways.benchmarks.realworldqa import RealWorldQA

_FOUR = ("A", "B", "C", "D")
_OLDER = "one letter A–E among the words, else the one option whose text stands in the reply; ends stripped"
_STATIC = f"{_OLDER}; else the letter in the most telling form"
_SHARED = "the letter in the most telling form; words and numbers in lower case without a full stop at the end"


def _lmms_options(sample: Sample) -> dict[str, str]:
    """Of four options those that are not there have the text "nan", as in the data set that lmms-eval loads."""
    return {letter: sample.options.get(letter, "nan") for letter in _FOUR}


def _older(sample: Sample, reply: str) -> str | None:
    return older_choice(reply.strip(), _lmms_options(sample))


def _static(sample: Sample, reply: str) -> str | None:
    return _older(sample, reply) or ranked_choice(reply.strip(), _FOUR)


class MMBenchENByLmmsEval(Kit, MMBenchEN):
    rule = "lmms-eval"
    definitions: Mapping[str, str] = described(MMBenchEN.definitions, "lmms-eval", _OLDER)

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        return _older(sample, reply)


class MMBenchENStatic(Kit, MMBenchEN):
    rule = "lmms-eval-static"
    definitions: Mapping[str, str] = described(MMBenchEN.definitions, "lmms-eval-static", _STATIC)

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        return _static(sample, reply)


class MMBenchCNByLmmsEval(Kit, MMBenchCN):
    rule = "lmms-eval"
    definitions: Mapping[str, str] = described(MMBenchCN.definitions, "lmms-eval", _OLDER)

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        return _older(sample, reply)


class RealWorldQAByLmmsEval(Kit, RealWorldQA):
    """`tasks/realworldqa/utils.py`: a letter A–D is read by the shared extractor, anything else must be the word."""

    rule = "lmms-eval"
    definitions: Mapping[str, str] = described(RealWorldQA.definitions, "lmms-eval", _SHARED)

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        if sample.gold and str(sample.gold[0]).strip().upper() in _FOUR:
            return ranked_choice(reply, _FOUR)
        return reply.lower().strip().rstrip(".") or None

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        if not isinstance(parsed, str) or not sample.gold:
            return 0.0
        answer = str(sample.gold[0]).strip()
        return float(parsed == (answer.upper() if answer.upper() in _FOUR else answer.lower()))
