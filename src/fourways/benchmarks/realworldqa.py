"""RealWorldQA: questions on photographs, mostly from cars; the answer is a letter, a word or a number (xAI, 2024).

From the Hub's parquet the options and the instruction stand inside the question, which is asked as it is. From
VLMEvalKit's TSV the options are columns, and the question is written out like MMBench's.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fourways.benchmarks.answers.choice import (
    INSIDE,
    choice_prompt,
    inside_options,
    options_inside,
    read_choice,
)
from fourways.benchmarks.answers.scoring import by_label, judged, mean_part
from fourways.benchmarks.contract import Benchmark, Metric, ReplyContext, Sample
from fourways.benchmarks.reading.records import Record
from fourways.benchmarks.reading.tables import read_table
from fourways.core.request import Generate
from fourways.core.rows import AnswerRow


class RealWorldQA(Benchmark):
    """Accuracy: a letter where the answer is one, else the exact word."""

    key: str = "realworldqa"
    title: str = "RealWorldQA"
    primary: str = "accuracy"
    definitions: Mapping[str, str] = {
        "realworldqa_accuracy@2": "right answers / questions: the letter where options are given, else the exact word "
        "in lower case",
    }
    prompt_version: int = 1
    parser_version: int = 1
    scorer_version: int = 1

    def read(self, path: Path) -> Iterator[Sample]:
        for number, record in enumerate(read_table(path, ("question", "answer"), key_column="image_path")):
            yield _sample(number, record)

    def prompt(self, sample: Sample, dialect: str) -> str:
        """The question as it is; with options in columns, MMBench's prompt."""
        if options_inside(sample):
            return sample.question
        return choice_prompt(dialect, sample.question, sample.hint, sample.options, sample.language)

    def output(self, sample: Sample) -> Generate:
        return Generate(max_tokens=64)

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        """With options: the letter, by MMBench's rule. Without: the reply in lower case, without space and full stops
        at its ends (lmms-eval's rule); None where nothing is left."""
        if sample.options:
            return read_choice(reply, sample.options)
        return _plain(reply) or None

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        if not isinstance(parsed, str) or not sample.gold:
            return 0.0
        return float(_plain(parsed) == _plain(str(sample.gold[0])))

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        rows = judged(rows)
        if not rows:
            return []
        accuracy = Metric("accuracy", "realworldqa_accuracy@2", "fraction", 1.0, (mean_part(rows),), primary=True)
        return [accuracy, *by_label(rows, "accuracy", "realworldqa_accuracy@2", "category", lambda row: row.category)]


def _plain(text: str) -> str:
    return text.lower().strip().rstrip(".")


def _sample(number: int, record: Record) -> Sample:
    """category: how the answer is given, unless the file says another."""
    question, answer = record.need("question"), record.need("answer").strip()
    columns = record.lettered()
    lettered = len(answer) == 1 and answer in string.ascii_uppercase
    options = columns or (inside_options(question) if lettered else {})
    if lettered and answer not in options:
        # A letter without a list to go by: letters alone can be read.
        options = dict.fromkeys(string.ascii_uppercase[:4], "")
    return Sample(
        id=record.cells.get("index", str(number)),
        group=record.cells.get("index", str(number)),
        image_key=record.image_key,
        image=record.image,
        question=question,
        gold=(answer,),
        category=record.cells.get("category") or ("letter" if lettered else "word"),
        hint=record.cells.get("hint", ""),
        options=options,
        extra={} if columns else {"options": INSIDE},
    )
