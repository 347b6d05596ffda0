"""The orchestrator: candidates × axes → a run folder, resumable at any moment.

Must never: measure anything itself (the axes do), compute a figure (figures does), or drop a candidate that failed.

Public face, each imported when it is first asked for, because what runs models takes seconds to import and not every
command runs one: `Job`, `Scale` (job.py); `start`, `resume`, `add`, `job_of` (run.py); `Outcome`, `Interrupted`
(outcome.py); `parse_candidates`, `parse_budgets`, `Defaults` (candidates.py); `load_suite`, `write_suite` (suites.py);
`foresee`, `Foresight` (foresight.py); `show_on`, `Show` (progress.py); `judge_run` (judging.py); `parse_shard`
(sharding.py); `merge` (merging.py); by its own name, `reproduce` and `compared` (reproduce.py).
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fourways.compare.candidates import Defaults, parse_budgets, parse_candidates
    from fourways.compare.foresight import Foresight, foresee
    from fourways.compare.job import Job, Scale
    from fourways.compare.judging import judge_run
    from fourways.compare.merging import merge
    from fourways.compare.outcome import Interrupted, Outcome
    from fourways.compare.progress import Show, show_on
    from fourways.compare.run import add, job_of, resume, start
    from fourways.compare.sharding import parse_shard
    from fourways.compare.suites import load_suite, write_suite

__all__ = [
    "Defaults", "Foresight", "Interrupted", "Job", "Outcome", "Scale", "Show", "add", "foresee", "job_of", "judge_run",
    "load_suite", "merge", "parse_budgets", "parse_candidates", "parse_shard", "resume", "show_on", "start",
    "write_suite",
]  # fmt: skip
_FILES = {
    "candidates": ("Defaults", "parse_budgets", "parse_candidates"),
    "foresight": ("Foresight", "foresee"),
    "job": ("Job", "Scale"),
    "judging": ("judge_run",),
    "merging": ("merge",),
    "outcome": ("Interrupted", "Outcome"),
    "progress": ("Show", "show_on"),
    "run": ("add", "job_of", "resume", "start"),
    "sharding": ("parse_shard",),
    "suites": ("load_suite", "write_suite"),
}
_FILE_OF = {name: file for file, names in _FILES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _FILE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_FILE_OF[name]}"), name)
