"""The specification's normalised score, per benchmark and edition, from a frozen reference.

u = clip((x - q1) / (q3 - q1), 0, 1); score = 1 / (1 + exp(-6 (u - 1/2))), so it lies in [0.0474, 0.9526]. All models at
or below q1 tie, and so do all at or above q3, by construction: it never ranks, and the raw figure stands beside it."""

from __future__ import annotations

import hashlib
import statistics
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Literal

import msgspec

from fourways.core.figure import Figure
from fourways.core.run import BenchmarkRecord
from fourways.figures.definition import Definition, absent
from fourways.figures.editions import mismatch
from fourways.stats import normalised_score

_FORMULA = (
    "1 / (1 + exp(-6 (u - 1/2))), u = (primary metric - q1) / (q3 - q1) clipped to [0, 1]; q1 and q3 from the frozen "
    "reference of that benchmark and edition. Models beyond q1 or q3 tie by construction; the raw metric, named in "
    "`of`, stands beside it"
)


class Reference(msgspec.Struct, frozen=True):
    """q1, q3: 25th and 75th percentile over `models`, in `unit` ("%" of a share, or "points")."""

    benchmark: str
    edition: str
    metric: str
    unit: Literal["%", "points"]
    q1: float
    q3: float
    models: tuple[str, ...]

    @property
    def range(self) -> tuple[float, float]:
        """q1 and q3 in the unit of a figure."""
        scale = 0.01 if self.unit == "%" else 1.0
        return self.q1 * scale, self.q3 * scale


class References(msgspec.Struct, frozen=True):
    """normalisation.json."""

    schema: Literal["fourways.normalisation/v1"]
    version: int
    rule: str
    references: tuple[Reference, ...]


def _data() -> bytes:
    return resources.files("fourways.figures").joinpath("references/normalisation.json").read_bytes()


@cache
def references() -> References:
    """The shipped reference file."""
    return msgspec.json.decode(_data(), type=References)


@cache
def _digest() -> str:
    return hashlib.sha256(_data()).hexdigest()


def reference_label() -> str:
    """The file's version and the beginning of its digest, as figures are labelled with; the whole digest stands in the
    definition."""
    return f"v{references().version}, sha256 {_digest()[:12]}"


NORMALISED = Definition(
    "normalised",
    "accuracy",
    "score",
    "higher",
    "images",
    f"{_FORMULA} (normalisation v{references().version}, sha256 {_digest()})",
    "the same function of the ends of the raw metric's interval",
)
NORMALISED_SD = Definition(
    "normalised_sd",
    "accuracy",
    "score",
    "none",
    "candidates",
    "standard deviation of `normalised` over the run's candidates that have it (divisor: their number - 1); the same "
    "for each of them",
    "none: it describes these candidates and estimates nothing",
)
DEFINITIONS = (NORMALISED, NORMALISED_SD)


def normalised_figures(
    primaries: Sequence[Figure], record: BenchmarkRecord | None, figures: Sequence[Figure]
) -> Iterator[Figure]:
    """For one benchmark: a figure for each candidate, and the standard deviation over them for each that has one.

    primaries: the primary figures of the candidates on it, all among `figures`. record: what the run's header says of
    the benchmark, None where it says nothing.
    """
    scored: list[Figure] = []
    for raw in primaries:
        found = _normalised(raw, record, [one for one in figures if one.candidate == raw.candidate])
        if found.value is not None:
            scored.append(found)
        yield found
    yield from (_spread(one, scored) for one in scored)


def _normalised(raw: Figure, record: BenchmarkRecord | None, beside: Sequence[Figure]) -> Figure:
    labels = {"benchmark": raw.labels["benchmark"], "of": raw.metric}
    if raw.value is None:
        return absent(NORMALISED, raw.candidate, raw.status, raw.reason or "no value", labels)
    if record is None:
        return absent(NORMALISED, raw.candidate, "undefined", "which edition the data is was not said", labels)
    found = [one for one in references().references if (one.benchmark, one.metric) == (record.key, raw.metric)]
    fitting = [one for one in found if mismatch(one.edition, record, raw, beside) is None]
    if not fitting:
        why = dict.fromkeys(mismatch(one.edition, record, raw, beside) or "" for one in found)
        reason = ": ".join(part for part in ("no reference for this suite", "; ".join(why)) if part)
        return absent(NORMALISED, raw.candidate, "undefined", reason, labels)
    return _scored(raw, raw.value, fitting[0], labels)


def _scored(raw: Figure, value: float, reference: Reference, labels: Mapping[str, str]) -> Figure:
    low, high = (None if end is None else normalised_score(end, *reference.range) for end in (raw.low, raw.high))
    return msgspec.structs.replace(
        raw,
        metric=NORMALISED.name,
        definition=NORMALISED.id,
        unit=NORMALISED.unit,
        value=normalised_score(value, *reference.range),
        low=low,
        high=high,
        labels={
            **labels,
            "edition": reference.edition or "whole release",
            "reference": reference_label(),
        },
    )


def _spread(one: Figure, scored: Sequence[Figure]) -> Figure:
    labels = dict(one.labels)
    values = [figure.value for figure in scored if figure.value is not None]
    if len(values) < 2:
        return absent(NORMALISED_SD, one.candidate, "undefined", "needs 2 candidates", labels, n=len(values))
    made = absent(NORMALISED_SD, one.candidate, "undefined", "", labels, n=len(values))
    return msgspec.structs.replace(made, status="ok", reason=None, value=statistics.stdev(values))
