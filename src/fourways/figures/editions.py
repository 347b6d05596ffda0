"""Which release and split of a benchmark the data of a run is: what others published holds for that one alone.

A name is not enough: the embedded suite lies in files that are called like the official ones. So the run must also have
asked about as many images as the release has."""

from __future__ import annotations

from collections.abc import Sequence

from fourways.core.figure import Figure
from fourways.core.run import BenchmarkRecord

_IMAGES: dict[tuple[str, str], int] = {
    ("mme", ""): 1187,
    ("mmbench_en", "dev v1.0"): 1164,
    ("mmbench_en", "test v1.0"): 1784,
    ("mmbench_en", "test v1.1"): 1784,
    ("mmbench_cn", "dev v1.0"): 1164,
    ("mmbench_cn", "test v1.0"): 1784,
    ("realworldqa", ""): 765,
    ("refcoco", ""): 3000,
    ("refcoco", "refcoco_val"): 1500,
    ("refcoco", "refcoco_testA"): 750,
    ("refcoco", "refcoco_testB"): 750,
}
"""Images of the release; MMBench: questions, one image each. Sources: the data sets' papers and repositories."""
_REPEATED = 0.5
"""Releases hold some pictures more than once, and n counts distinct files; far fewer are another set, or a part."""
_POINTS = {"mme_sum": "points of 2800", "mme_perception": "points of 2000", "mme_cognition": "points of 800"}
SPLITS = 8
"""What RefCOCO's published averages are over."""


def mismatch(edition: str, record: BenchmarkRecord, measured: Figure, beside: Sequence[Figure]) -> str | None:
    """Why a measured figure is not known to be of that edition of its benchmark; None where it is.

    edition: as in the reference tables: what the benchmark's own `edition` says ("dev v1.0"), or "" for a benchmark
    that has one release. RefCOCO's splits are told by their figures: its edition is a split ("refcoco_val"), or "" for
    the mean over all. beside: the candidate's other figures of the axis.
    """
    expected = _IMAGES.get((record.key, edition))
    if edition and record.key != "refcoco" and edition != record.edition:
        return f"other split: {edition}, and the data here is {record.edition or 'of an edition that it does not name'}"
    if measured.unit != (whole := _POINTS.get(measured.metric, measured.unit)):
        return f"other split: {whole}, and here {measured.unit}"
    if record.key == "refcoco" and "category" not in measured.labels and (have := _splits(beside)) != SPLITS:
        return f"other split: the mean over {SPLITS} splits, and here over {have}"
    if expected is not None and measured.n < _REPEATED * expected:
        return f"other split: the release with {expected:,} images, and {measured.n:,} were asked here"
    return None


def _splits(figures: Sequence[Figure]) -> int:
    found = [f for f in figures if f.metric == "acc@0.5" and f.labels.get("benchmark") == "refcoco"]
    return sum("category" in f.labels for f in found)
