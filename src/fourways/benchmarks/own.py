"""Benchmarks of one's own: a table of questions about pictures, given by path, without code.

`choice:NAME`, `yes_no:NAME` and `open:NAME` say how the answers are judged. A table is VLMEvalKit's TSV, or CSV,
parquet, JSON lines or a JSON array with the columns `image`, `question` and `answer`, or others that are mapped to
these. Images are base64, bytes, or paths relative to the table.
"""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from fourways.benchmarks.answers.choice import CIRCLE, Lettered, choice_prompt, read_choice
from fourways.benchmarks.answers.scoring import by_label, judged, mean_part
from fourways.benchmarks.answers.short_answers import short_answer_prompt
from fourways.benchmarks.answers.vqa_answers import normalize
from fourways.benchmarks.answers.yes_no import YES_NO, counted, counts
from fourways.benchmarks.contract import Benchmark, Metric, MetricPart, ReplyContext, Sample
from fourways.benchmarks.reading.own_cells import LETTERS, accepted_answers, options_of, plain, right_letter
from fourways.benchmarks.reading.records import MissingColumns, Record, shown
from fourways.benchmarks.reading.tables import read_table
from fourways.core.errors import BenchmarkFormatError, UserError
from fourways.core.request import Generate
from fourways.core.rows import AnswerRow

_NAME = re.compile(r"\w[\w.-]{0,63}")
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_DIGITS = 18
_COMMON = ("index", "image", "question", "answer", "category")


class Own(Benchmark):
    """What the three kinds share: a name, a map of columns, and a table."""

    kind: str
    roles: Sequence[str] = _COMMON
    """What a column may be read as."""
    answered_by: str = "answer"
    """The column of the true answer, or those of which one is enough: `a|b`."""
    prompt_version: int = 1
    parser_version: int = 1
    scorer_version: int = 1

    def __init__(self, name: str, columns: Mapping[str, str]) -> None:
        """columns: role → the table's name for it. Raises UserError for a name or a role that cannot be."""
        if not _NAME.fullmatch(name):
            raise UserError(
                f"'{self.kind}:{name[:64]}' is no name of a benchmark",
                hint=f"after {self.kind}: up to 64 letters, digits, '-', '_' and '.'",
            )
        unknown = [role for role in columns if role not in self.roles]
        if unknown:
            raise UserError(
                f"{self.kind}:{name}: no column is read as {', '.join(map(shown, unknown))}",
                hint=f"columns maps {', '.join(role for role in self.roles if len(role) > 1)} to names in the table",
            )
        self.key = f"{self.kind}:{name}"
        self.title = self.key
        self.columns = dict(columns)

    def read(self, path: Path) -> Iterator[Sample]:
        lists = ("answer", "answers", "options")
        try:
            records = read_table(path, ("question", self.answered_by), columns=self.columns, lists=lists)
            for number, record in enumerate(records, 1):
                yield self._sample(record.cells.get("index", str(number)), record)
        except MissingColumns as error:
            named = dict.fromkeys(error.missing, "its name there")
            example = json.dumps(
                {self.key: {"path": path.name, "columns": {**self.columns, **named}}}, ensure_ascii=False
            )
            hint = f"In suite.json, say what it is called there: {example}"
            raise MissingColumns(error.message, hint=hint, missing=error.missing) from error

    @abstractmethod
    def _sample(self, index: str, record: Record) -> Sample: ...

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        return float(bool(sample.gold) and parsed == sample.gold[0])


class OwnChoice(Lettered, Own):
    """Multiple choice. A question that is asked in several rotations counts once, when all are right."""

    kind = "choice"
    roles = (*_COMMON, "hint", "options", "answer_index", "group", *LETTERS)
    answered_by = "answer|answer_index"
    primary: str = "accuracy"
    definitions: Mapping[str, str] = {
        "choice_accuracy@1": "questions answered right / questions; one asked in several rotations is right when all "
        "are; the letter is read by MMBench's rule, and one that cannot be read is wrong",
    }

    def _sample(self, index: str, record: Record) -> Sample:
        options = options_of(record)
        answer = right_letter(record, options)
        return Sample(
            id=index,
            group=record.cells.get("group", index),
            image_key=record.image_key,
            image=record.image,
            question=record.need("question"),
            gold=(answer,),
            category=record.cells.get("category", ""),
            hint=record.cells.get("hint", ""),
            options=options,
            language="zh" if _CHINESE.search(record.cells["question"]) else "en",
        )

    def read(self, path: Path) -> Iterator[Sample]:
        return with_rotations(super().read(path))

    def prompt(self, sample: Sample, dialect: str) -> str:
        """MMBench's; in Chinese where the question is."""
        return choice_prompt(dialect, sample.question, sample.hint, sample.options, sample.language)

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        return read_choice(reply, sample.options)

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        groups: dict[str, list[AnswerRow]] = defaultdict(list)
        for row in judged(rows):
            groups[row.group].append(row)
        if not groups:
            return []
        whole = [msgspec.structs.replace(g[0], score=float(all(r.score == 1 for r in g))) for g in groups.values()]
        name = "choice_accuracy@1"
        return [
            Metric("accuracy", name, "fraction", 1.0, (mean_part(whole),), primary=True),
            *by_label(whole, "accuracy", name, "category", lambda row: row.category),
        ]


def with_rotations(samples: Iterable[Sample]) -> Iterator[Sample]:
    """A sample is a rotation of an earlier one where it asks the same under the same index modulo `CIRCLE`."""
    asked: dict[int, str] = {}
    for sample in samples:
        if sample.group == sample.id and sample.id.isdecimal():
            index = int(sample.id[:_DIGITS])
            if asked.setdefault(index % CIRCLE, sample.question) == sample.question and index >= CIRCLE:
                sample = replace(sample, group=str(index % CIRCLE))
        yield sample


class OwnYesNo(Own):
    """Yes or no."""

    kind = "yes_no"
    primary: str = "accuracy"
    definitions: Mapping[str, str] = counted("yes_no")

    def _sample(self, index: str, record: Record) -> Sample:
        answer = record.need("answer").strip().lower()
        if answer not in ("yes", "no"):
            raise BenchmarkFormatError(
                f"{record.where}: column 'answer' is {shown(answer)}, neither yes nor no",
                hint="Correct the answer, or judge the table as choice:NAME or open:NAME.",
            )
        return _plain_sample(index, record, (answer,))

    def prompt(self, sample: Sample, dialect: str) -> str:
        """A question that asks for yes or no is left as it is. Else LLaVA and InternVL get their request for a single
        word; Qwen-VL and others VLMEvalKit's."""
        if "yes or no" in sample.question.lower():
            return sample.question
        if dialect in ("llava-next", "internvl"):
            return short_answer_prompt(sample.question, dialect)
        return f"{sample.question} Please answer yes or no."

    def output(self, sample: Sample) -> Generate:
        return Generate(max_tokens=16)

    def continuations(self, sample: Sample) -> tuple[str, ...]:
        return YES_NO

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        """The one of the words yes and no that the reply has; None if it has neither or both (VLMEvalKit's rule)."""
        found = {"yes", "no"}.intersection(re.findall(r"\w+", reply.lower()))
        return found.pop() if len(found) == 1 else None

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        rows = judged(rows)
        if not rows:
            return []
        accuracy, *others = counts(rows, "yes_no", {})
        labelled = by_label(rows, "accuracy", accuracy.definition, "category", lambda row: row.category)
        return [replace(accuracy, primary=True), *others, *labelled]


class OwnOpen(Own):
    """Open answers: equal to one that is accepted, after a named normalisation."""

    kind = "open"
    roles = (*_COMMON, "answers")
    answered_by = "answer|answers"
    primary: str = "exact"
    definitions: Mapping[str, str] = {
        "open_exact@1": "questions whose reply equals an accepted answer / questions; both in Unicode's compatibility "
        "form (NFKC), lower case, with single spaces, and without punctuation at either end",
        "open_vqa@1": "questions whose reply equals an accepted answer after VQA's normalisation (articles, number "
        "words, contractions, punctuation) / questions",
    }

    def _sample(self, index: str, record: Record) -> Sample:
        return _plain_sample(index, record, accepted_answers(record))

    def prompt(self, sample: Sample, dialect: str) -> str:
        return short_answer_prompt(sample.question, dialect)

    def output(self, sample: Sample) -> Generate:
        return Generate(max_tokens=64)

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        """The reply in the normalised form; None where nothing is left of it."""
        return plain(reply) or None

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        return float(parsed is not None and parsed in {plain(str(answer)) for answer in sample.gold})

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        rows = judged(rows)
        if not rows:
            return []
        name, images = "open_exact@1", tuple(row.image for row in rows)
        alike = tuple(float(_alike(row.parsed, row.gold)) for row in rows)
        return [
            Metric("exact", name, "fraction", 1.0, (mean_part(rows),), primary=True),
            Metric("vqa", "open_vqa@1", "fraction", 1.0, (MetricPart(1.0, images, alike),)),
            *by_label(rows, "exact", name, "category", lambda row: row.category),
        ]


KINDS: Mapping[str, type[Own]] = {one.kind: one for one in (OwnChoice, OwnYesNo, OwnOpen)}


def _alike(parsed: object, gold: Sequence[str | float]) -> bool:
    if not isinstance(parsed, str):
        return False
    said = normalize(parsed)
    return any(said == normalize(str(answer)) for answer in gold)


def _plain_sample(index: str, record: Record, gold: tuple[str, ...]) -> Sample:
    return Sample(
        id=index,
        group=index,
        image_key=record.image_key,
        image=record.image,
        question=record.need("question"),
        gold=gold,
        category=record.cells.get("category", ""),
    )
