"""What is asked while times are taken: described in a file, the same from the same seed on every machine.

Public face: `read_workload` and `names` (a file or a shipped name → `Description`), `describe` (a `WorkloadSpec` →
`Description`), `draw` (→ `Workload`, whose `asks` and `warm_up` are what `load.send` sends), `DESCRIBE_32`. The package
must never let a picture come twice that it does not call repeated, draw while a clock runs, or keep files in memory.
"""

from fourways.load.workload.drawn import Workload, draw, takes_pixels
from fourways.load.workload.reading import Description, describe, names, read_workload
from fourways.load.workload.spec import WorkloadSpec

DESCRIBE_32 = "describe-32"
"""The latency axis's own workload."""

__all__ = [
    "DESCRIBE_32", "Description", "Workload", "WorkloadSpec", "describe", "draw", "names", "read_workload",
    "takes_pixels",
]  # fmt: skip
