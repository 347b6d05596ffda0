"""The orchestrator: candidates × axes → a run folder, resumable at any moment.

Must never: measure anything itself (the axes do), compute a figure (figures does), or drop a candidate that failed.

Public face: `Job` (job.py); `start`, `resume`, `add`, `job_of`, `Outcome`, `Interrupted` (run.py); `parse_candidates`,
`parse_budgets`, `Defaults` (candidates.py); `load_suite`, `write_suite` (suites.py); `foresee`, `Foresight`
(foresight.py); `show_on`, `Show` (progress.py); `judge_run` (judging.py); `Scale` (job.py), `parse_shard`
(sharding.py), `merge` (merge.py).
"""

from fourways.compare.candidates import Defaults, parse_budgets, parse_candidates
from fourways.compare.foresight import Foresight, foresee
from fourways.compare.job import Job, Scale
from fourways.compare.judging import judge_run
from fourways.compare.merge import merge
from fourways.compare.progress import Show, show_on
from fourways.compare.run import Interrupted, Outcome, add, job_of, resume, start
from fourways.compare.sharding import parse_shard
from fourways.compare.suites import load_suite, write_suite

__all__ = [
    "Defaults", "Foresight", "Interrupted", "Job", "Outcome", "Scale", "Show", "add", "foresee", "job_of", "judge_run",
    "load_suite", "merge", "parse_budgets", "parse_candidates", "parse_shard", "resume", "show_on", "start",
    "write_suite",
]  # fmt: skip
