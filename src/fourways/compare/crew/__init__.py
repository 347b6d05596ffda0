"""Several workers for the accuracy axis: processes on this machine, or actors of a Ray cluster.

One idea a file: `protocol` (what is said), `worker` (who answers), `watch` (that it gets on), `process` with `at_work`
and `ray_actor` (what carries it), `foreman` (who asks what, and what a death costs), `hire` (a crew for a candidate).
Must never write a row, change an answer, or keep a queue between machines: a cluster's scheduling is Ray's.

Public face: `Crews`, `check_scale`, `copies`, `only_crew`, `record_of`, `scale_of`, `to_find`, `who_asks` (hire.py);
`connected` (ray_actor.py).
"""

from fourways.compare.crew.hire import (
    Crews,
    check_scale,
    copies,
    only_crew,
    record_of,
    scale_of,
    to_find,
    who_asks,
)
from fourways.compare.crew.ray_actor import connected

__all__ = ["Crews", "check_scale", "connected", "copies", "only_crew", "record_of", "scale_of", "to_find", "who_asks"]
