"""MMBench, English and Chinese: multiple choice, asked once for each rotation of the options (Liu et al., 2023, arXiv
2307.06281).

A question's copies have the index k x 1,000,000 + base; in VLMEvalKit's files a copy's image cell holds the base
index, in older ones ("legacy") the image again; the official files have no copies; the Hub's parquet has an image in
each row. *Circular* accuracy counts a question only if every rotation is right."""

from __future__ import annotations

import re
import string
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Literal

import msgspec

from fourways.benchmarks.answers.choice import CIRCLE, Lettered, choice_prompt, read_choice
from fourways.benchmarks.answers.scoring import by_label, judged, mean_part
from fourways.benchmarks.contract import Metric, ReplyContext, Sample
from fourways.benchmarks.reading.files import data_names
from fourways.benchmarks.reading.records import Record, shown
from fourways.benchmarks.reading.tables import SHARD, read_table
from fourways.core.errors import BenchmarkFormatError
from fourways.core.rows import AnswerRow

_OFFICIAL = re.compile(r"(?i)mmbench_(?P<split>dev|test)(?:_(?:en|cn))?(?:(?P<newer>_v11)|_20\d{6})?(?:_legacy)?\.tsv")


class _MMBench(Lettered):
    """Both languages: one format, one rule."""

    language: ClassVar[Literal["en", "zh"]]
    primary: str = "circular"
    definitions: Mapping[str, str] = {
        "mmbench_circular@2": "questions whose every rotation is answered right / questions; an unread letter is wrong",
        "mmbench_vanilla@2": "questions answered right with the options in their first order / questions",
        "mmbench_vanilla_all@2": "right answers / all rotations of all questions",
    }
    prompt_version: int = 1
    parser_version: int = 1
    scorer_version: int = 1

    def read(self, path: Path) -> Iterator[Sample]:
        for record in read_table(path, ("index", "question", "A", "B")):
            yield self._sample(record)

    def _sample(self, record: Record) -> Sample:
        index = _number(record, "index")
        group = _number(record, "g_index") if "g_index" in record.cells else index % CIRCLE
        options = {letter: record.cells[letter] for letter in string.ascii_uppercase if letter in record.cells}
        answer = record.cells.get("answer")
        l2_category = record.first("l2-category", "L2-category", "l2_category")
        if answer is not None and answer not in options:
            raise BenchmarkFormatError(
                f"{record.where}: column 'answer' is {shown(answer)}, which is none of {', '.join(options)}",
                hint="The answer is the letter of an option that has text.",
            )
        return Sample(
            id=str(index),
            group=str(group),
            image_key=record.image_key,
            image=record.image,
            question=record.need("question"),
            gold=() if answer is None else (answer,),
            category=record.cells.get("category", ""),
            hint=record.cells.get("hint", ""),
            options=options,
            language=self.language,
            extra={"l2_category": l2_category} if l2_category else {},
        )

    def edition(self, path: Path) -> str:
        """ "dev v1.0", "test v1.1": the official names; "dev" where a file names the split alone."""
        found = {_edition(name) for name in data_names(path)} - {""}
        return found.pop() if len(found) == 1 else ""

    def prompt(self, sample: Sample, dialect: str) -> str:
        return choice_prompt(dialect, sample.question, sample.hint, sample.options, sample.language)

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        return read_choice(reply, sample.options)

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        return float(bool(sample.gold) and parsed == sample.gold[0])

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        """`circular` and `vanilla` over questions (vanilla: the unrotated row alone), and `vanilla_all` over all rows.
        In a file without rotations there is no circular accuracy, and `vanilla` is primary."""
        rows = judged(rows)
        if not rows:
            return []
        groups: dict[str, list[AnswerRow]] = defaultdict(list)
        for row in rows:
            groups[row.group].append(row)
        base = [min(group, key=lambda row: int(row.sample)) for group in groups.values()]
        rotated = any(len(group) > 1 for group in groups.values())
        vanilla = Metric("vanilla", "mmbench_vanilla@2", "fraction", 1.0, (mean_part(base),), primary=not rotated)
        if not rotated:
            return [vanilla, *_by_category(base, "vanilla", "mmbench_vanilla@2")]
        circles = [_circle(row, groups[row.group]) for row in base]
        return [
            Metric("circular", "mmbench_circular@2", "fraction", 1.0, (mean_part(circles),), primary=True),
            vanilla,
            Metric("vanilla_all", "mmbench_vanilla_all@2", "fraction", 1.0, (mean_part(rows),)),
            *_by_category(circles, "circular", "mmbench_circular@2"),
        ]


class MMBenchEN(_MMBench):
    key: str = "mmbench_en"
    title: str = "MMBench (English)"
    language: ClassVar[Literal["en", "zh"]] = "en"


class MMBenchCN(_MMBench):
    key: str = "mmbench_cn"
    title: str = "MMBench (Chinese)"
    language: ClassVar[Literal["en", "zh"]] = "zh"


def _edition(name: str) -> str:
    official = _OFFICIAL.fullmatch(name)
    if official:
        return f"{official['split'].lower()} v{'1.1' if official['newer'] else '1.0'}"
    shard = SHARD.fullmatch(name)
    return shard["split"] if shard else ""


def _number(record: Record, column: str) -> int:
    return int(record.number(column))


def _circle(base: AnswerRow, group: Sequence[AnswerRow]) -> AnswerRow:
    """The question as one row: right when all its rotations are."""
    return msgspec.structs.replace(base, score=float(all(row.score == 1 for row in group)))


def _by_category(rows: Sequence[AnswerRow], name: str, definition: str) -> list[Metric]:
    return [
        *by_label(rows, name, definition, "l2_category", lambda row: row.extra.get("l2_category", "")),
        *by_label(rows, name, definition, "category", lambda row: row.category),
    ]
