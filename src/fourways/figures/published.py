"""What others published beside what was measured here.

The table (`references/published.json`) names a source for every value. A value is compared only where split, prompt,
sampling and judge are the same as far as both sides say; else the reason stands in its place. A difference says
nothing of who is right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

from fourways.core.candidate import Sampling
from fourways.core.figure import Figure
from fourways.core.run import BenchmarkRecord, CandidateRecord, RunHeader
from fourways.figures.editions import mismatch


class Source(msgspec.Struct, frozen=True):
    title: str
    url: str
    date: str


class Model(msgspec.Struct, frozen=True):
    """ids: Hugging Face ids of its checkpoints. dialects: those in which its family asks. sampling: how its source drew
    answers; greedy where it does not say."""

    ids: tuple[str, ...]
    dialects: tuple[str, ...]
    sampling: Sampling
    sampling_note: str


class Score(msgspec.Struct, frozen=True):
    """One published number, in its own unit ("%" or "points"). labels: those of the measured figure beside `benchmark`.
    judge: an LLM read what the rule could not."""

    model: str
    benchmark: str
    edition: str
    metric: str
    labels: dict[str, str]
    value: float
    unit: Literal["%", "points"]
    sources: tuple[str, ...]
    judge: bool = False


class Table(msgspec.Struct, frozen=True):
    """published.json."""

    schema: Literal["fourways.published/v1"]
    version: int
    sources: dict[str, Source]
    models: dict[str, Model]
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class AgainstPublished:
    """A published value and what this run has beside it. edition: release, split or part, as the source names it.

    published: in `unit`. measured None: this run has no such figure. words: the verdict as a sentence to print.
    """

    candidate: str
    benchmark: str
    metric: str
    edition: str
    published: float
    unit: str
    source: str
    source_url: str
    measured: Figure | None
    verdict: Literal["agrees", "differs", "not_comparable"]
    words: str


@cache
def table() -> Table:
    """The shipped table."""
    data = resources.files("fourways.figures").joinpath("references/published.json").read_bytes()
    return msgspec.json.decode(data, type=Table)


def against_published(header: RunHeader, figures: Sequence[Figure]) -> tuple[AgainstPublished, ...]:
    """Every published value of every candidate whose model the table knows, on the benchmarks of the run's suite."""
    suite = {record.key: record for record in header.suite}
    found: list[AgainstPublished] = []
    for record in header.candidates:
        model = model_of(record)
        if model is not None:
            mine = [f for f in figures if f.candidate == record.candidate.name and f.axis == "accuracy"]
            scores = [score for score in table().scores if score.model == model and score.benchmark in suite]
            found += [_beside(score, record, suite[score.benchmark], mine) for score in scores]
    return tuple(found)


def model_of(record: CandidateRecord) -> str | None:
    """The table's name of a candidate's model: the last part of its Hugging Face id, folder or served name, without
    `@revision` and `-hf` and in lower case, is that of one of the model's ids. None if there is none."""
    candidate = record.candidate
    named = candidate.model or candidate.served_model
    if named is None or candidate.weights == "random":
        return None
    return _by_name().get(_last_part(named))


@cache
def _by_name() -> dict[str, str]:
    return {_last_part(one): name for name, model in table().models.items() for one in model.ids}


def _last_part(name: str) -> str:
    last = name.partition("@")[0].replace("\\", "/").rstrip("/").rpartition("/")[2]
    return last.lower().removesuffix("-hf")


def _beside(
    score: Score, record: CandidateRecord, benchmark: BenchmarkRecord, figures: Sequence[Figure]
) -> AgainstPublished:
    measured = _measured(score, figures)
    why = next(_obstacles(score, record, benchmark, measured, figures), None)
    verdict: Literal["agrees", "differs", "not_comparable"] = "not_comparable"
    words = f"not comparable ({why})"
    if why is None and measured is not None and measured.value is not None:
        verdict, words = _compared(score, measured, measured.value)
    sources = [table().sources[key] for key in score.sources]
    return AgainstPublished(
        candidate=record.candidate.name,
        benchmark=score.benchmark,
        metric=score.metric,
        edition=", ".join(part for part in (score.edition, *score.labels.values()) if part) or "whole release",
        published=score.value,
        unit=score.unit,
        source="; ".join(f"{source.title} ({source.date})" for source in sources),
        source_url=sources[0].url,
        measured=measured,
        verdict=verdict,
        words=words,
    )


def _measured(score: Score, figures: Sequence[Figure]) -> Figure | None:
    """The official figure; where the source used a judge and this run too, the companion with the judge's readings."""
    labels = {"benchmark": score.benchmark, **score.labels}
    judged = [f for f in figures if f.metric == f"{score.metric}_judged" and labels.items() <= f.labels.items()]
    if score.judge and judged:
        return judged[0]
    return next((f for f in figures if f.metric == score.metric and f.labels == labels), None)


def _obstacles(
    score: Score,
    record: CandidateRecord,
    benchmark: BenchmarkRecord,
    measured: Figure | None,
    figures: Sequence[Figure],
) -> Iterator[str]:
    """Why the two are not the same measurement."""
    if measured is None:
        yield f"{', '.join(score.labels.values()) or score.metric} was not measured"
        return
    if measured.value is None:
        yield f"{measured.status}: {measured.reason}"
        return
    part = next(iter(score.labels.values()), score.edition)
    if (why := mismatch(part, benchmark, measured, figures)) is not None:
        yield why
    yield from _ways(score, record, measured, figures)
    if measured.status != "ok":
        yield f"too few: {measured.reason}"


def _ways(score: Score, record: CandidateRecord, measured: Figure, figures: Sequence[Figure]) -> Iterator[str]:
    """Differences in how the candidate was run, asked and read."""
    candidate, published = record.candidate, table().models[score.model]
    if candidate.adapter is not None:
        yield "other weights: an adapter was trained on top"
    if candidate.quantization is not None:
        yield f"other weights: {candidate.quantization} in place of the published precision"
    if candidate.visual_budget is not None:
        yield f"other budget: {candidate.visual_budget} visual tokens an image"
    if record.engine is not None and (dialect := record.engine.dialect) not in published.dialects:
        yield f"other prompt: asked in the dialect {dialect}, and the model's own is {' or '.join(published.dialects)}"
    if candidate.sampling != published.sampling:
        yield f"other sampling: {in_words(candidate.sampling)} here; {published.sampling_note}"
    if score.judge and (share := _unparsed(score.benchmark, figures)):
        here = f"{who}, not known to be the same" if (who := measured.labels.get("judge")) else "nobody"
        yield (
            f"other judge: there an LLM read what the rule could not, here {here}; "
            f"that is {100 * share:.1f} % of the replies"
        )


def _unparsed(benchmark: str, figures: Sequence[Figure]) -> float:
    return next(
        (f.value or 0.0 for f in figures if f.metric == "unparsed" and f.labels == {"benchmark": benchmark}), 0.0
    )


def in_words(sampling: Sampling) -> str:
    """How answers were drawn: all that is not greedy's own value."""
    if sampling == Sampling():
        return "greedy"
    values = msgspec.to_builtins(sampling)
    default = msgspec.to_builtins(Sampling())
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in values.items() if value != default[name])


def _compared(score: Score, measured: Figure, value: float) -> tuple[Literal["agrees", "differs"], str]:
    scale, suffix = (100.0, " %") if score.unit == "%" else (1.0, " points")
    low, high = (scale * (end if end is not None else value) for end in (measured.low, measured.high))
    shown = f"{low:.1f} to {high:.1f}{suffix}"
    if low <= score.value <= high:
        return "agrees", f"agrees: {score.value:g}{suffix} lies in the interval, {shown}"
    apart = scale * value - score.value
    unit = " pp" if score.unit == "%" else " points"
    return "differs", f"differs by {apart:+.1f}{unit}: {score.value:g}{suffix} lies outside {shown}"
