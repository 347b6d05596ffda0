"""Answers that somebody else produced: read from official and kit files, and the rules under which they are scored.

It must never run a model, nor score by anything but a benchmark's own `parse`, `score` and `metrics`. Reading is
lenient and told: what is odd in a file is counted and shown. Nothing here follows a path that a file names.

Public face: `read_predictions`, `find_rule`, `box_rule`, `box_format`, `answer_rows`, `export`."""

from fourways.benchmarks.predictions.arithmetic import Printed
from fourways.benchmarks.predictions.boxes import box_format
from fourways.benchmarks.predictions.exports import FORMATS, Export, export, takes
from fourways.benchmarks.predictions.found import Answer, Oddities, Oddity, Predictions
from fourways.benchmarks.predictions.read import read_predictions
from fourways.benchmarks.predictions.rows import answer_rows
from fourways.benchmarks.predictions.rules import Rule, box_rule, find_rule, scored_keys
from fourways.benchmarks.predictions.run_folder import boxes_of

__all__ = [
    "FORMATS",
    "Answer",
    "Export",
    "Oddities",
    "Oddity",
    "Predictions",
    "Printed",
    "Rule",
    "answer_rows",
    "box_format",
    "box_rule",
    "boxes_of",
    "export",
    "find_rule",
    "read_predictions",
    "scored_keys",
    "takes",
]
