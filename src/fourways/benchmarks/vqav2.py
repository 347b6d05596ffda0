"""VQAv2: open questions on COCO pictures, ten human answers each (Goyal et al., 2017, arXiv 1612.00837).

Read from the official files: the questions' JSON, the annotations' JSON (absent for test splits) and the picture
folder. Both are streamed: 24 bytes a question are held, not the annotations. Or from the Hub's parquet (lmms-lab),
where `answers` is a list of objects, and null in the test splits."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from fourways.benchmarks.answers.scoring import by_label, judged, mean_part
from fourways.benchmarks.answers.short_answers import short_answer_prompt
from fourways.benchmarks.answers.vqa_answers import accuracy, clean
from fourways.benchmarks.contract import Benchmark, Metric, MetricPart, ReplyContext, Sample
from fourways.benchmarks.reading.cells import kept
from fourways.benchmarks.reading.files import data_names, find_below, reader
from fourways.benchmarks.reading.json_stream import stream_array
from fourways.benchmarks.reading.records import texts_of
from fourways.benchmarks.reading.tables import SHARD, read_table
from fourways.core.errors import BenchmarkFormatError
from fourways.core.request import Generate
from fourways.core.rows import AnswerRow

_T = TypeVar("_T")
_SPLIT = re.compile(r"_((?:train|val|test|test-dev)\d{4})_questions\.json$")
_SHARDS = {"validation": "val2014", "testdev": "test-dev2015", "test": "test2015", "train": "train2014"}


class _Question(msgspec.Struct):
    question_id: int
    image_id: int
    question: str


class _Answer(msgspec.Struct):
    answer: str


class _Annotation(msgspec.Struct):
    question_id: int
    answers: list[_Answer]
    question_type: str = ""
    answer_type: str = ""


class VQAv2(Benchmark):
    """Consensus accuracy, under both normalisations by name. The one that always normalises ranks."""

    key: str = "vqav2"
    title: str = "VQAv2"
    primary: str = "accuracy"
    definitions: Mapping[str, str] = {
        "vqa_accuracy_always@2": "mean over questions of the mean over annotators of min(1, matches among the other "
        "nine / 3), all answers normalised",
        "vqa_accuracy_github@2": "as vqa_accuracy_always, but normalised only where the ten answers differ: the "
        "repository's scorer",
    }
    prompt_version: int = 1
    parser_version: int = 1
    scorer_version: int = 1

    def read(self, path: Path) -> Iterator[Sample]:
        if path.suffix.lower() == ".parquet" or any(n.endswith(".parquet") for n in data_names(path)):
            return _read_parquet(path)
        return self._read_official(path)

    def edition(self, path: Path) -> str:
        """ "val2014", "test-dev2015", …: the official splits."""
        found = {_edition(name) for name in data_names(path)} - {""}
        return found.pop() if len(found) == 1 else ""

    def _read_official(self, path: Path) -> Iterator[Sample]:
        questions, annotations = _files(path)
        index = None if annotations is None else _AnnotationIndex(annotations)
        # The questions of test-dev are about the pictures of test.
        split = (_edition(questions.name) or "val2014").replace("test-dev", "test")
        decoder = msgspec.json.Decoder(_Question)
        with questions.open("rb") as stream:
            for offset, length, _ in stream_array(questions, "questions"):
                stream.seek(offset)
                where = f"{questions}, byte {offset}"
                question = _decode(decoder, stream.read(length), where)
                annotation = None if index is None else index.find(question.question_id)
                yield _sample(path, split, question, annotation, where)

    def prompt(self, sample: Sample, dialect: str) -> str:
        return short_answer_prompt(sample.question, dialect)

    def output(self, sample: Sample) -> Generate:
        return Generate(max_tokens=16)

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str:
        """The reply with its ends stripped: the scorer reads anything."""
        return clean(reply)

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        """Under "always": a normalisation that depends on the annotators' agreement is no property of the reply."""
        return _accuracy_always(parsed, sample.gold)

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        rows = judged(rows)
        if not rows:
            return []
        name = "vqa_accuracy_always@2"
        images = tuple(row.image for row in rows)
        github = MetricPart(1.0, images, tuple(_accuracy_github(row.parsed, row.gold) for row in rows))
        return [
            Metric("accuracy", name, "fraction", 1.0, (mean_part(rows),), primary=True),
            Metric("accuracy_github", "vqa_accuracy_github@2", "fraction", 1.0, (github,)),
            *by_label(rows, "accuracy", name, "category", lambda row: row.category),
            *by_label(rows, "accuracy", name, "question_type", lambda row: row.extra.get("question_type", "")),
        ]


def _accuracy_always(parsed: object, gold: Sequence[str | float]) -> float:
    return accuracy(parsed, [str(g) for g in gold], "always") if isinstance(parsed, str) else 0.0


def _accuracy_github(parsed: object, gold: Sequence[str | float]) -> float:
    return accuracy(parsed, [str(g) for g in gold], "github") if isinstance(parsed, str) else 0.0


class _AnnotationIndex:
    """question_id → where its annotation lies. Built in one pass; each annotation is read again when it is asked
    for."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._decoder = msgspec.json.Decoder(_Annotation)
        numbers, offsets, lengths = array("q"), array("q"), array("q")
        for offset, length, value in stream_array(file, "annotations"):
            number = value.get("question_id")
            if not isinstance(number, int) or abs(number) >= 2**62:
                raise BenchmarkFormatError(
                    f"{file}, byte {offset}: 'question_id' is missing or no number",
                    hint="Fetch the official file again.",
                )
            numbers.append(number)
            offsets.append(offset)
            lengths.append(length)
        order = np.argsort(np.asarray(numbers, dtype=np.int64), kind="stable")
        self._numbers: NDArray[np.int64] = np.asarray(numbers, dtype=np.int64)[order]
        self._offsets: NDArray[np.int64] = np.asarray(offsets, dtype=np.int64)[order]
        self._lengths: NDArray[np.int64] = np.asarray(lengths, dtype=np.int64)[order]

    def find(self, question_id: int) -> _Annotation:
        place = int(np.searchsorted(self._numbers, question_id))
        if place == self._numbers.size or self._numbers[place] != question_id:
            raise BenchmarkFormatError(
                f"{self._file}: no annotation for question {question_id}",
                hint="Questions and annotations are of different splits or versions.",
            )
        with self._file.open("rb") as stream:
            stream.seek(int(self._offsets[place]))
            return _decode(
                self._decoder, stream.read(int(self._lengths[place])), f"{self._file}, question {question_id}"
            )


def _decode(decoder: msgspec.json.Decoder[_T], data: bytes, where: str) -> _T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BenchmarkFormatError(f"{where}: {error}", hint="Fetch the official file again.") from error


def _edition(name: str) -> str:
    official, shard = _SPLIT.search(name), SHARD.fullmatch(name)
    if official:
        return official.group(1)
    return _SHARDS.get(shard["split"], "") if shard else ""


def _read_parquet(path: Path) -> Iterator[Sample]:
    """question_id, image_id, question, and where they are public answers, question_type and answer_type."""
    columns = ("question_id", "question", "image_id")
    for record in read_table(path, columns, "image_id", identity=("question_id",), lists=("answers",)):
        number = record.need("question_id")
        answers = texts_of(record.nested.get("answers", ()))
        if answers is None:
            raise BenchmarkFormatError(
                f"{record.where}: column 'answers' is no list of answers", hint="Fetch the data set again."
            )
        kind = record.cells.get("question_type", "")
        yield Sample(
            id=number,
            group=number,
            image_key=record.image_key,
            image=record.image,
            question=record.need("question"),
            gold=tuple(map(kept, answers)),
            category=record.cells.get("answer_type", ""),
            extra={"question_type": kind} if kind and answers else {},
        )


def _sample(root: Path, split: str, question: _Question, annotation: _Annotation | None, where: str) -> Sample:
    name = f"COCO_{split}_{question.image_id:012d}.jpg"
    image = find_below((root / split, root / "images", root / "images" / split, root), name, where)
    number = str(question.question_id)
    return Sample(
        id=number,
        group=number,
        image_key=kept(str(question.image_id)),
        image=reader(image),
        question=kept(question.question),
        gold=() if annotation is None else tuple(kept(answer.answer) for answer in annotation.answers),
        category="" if annotation is None else kept(annotation.answer_type),
        extra={} if annotation is None else {"question_type": kept(annotation.question_type)},
    )


def _files(folder: Path) -> tuple[Path, Path | None]:
    """The questions' file and the annotations', which a test split has not."""
    if not folder.is_dir():
        raise BenchmarkFormatError(
            f"{folder}: not a folder", hint="Give the folder of questions, annotations and images."
        )
    found = {kind: sorted(folder.glob(f"*{kind}.json")) for kind in ("questions", "annotations")}
    for kind, files in found.items():
        if len(files) > 1:
            raise BenchmarkFormatError(
                f"{folder}: {len(files)} files end in {kind}.json", hint="Keep the files of one split in a folder."
            )
    if not found["questions"]:
        raise BenchmarkFormatError(
            f"{folder}: no file ends in questions.json", hint="Expected v2_OpenEnded_mscoco_val2014_questions.json."
        )
    return found["questions"][0], found["annotations"][0] if found["annotations"] else None
