"""Is a model well? Looks at a checkpoint or at a server, and says of each fault what it is.

Cheap looks come first (files, headers, settings, numbers), then how it behaves. A fault has a code that stays
(`faults.py`); what rests on thin evidence is suspect, what is only slow is slow, what was not seen is said to be so.
Must never: judge how good an answer is (benchmarks do), run code of a checkpoint, or call a slow model broken.

Public face: `Check` (check.py), `find_target`, `all_names` (target.py), `Health`, `Limits` (core's health.py), `fails`
(verdict.py), `junit` (junit.py), `KINDS` (faults.py).
"""

from fourways.compare.health.check import Check, unfinished
from fourways.compare.health.faults import KINDS
from fourways.compare.health.junit import junit
from fourways.compare.health.target import Target, all_names, find_target
from fourways.compare.health.verdict import fails
from fourways.core.health import Health, Limits, ModelHealth

__all__ = [
    "KINDS",
    "Check",
    "Health",
    "Limits",
    "ModelHealth",
    "Target",
    "all_names",
    "fails",
    "find_target",
    "junit",
    "unfinished",
]
