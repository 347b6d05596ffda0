"""Does the confidence that stands with each answer mean anything? For the report; nothing is ranked by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import exp

import msgspec
import numpy as np

from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow
from fourways.figures.definition import Definition, Estimate, absent, figure
from fourways.figures.linear import INTERVAL
from fourways.figures.paired import LEAST_IMAGES
from fourways.figures.seeds import seed_for
from fourways.stats import (
    Interval,
    brier,
    calibration_error,
    calibration_error_interval,
    clustered_wilson,
    confidence_auroc,
    confidence_auroc_interval,
    debiased_calibration_error,
)
from fourways.stats.calibration import BINS, PER_BIN

_CONFIDENCE = (
    "confidence: exp of the answer's mean log-probability a token, or, of a ranked answer, its share among the "
    "continuations offered; right: the answer's own score; answers without a confidence are left out"
)
ECE = Definition(
    "ece",
    "accuracy",
    "fraction",
    "lower",
    "images",
    f"mean over answers of |share right - mean confidence| of their bin, {BINS} bins of equally many answers, fewer "
    f"where a bin would have fewer than {PER_BIN}; {_CONFIDENCE}. Chance gaps count as gaps, so it is above 0 even "
    "where confidence is honest",
    "basic cluster bootstrap over images, 2,000 resamples, reflected about the value: it may lie below it, "
    "which says how much of the value is chance; where confidence is honest it leaves out 0 more often than 1 in 20",
    version=2,
)
DEBIASED = Definition(
    "rmsce_debiased",
    "accuracy",
    "fraction",
    "lower",
    "images",
    "root of the mean over answers of (share right - mean confidence)^2 of their bin, less what chance adds to it; "
    f"bins as of ece; {_CONFIDENCE}",
    "none: near 0, where it matters, no interval is known to hold",
)
BRIER = Definition(
    "brier",
    "accuracy",
    "score",
    "lower",
    "images",
    f"mean of (confidence - right)^2, 0 to 1; {_CONFIDENCE}",
    INTERVAL,
)
AUROC = Definition(
    "auroc",
    "accuracy",
    "score",
    "higher",
    "images",
    "the chance that a right answer was given with more confidence than a wrong one, ties counting half; 0.5 says "
    f"nothing; {_CONFIDENCE}",
    "cluster-robust on the logit scale (placement values summed by image)",
)
DEFINITIONS = (ECE, DEBIASED, BRIER, AUROC)
NO_CONFIDENCE = "no access: the engine gives no log-probabilities"


def calibration_figures(candidate: str, key: str, rows: Sequence[AnswerRow]) -> Iterator[Figure]:
    """Four figures, or four times the reason why there are none. rows: those with a public answer."""
    labels = {"benchmark": key}
    answered = [row for row in rows if row.status != "failed"]
    told = [row for row in answered if row.mean_logprob is not None]
    if not told:
        reason = NO_CONFIDENCE if answered else "no request succeeded"
        yield from (absent(one, candidate, "undefined", reason, labels) for one in DEFINITIONS)
        return
    labels["confidence"] = _kind(told)
    images = [row.image for row in told]
    said = np.asarray([exp(min(0.0, row.mean_logprob or 0.0)) for row in told])
    right = np.asarray([min(1.0, max(0.0, row.score)) for row in told])
    n = len(set(images))
    note = None if len(told) == len(answered) else f"{len(answered) - len(told)} answers came without a confidence"

    def made(definition: Definition, value: float, interval: Interval | None) -> Figure:
        return figure(definition, candidate, Estimate(value, interval, n, note), labels, least=LEAST_IMAGES)

    interval = calibration_error_interval(images, said, right, seed_for(ECE.id))
    yield made(ECE, calibration_error(said, right), interval)
    yield _debiased(candidate, debiased_calibration_error(images, said, right), n, note, labels)
    yield made(BRIER, brier(said, right).score, clustered_wilson(images, np.square(said - right)))
    area = confidence_auroc(said, right)
    if area is None:
        same = "right" if right.min() == 1 else "wrong"
        yield absent(AUROC, candidate, "undefined", f"every answer is {same}", labels, n=n)
    else:
        yield _decided(made(AUROC, area, confidence_auroc_interval(images, said, right)))


def _debiased(candidate: str, value: float | None, n: int, note: str | None, labels: Mapping[str, str]) -> Figure:
    if value is None:
        return absent(DEBIASED, candidate, "undefined", "a bin rests on a single image", labels, n=n)
    made = figure(DEBIASED, candidate, Estimate(value, None, n, note), labels, least=LEAST_IMAGES)
    return msgspec.structs.replace(made, status="ok", reason=note) if n >= LEAST_IMAGES else made


def _decided(found: Figure) -> Figure:
    """An area of 0 or 1 has no interval, for another reason than too few images."""
    if found.low is None and found.n >= LEAST_IMAGES:
        return msgspec.structs.replace(found, reason="right and wrong answers do not overlap: no interval")
    return found


def _kind(rows: Sequence[AnswerRow]) -> str:
    ranked = sum(row.rank_logprobs is not None for row in rows)
    return "share among the offered" if ranked == len(rows) else "mean token probability" if ranked == 0 else "mixed"
