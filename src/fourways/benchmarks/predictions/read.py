"""One door to every format: which reader a benchmark's answers need."""

from __future__ import annotations

from pathlib import Path

from fourways.benchmarks.predictions.boxes import read_boxes
from fourways.benchmarks.predictions.choice import Layout, read_choice_table
from fourways.benchmarks.predictions.found import Predictions
from fourways.benchmarks.predictions.mme import read_mme
from fourways.benchmarks.predictions.own import read_own
from fourways.benchmarks.predictions.records import one_table
from fourways.benchmarks.predictions.run_folder import is_run, read_run
from fourways.benchmarks.predictions.vqa import read_vqa
from fourways.benchmarks.predictions.yes_no import read_yes_no
from fourways.core.boxes import BoxFormat
from fourways.core.errors import BenchmarkFormatError

_CHOICE = {
    "mmbench_en": Layout(circular=True),
    "mmbench_cn": Layout(circular=True, language="zh"),
    "realworldqa": Layout(circular=False),
    "mmstar": Layout(circular=False),
}


def read_predictions(
    key: str, path: Path, gold: Path | None, boxes: BoxFormat | None, candidate: str | None = None
) -> Predictions:
    """The answers to a benchmark in `path`. boxes: how RefCOCO's replies write them, where
    they do not say it. candidate: which of a run's.

    Raises BenchmarkFormatError or UserError where the file cannot be what it should be; what is merely odd is counted
    in the result."""
    for named in (path, gold):
        if named is not None and not named.exists():
            raise BenchmarkFormatError(f"{named}: no such file or folder", hint="Check the path.")
    if is_run(path):
        return read_run(key, path, candidate)
    if key == "mme":
        return read_mme(path, gold)
    if key == "vqav2":
        return read_vqa(one_table(path), gold)
    if key == "refcoco":
        return read_boxes(path, gold, boxes)
    if key == "pope":
        return read_yes_no(path, gold)
    if key in _CHOICE:
        return read_choice_table(one_table(path), gold, _CHOICE[key])
    return read_own(key.partition(":")[0], one_table(path), gold)
