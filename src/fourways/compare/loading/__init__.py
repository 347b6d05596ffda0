"""`fourways load`: candidates under load → a run folder like a comparison's.

It decides what is sent when (blocks, sweeps, fresh starts, a search for the greatest load that meets an SLO) and writes
rows. It must never compute a figure (figures does), time a request itself (the load client does), or call a load met
that it has not seen met.

Public face: `LoadJob`, `Seek`, `Price` (what is asked for); `start_load`; `foresee_load` (what would be sent).
"""

from fourways.compare.loading.foresight import foresee_load
from fourways.compare.loading.job import LoadJob, Price, Seek
from fourways.compare.loading.run import start_load

__all__ = ["LoadJob", "Price", "Seek", "foresee_load", "start_load"]
