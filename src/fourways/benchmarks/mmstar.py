"""MMStar: 1,500 multiple-choice questions that need the picture, 250 for each of six core capabilities (Chen et al.,
2024, arXiv 2403.20330).

Read from the authors' TSV or parquet, where the options stand inside the question, or from VLMEvalKit's TSV, where they
are columns. Replies are read and scored as the authors' `MMStar_eval` does: by what the reply begins with. VLMEvalKit
reads them by its own rule (`choice.read_choice`), and so do most published figures: where a model answers with the
letter alone, as it is asked to, both are the same. `accuracy_letter` reads the letter wherever it stands: the authors'
rule reads "Answer: B" as A."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from fourways.benchmarks.answers.choice import (
    INSIDE,
    Lettered,
    choice_prompt,
    inside_options,
    options_inside,
    read_letter,
)
from fourways.benchmarks.answers.scoring import by_label, judged, mean_part
from fourways.benchmarks.contract import Metric, MetricPart, ReplyContext, Sample
from fourways.benchmarks.reading.records import Record, shown
from fourways.benchmarks.reading.tables import read_table
from fourways.core.errors import BenchmarkFormatError
from fourways.core.rows import AnswerRow

LETTERS = "ABCD"
_BEFORE = ("(", "option ", "the answer is ")
"""What may stand before the letter, in lower case."""


class MMStar(Lettered):
    """Accuracy over all questions, which with 250 each is the mean of the six capabilities."""

    key: str = "mmstar"
    title: str = "MMStar"
    primary: str = "accuracy"
    definitions: Mapping[str, str] = {
        "mmstar_accuracy@1": "right answers / questions; the letter must begin the reply, or stand there after "
        "'(', 'option ' or 'the answer is '",
        "mmstar_accuracy_letter@1": "right answers / questions; the one option letter that is a word of the reply, "
        "among its last four, or in 'answer is B' (MMBench's rule without the options' texts)",
    }
    prompt_version: int = 1
    parser_version: int = 1
    scorer_version: int = 1

    def read(self, path: Path) -> Iterator[Sample]:
        for number, record in enumerate(read_table(path, ("question", "answer", "category"))):
            yield _sample(number, record)

    def prompt(self, sample: Sample, dialect: str) -> str:
        """Options in columns: MMBench's prompt. Else the question as it is, and lmms-eval's request for the letter."""
        if options_inside(sample):
            return f"{sample.question}\nAnswer with the option's letter from the given choices directly"
        return choice_prompt(dialect, sample.question, sample.hint, sample.options, sample.language)

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        """The letter that the reply begins with, in either case, alone or in a word."""
        start = reply.lower().strip()[:32].replace("\n", " ")
        lead = next((lead for lead in _BEFORE if start.startswith(lead)), "")
        letter = start[len(lead) : len(lead) + 1].upper()
        return letter if letter and letter in LETTERS else None

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        return float(bool(sample.gold) and parsed == sample.gold[0])

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        rows = judged(rows)
        if not rows:
            return []
        name = "mmstar_accuracy@1"
        lettered = tuple(
            float(row.status != "failed" and read_letter(row.reply, LETTERS) == row.gold[0]) for row in rows
        )
        beside = MetricPart(1.0, tuple(row.image for row in rows), lettered)
        return [
            Metric("accuracy", name, "fraction", 1.0, (mean_part(rows),), primary=True),
            Metric("accuracy_letter", "mmstar_accuracy_letter@1", "fraction", 1.0, (beside,)),
            *by_label(rows, "accuracy", name, "category", lambda row: row.category),
            *by_label(rows, "accuracy", name, "l2_category", lambda row: row.extra.get("l2_category", "")),
        ]


def _sample(number: int, record: Record) -> Sample:
    answer = record.need("answer").strip().upper()
    columns = record.lettered()
    options = columns or inside_options(record.need("question")) or dict.fromkeys(LETTERS, "")
    if len(answer) != 1 or answer not in LETTERS:
        raise BenchmarkFormatError(
            f"{record.where}: column 'answer' is {shown(answer)}, which is none of {', '.join(LETTERS)}",
            hint="The answer is the letter of an option.",
        )
    finer = record.first("l2_category", "l2-category")
    index = record.cells.get("index", str(number))
    return Sample(
        id=index,
        group=index,
        image_key=record.image_key,
        image=record.image,
        question=record.need("question"),
        gold=(answer,),
        category=record.need("category"),
        hint=record.cells.get("hint", ""),
        options=options,
        extra={**({"l2_category": finer} if finer else {}), **({} if columns else {"options": INSIDE})},
    )
