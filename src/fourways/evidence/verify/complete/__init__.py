"""Whether the rows that should be there are: one file an axis. Each looks at rows one by one and holds none."""

from fourways.evidence.verify.complete.accuracy import Accuracy
from fourways.evidence.verify.complete.contract import Tally
from fourways.evidence.verify.complete.latency import Latency
from fourways.evidence.verify.complete.memory import Memory
from fourways.evidence.verify.complete.tuning import Tuning

__all__ = ["Accuracy", "Latency", "Memory", "Tally", "Tuning"]
