"""POPE: is there such an object in the picture? (Li et al., 2023, arXiv 2305.10355.) As many yes as no; the objects
that are not there are drawn at random, from the popular ones, or from those that go with what is there (adversarial).

Read from the official files (`coco_pope_random.json`, …: JSON lines, with the pictures in a folder), from VLMEvalKit's
TSV, where a question belongs to several categories, or from the parquet of the Hugging Face Hub. Replies are read and
scored as the official `evaluate.py` does, which takes for yes whatever is not no.

The official program scores each category apart; papers report the mean of the three F1 (LLaVA, InternVL), which is
primary here. A reply of nonsense has an F1 of 0.67 by it: so `accuracy_stated` stands beside it, where only a yes that
was said counts."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from fourways.benchmarks.answers.scoring import judged
from fourways.benchmarks.answers.yes_no import YES_NO, counted, counts, f1_part
from fourways.benchmarks.contract import Benchmark, Metric, MetricPart, ReplyContext, Sample
from fourways.benchmarks.reading.cells import kept
from fourways.benchmarks.reading.files import data_names, find_below, reader
from fourways.benchmarks.reading.jsonl import decode_lines
from fourways.benchmarks.reading.records import shown
from fourways.benchmarks.reading.tables import read_table
from fourways.core.errors import BenchmarkFormatError
from fourways.core.request import Generate
from fourways.core.rows import AnswerRow

CATEGORIES = ("random", "popular", "adversarial")
_OFFICIAL = re.compile(r"(?P<source>\w+)_pope_(?P<category>random|popular|adversarial)\.jsonl?")
_QWEN = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl")
_NO = frozenset(("No", "not", "no"))
_YES = re.compile(r"\byes\b", re.IGNORECASE)
OTHER = "other"
"""Neither yes nor no was said; the official program counts it as yes."""


class _Line(msgspec.Struct):
    question_id: int | str
    image: str
    text: str
    label: str


class POPE(Benchmark):
    """F1 with yes as the positive answer, by category and averaged over them."""

    key: str = "pope"
    title: str = "POPE"
    primary: str = "f1_mean"
    definitions: Mapping[str, str] = {
        "pope_f1_mean@1": "unweighted mean over the categories there are of pope_f1",
        **counted("pope"),
        "pope_accuracy_stated@1": "right answers / questions, where a reply that says neither yes nor no is wrong",
    }
    prompt_version: int = 1
    parser_version: int = 1
    scorer_version: int = 1

    def read(self, path: Path) -> Iterator[Sample]:
        if _OFFICIAL.fullmatch(path.name) and path.is_file():
            return _read_official(path)
        files = sorted((path / name for name in data_names(path) if _OFFICIAL.fullmatch(name)), key=_order)
        if files:
            return (sample for file in files for sample in _read_official(file))
        return _read_table(path)

    def edition(self, path: Path) -> str:
        """The data set of the pictures ("coco", "aokvqa", "gqa"), where the files are the official ones."""
        found = {match["source"] for name in data_names(path) if (match := _OFFICIAL.fullmatch(name))}
        return found.pop() if len(found) == 1 else ""

    def prompt(self, sample: Sample, dialect: str) -> str:
        """Qwen-VL: VLMEvalKit's. LLaVA, InternVL and others: the short-answer request on a new line, as in the file of
        questions that both projects use."""
        if dialect in _QWEN:
            return f"{sample.question} Please answer yes or no."
        return f"{sample.question}\nAnswer the question using a single word or phrase."

    def output(self, sample: Sample) -> Generate:
        return Generate(max_tokens=16)

    def continuations(self, sample: Sample) -> tuple[str, ...]:
        return YES_NO

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str:
        """`no` where No, not or no is a word of the first sentence, commas left out; else yes. What holds no yes at all
        is told apart as `other`."""
        words = reply.partition(".")[0].replace(",", "").split(" ")
        if not _NO.isdisjoint(words):
            return "no"
        return "yes" if _YES.search(reply) else OTHER

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        if parsed is None or not sample.gold:
            return 0.0
        return float((parsed == "no") == (sample.gold[0] == "no"))

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        """Each category's, and all questions' together. A question of several categories counts in each of them."""
        rows = judged(rows)
        categories: dict[str, list[AnswerRow]] = defaultdict(list)
        for row in rows:
            for category in row.category.split(","):
                categories[category.strip()].append(row)
        if not rows:
            return []
        every = [row for group in categories.values() for row in group]
        mean = tuple(f1_part(group, 1 / len(categories)) for group in categories.values())
        stated = MetricPart(
            1.0, tuple(row.image for row in every), tuple(row.score * (row.parsed != OTHER) for row in every)
        )
        return [
            Metric("f1_mean", "pope_f1_mean@1", "fraction", 1.0, mean, primary=True),
            *counts(every, "pope", {}),
            Metric("accuracy_stated", "pope_accuracy_stated@1", "fraction", 1.0, (stated,)),
            *(
                metric
                for category, group in sorted(categories.items(), key=lambda item: _place(item[0]))
                for metric in counts(group, "pope", {"category": category})
            ),
        ]


def _place(category: str) -> tuple[int, str]:
    return (CATEGORIES.index(category) if category in CATEGORIES else len(CATEGORIES), category)


def _order(file: Path) -> tuple[int, str]:
    match = _OFFICIAL.fullmatch(file.name)
    return _place(match["category"] if match else "")


def _read_official(file: Path) -> Iterator[Sample]:
    match = _OFFICIAL.fullmatch(file.name)
    category = match["category"] if match else ""
    home = file.parent
    roots = (home, home / "images", home / "val2014", home.parent / "val2014", home.parent)
    hint = "A line is JSON with question_id, image, text and label."
    for _, where, line in decode_lines(file, msgspec.json.Decoder(_Line), hint):
        name = f"{category}/{line.question_id}"
        yield Sample(
            id=name,
            group=name,
            image_key=kept(line.image),
            image=reader(find_below(roots, line.image, where)),
            question=kept(line.text),
            gold=(_answer(line.label, where),),
            category=category,
        )


def _read_table(path: Path) -> Iterator[Sample]:
    """TSV: index, image, question, answer, category ("popular,random"). Parquet: question_id, which each category
    counts anew, in place of the index."""
    for number, record in enumerate(read_table(path, ("question", "answer", "category"), "image_source"), 1):
        category = record.need("category")
        name = record.cells.get("index") or f"{category}/{record.cells.get('question_id', number)}"
        yield Sample(
            id=name,
            group=name,
            image_key=record.image_key,
            image=record.image,
            question=record.need("question"),
            gold=(_answer(record.need("answer"), f"{record.where}, column 'answer'"),),
            category=category,
        )


def _answer(text: str, where: str) -> Literal["yes", "no"]:
    word = text.strip().lower()
    if word in ("yes", "no"):
        return "yes" if word == "yes" else "no"
    raise BenchmarkFormatError(f"{where}: answer {shown(text)} is neither yes nor no", hint="Correct the answer.")
