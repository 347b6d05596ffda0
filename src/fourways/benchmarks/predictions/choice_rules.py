"""The rules under which multiple choice is scored.

vlmevalkit: `can_infer` with `--judge exact_matching`, as of August 2026 (`answers/choice.py`); what it cannot read
is wrong. Its earlier forms read some replies otherwise, so figures of their time need them: ms-vlmeval (0.0.20) reads
no "answer is B"; vlmevalkit-2025 takes a letter at any place, and an option's text in a reply of any length. lmms-eval:
the older extractor of its MMBench tasks (0.7.3), where the kit would ask a judge about the rest. lmms-eval-static: its
task `mmbench_en_dev_static`, which reads the rest with the extractor that newer tasks share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from fourways.benchmarks.answers.choice import read_choice
from fourways.benchmarks.answers.scoring import by_label, judged, mean_part
from fourways.benchmarks.contract import Benchmark, Metric, ReplyContext, Sample
from fourways.benchmarks.mmbench import MMBenchCN, MMBenchEN
from fourways.benchmarks.mmstar import MMStar
from fourways.benchmarks.predictions.choice_words import any_place, last_words, older_choice, ranked_choice
from fourways.benchmarks.predictions.kit import Reread, described, of_rule
from fourways.benchmarks.realworldqa import RealWorldQA
from fourways.core.rows import AnswerRow

_FOUR = ("A", "B", "C", "D")
_LMMS = "lmms-eval"
_OLDER = "one letter A–E among the words, else the one option whose text stands in the reply; ends stripped"
_STATIC = f"{_OLDER}; else the letter in the most telling form"
_SHARED = "the letter in the most telling form"
_CAN_INFER = (
    "one letter among the last four words, else one that is stated, else the one option whose text stands there"
)


class ScoredMMBenchEN(MMBenchEN):
    """With vanilla accuracy by category beside circular, and all of it for each split of a file with several."""

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        return _by_split(super().metrics, rows)


class ScoredMMBenchCN(MMBenchCN):
    """As the English one."""

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        return _by_split(super().metrics, rows)


def _by_split(official: Callable[[Sequence[AnswerRow]], list[Metric]], rows: Sequence[AnswerRow]) -> list[Metric]:
    found = [*official(rows), *_vanilla(rows)]
    splits: dict[str, list[AnswerRow]] = defaultdict(list)
    for row in rows:
        splits[row.extra.get("split", "")].append(row)
    if len(splits) > 1:
        for split, own in sorted(splits.items()):
            labels = {"split": split or "none"}
            each = [*official(own), *_vanilla(own)]
            found += [replace(one, primary=False, labels={**labels, **one.labels}) for one in each]
    return found


def _vanilla(rows: Sequence[AnswerRow]) -> list[Metric]:
    """Vanilla accuracy by category of a file with rotations; without any, it stands among the benchmark's own."""
    groups: dict[str, list[AnswerRow]] = defaultdict(list)
    for row in judged(rows):
        groups[row.group].append(row)
    if all(len(group) < 2 for group in groups.values()):
        return []
    first = [min(group, key=lambda row: int(row.sample)) for group in groups.values()]
    name = "mmbench_vanilla@2"
    return [
        *by_label(first, "vanilla", name, "l2_category", lambda row: row.extra.get("l2_category", "")),
        *by_label(first, "vanilla", name, "category", lambda row: row.category),
    ]


def by_vlmevalkit(benchmark: Benchmark) -> Reread:
    return Reread(benchmark, "vlmevalkit", _CAN_INFER, lambda sample, reply: read_choice(reply, sample.options))


def by_ms_vlmeval(benchmark: Benchmark) -> Reread:
    how = "one letter among the last four words, else the one option whose text stands there"
    return Reread(benchmark, "ms-vlmeval", how, lambda sample, reply: last_words(reply, sample.options))


def by_vlmevalkit_2025(benchmark: Benchmark) -> Reread:
    how = "one letter among the words, else the one option whose text stands there"
    return Reread(benchmark, "vlmevalkit-2025", how, lambda sample, reply: any_place(reply, sample.options))


def by_lmms_eval(benchmark: Benchmark) -> Reread:
    """MMBench's, without the judge."""
    return Reread(benchmark, _LMMS, _OLDER, _older)


def by_lmms_eval_static(benchmark: Benchmark) -> Reread:
    return Reread(benchmark, "lmms-eval-static", _STATIC, _static)


def _older(sample: Sample, reply: str) -> str | None:
    """Of four options those that are not there have the text "nan", as in the data set that lmms-eval loads."""
    return older_choice(reply.strip(), {letter: sample.options.get(letter, "nan") for letter in _FOUR})


def _static(sample: Sample, reply: str) -> str | None:
    return _older(sample, reply) or ranked_choice(reply.strip(), _FOUR)


class RealWorldQAByLmmsEval(RealWorldQA):
    """`tasks/realworldqa/utils.py`: a letter A–D is read by the shared extractor, anything else must be the word."""

    definitions: Mapping[str, str] = described(
        RealWorldQA.definitions, _LMMS, f"{_SHARED}; words and numbers in lower case without a full stop at the end"
    )

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        if _lettered(sample):
            return ranked_choice(reply, _FOUR)
        return reply.lower().strip().rstrip(".") or None

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        if not isinstance(parsed, str) or not sample.gold:
            return 0.0
        answer = str(sample.gold[0]).strip()
        return float(parsed == (answer.upper() if _lettered(sample) else answer.lower()))

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        rows = judged(rows)
        name = of_rule("realworldqa_accuracy@2", _LMMS)
        return [Metric("accuracy", name, "fraction", 1.0, (mean_part(rows),), primary=True)] if rows else []


def _lettered(sample: Sample) -> bool:
    return bool(sample.gold) and str(sample.gold[0]).strip().upper() in _FOUR


class MMStarByLmmsEval(MMStar):
    """`tasks/mmstar/utils.py`: means over the finer categories, each of which counts alike."""

    definitions: Mapping[str, str] = {
        of_rule("mmstar_accuracy@1", _LMMS): f"unweighted mean over the finer categories of right answers / questions; "
        f"replies read by the rule {_LMMS}: {_SHARED}"
    }

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        return ranked_choice(reply, _FOUR)

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        rows = judged(rows)
        if not rows:
            return []
        categories: dict[str, list[AnswerRow]] = defaultdict(list)
        for row in rows:
            categories[row.category].append(row)
        name = of_rule("mmstar_accuracy@1", _LMMS)
        return [
            _mean_of_finer(rows, name, {}, primary=True),
            *(_mean_of_finer(group, name, {"category": one}, primary=False) for one, group in categories.items()),
        ]


def _mean_of_finer(rows: Sequence[AnswerRow], name: str, labels: dict[str, str], *, primary: bool) -> Metric:
    finer: dict[str, list[AnswerRow]] = defaultdict(list)
    for row in rows:
        finer[row.extra.get("l2_category", "")].append(row)
    parts = tuple(mean_part(group, 1 / len(finer)) for group in finer.values())
    return Metric("accuracy", name, "fraction", 1.0, parts, primary=primary, labels=labels)
