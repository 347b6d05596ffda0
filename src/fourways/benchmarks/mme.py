"""MME: 14 subtasks of yes/no questions, two an image (Fu et al., 2023, arXiv 2306.13394).

Read from the official folder (`<subtask>/…`), from VLMEvalKit's TSV, or from the parquet of the Hugging Face Hub.
Replies are read and scored as the official `calculation.py` does. VLMEvalKit's rule differs (it wants "yes" without a
"no" anywhere) and does not give the official score."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from fourways.benchmarks.answers.scoring import judged, mean_part
from fourways.benchmarks.contract import Benchmark, Metric, MetricPart, ReplyContext, Sample
from fourways.benchmarks.reading.files import IMAGE_SUFFIXES, read_text, reader
from fourways.benchmarks.reading.records import shown
from fourways.benchmarks.reading.tables import read_table
from fourways.core.errors import BenchmarkFormatError
from fourways.core.request import Generate
from fourways.core.rows import AnswerRow

PERCEPTION = (
    "existence", "count", "position", "color", "posters", "celebrity", "scene", "landmark", "artwork", "OCR",
)  # fmt: skip
COGNITION = ("commonsense_reasoning", "numerical_calculation", "text_translation", "code_reasoning")
SUBTASKS = (*PERCEPTION, *COGNITION)

SUFFIX = " Please answer yes or no."
"""Ends every official question."""
_SHORT = "Answer the question using a single word or phrase."
_READ_CHARACTERS = 4


class MME(Benchmark):
    """acc + acc+ by subtask (0–200), summed over perception, cognition and all."""

    key: str = "mme"
    title: str = "MME"
    primary: str = "mme_sum"
    definitions: Mapping[str, str] = {
        "mme_sum@2": "sum of mme_score over the subtasks there are; 2800 points with all 14",
        "mme_perception@2": "sum of mme_score over the perception subtasks there are; 2000 points with all 10",
        "mme_cognition@2": "sum of mme_score over the cognition subtasks there are; 800 points with all 4",
        "mme_score@2": "100 x acc + 100 x acc_plus of one subtask",
        "mme_acc@2": "right answers / questions, over all subtasks; the first 4 characters decide, other is wrong",
        "mme_acc_plus@2": "images with both questions right / images, over all subtasks",
    }
    prompt_version: int = 1
    parser_version: int = 1
    scorer_version: int = 1

    def read(self, path: Path) -> Iterator[Sample]:
        folder = _release(path)
        if folder is not None:
            return _read_folder(folder)
        if path.is_dir() and not any(path.glob("**/*.parquet")) and not any(path.glob("*.tsv")):
            raise BenchmarkFormatError(
                f"{path}: no subtask folder ({SUBTASKS[0]}, {SUBTASKS[1]}, …) and no table here",
                hint="Give the folder MME_Benchmark_release_version, or a TSV or parquet file.",
            )
        return _read_table(path)

    def prompt(self, sample: Sample, dialect: str) -> str:
        """Qwen-VL: the question unchanged (VLMEvalKit). InternVL: with its short-answer request after it. LLaVA: that
        request in place of MME's own (lmms-eval)."""
        if dialect == "internvl":
            return f"{sample.question} {_SHORT}"
        if dialect == "llava-next":
            return f"{sample.question.removesuffix(SUFFIX)}\n{_SHORT}"
        return sample.question

    def output(self, sample: Sample) -> Generate:
        return Generate(max_tokens=16)

    def continuations(self, sample: Sample) -> tuple[str, ...]:
        return ("Yes", "No")

    def parse(self, sample: Sample, reply: str, context: ReplyContext) -> str | None:
        """`yes` or `no` within the first four characters, yes before no, without stripping; else None ("other")."""
        start = reply.lower()[:_READ_CHARACTERS]
        return next((word for word in ("yes", "no") if word in start), None)

    def score(self, sample: Sample, parsed: str | tuple[float, ...] | None) -> float:
        return float(bool(sample.gold) and parsed == sample.gold[0])

    def metrics(self, rows: Sequence[AnswerRow]) -> list[Metric]:
        rows = judged(rows)
        if not rows:
            return []
        tasks = sorted({row.category for row in rows}, key=_order)
        parts = {task: _subtask([row for row in rows if row.category == task]) for task in tasks}
        metrics = [
            Metric(
                "mme_sum", "mme_sum@2", _points(tasks), 200.0 * len(tasks), _join(parts, tasks), primary=True,
            ),
            Metric("acc", "mme_acc@2", "fraction", 1.0, (mean_part(rows),)),
            Metric("acc_plus", "mme_acc_plus@2", "fraction", 1.0, (_pairs(rows),)),
        ]  # fmt: skip
        for name, members in (("perception", PERCEPTION), ("cognition", COGNITION)):
            if present := [task for task in tasks if task in members]:
                definition, unit, best = f"mme_{name}@2", _points(present), 200.0 * len(present)
                metrics.append(Metric(f"mme_{name}", definition, unit, best, _join(parts, present)))
        for task in tasks:
            metrics.append(
                Metric("mme_score", "mme_score@2", _points([task]), 200.0, parts[task], labels={"category": task})
            )
        return metrics


def _order(task: str) -> tuple[int, str]:
    return (SUBTASKS.index(task) if task in SUBTASKS else len(SUBTASKS), task)


def _points(tasks: Sequence[str]) -> str:
    """The unit says how many points there were: a part of the subtasks has a smaller sum."""
    return f"points of {200 * len(tasks)}"


def _join(parts: dict[str, tuple[MetricPart, ...]], tasks: Sequence[str]) -> tuple[MetricPart, ...]:
    return tuple(part for task in tasks for part in parts[task])


def _subtask(rows: Sequence[AnswerRow]) -> tuple[MetricPart, ...]:
    """100 x acc over questions + 100 x acc+ over images."""
    return mean_part(rows, 100.0), _pairs(rows, 100.0)


def _pairs(rows: Sequence[AnswerRow], coefficient: float = 1.0) -> MetricPart:
    """An image is right when all its questions are."""
    groups: dict[tuple[str, str], list[AnswerRow]] = defaultdict(list)
    for row in rows:
        groups[row.category, row.group].append(row)
    clusters = tuple(group[0].image for group in groups.values())
    return MetricPart(coefficient, clusters, tuple(float(all(r.score == 1 for r in g)) for g in groups.values()))


# -- the official folder ----------------------------------------------------------------------------------------------


def _release(path: Path) -> Path | None:
    """The folder whose children are subtasks, or None if `path` is no such folder."""
    if not path.is_dir():
        return None
    for folder in (path, path / "MME_Benchmark_release_version", path / "MME_Benchmark_release_version/MME_Benchmark"):
        if any((folder / task).is_dir() for task in SUBTASKS):
            return folder
    return None


def _read_folder(folder: Path) -> Iterator[Sample]:
    for task in SUBTASKS:
        home = folder / task
        if not home.is_dir():
            continue
        apart = (home / "questions_answers_YN").is_dir()
        texts = sorted((home / "questions_answers_YN" if apart else home).glob("*.txt"))
        if not texts:
            raise BenchmarkFormatError(
                f"{home}: no question files (*.txt)", hint="Unpack the whole release: each image has a .txt beside it."
            )
        for text in texts:
            yield from _read_image(task, text, home / "images" if apart else home)


def _read_image(task: str, text: Path, images: Path) -> Iterator[Sample]:
    image = next((file for s in IMAGE_SUFFIXES if (file := images / f"{text.stem}{s}").is_file()), None)
    if image is None:
        raise BenchmarkFormatError(
            f"{text}: no image {text.stem}{{{','.join(IMAGE_SUFFIXES[:4])}}} in {images}",
            hint="Unpack the whole release: images and questions go together.",
        )
    lines = [(number, line) for number, line in enumerate(read_text(text).splitlines(), 1) if line.strip()]
    if len(lines) != 2:
        raise BenchmarkFormatError(
            f"{text}: {len(lines)} questions where MME has 2 an image", hint="Restore the file: acc+ is over pairs."
        )
    group = f"{task}/{text.stem}"
    for place, (number, line) in enumerate(lines):
        question, tab, answer = line.partition("\t")
        where = f"{text}, line {number}"
        if not tab:
            raise BenchmarkFormatError(
                f"{where}: no tab between question and answer", hint="A line is: question, tab, Yes or No."
            )
        yield Sample(
            id=f"{group}/{place}",
            group=group,
            image_key=group,
            image=reader(image),
            question=question.strip(),
            gold=(_answer(answer, where),),
            category=task,
        )


def _answer(text: str, where: str) -> Literal["yes", "no"]:
    word = text.strip().lower()
    if word == "yes":
        return "yes"
    if word == "no":
        return "no"
    raise BenchmarkFormatError(
        f"{where}: answer {shown(text.strip())} is neither Yes nor No", hint="Correct the answer."
    )


# -- tables -----------------------------------------------------------------------------------------------------------


def _read_table(path: Path) -> Iterator[Sample]:
    """TSV: index, image, image_path, question, answer, category. Parquet: question_id (of the image), the rest
    alike. Raises BenchmarkFormatError where an image has not exactly two questions: acc+ is over pairs."""
    seen: dict[str, int] = defaultdict(int)
    for record in read_table(path, ("question", "answer", "category"), key_column="question_id"):
        task = record.need("category")
        name = record.cells.get("question_id") or record.cells.get("image_path") or record.image_key
        group = name if name.startswith(f"{task}/") else f"{task}/{name}"
        place = seen[group]
        seen[group] += 1
        if place > 1:
            raise BenchmarkFormatError(
                f"{record.where}: a third question about {shown(group)}", hint="MME has two questions an image."
            )
        yield Sample(
            id=f"{group}/{place}",
            group=group,
            image_key=record.image_key,
            image=record.image,
            question=record.need("question"),
            gold=(_answer(record.need("answer"), f"{record.where}, column 'answer'"),),
            category=task,
        )
    alone = [group for group, count in seen.items() if count != 2]
    if alone:
        raise BenchmarkFormatError(
            f"{path}: {len(alone)} images have one question, {shown(alone[0])} among them",
            hint="Take the complete file: MME has two questions an image, and acc+ is over pairs.",
        )
