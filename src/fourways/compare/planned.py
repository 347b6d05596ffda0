"""How much the axes will measure, for the header: who checks a run later has no other way to see what is gone."""

from __future__ import annotations

from fourways.axes import latency, memory, tuning
from fourways.compare.job import Job
from fourways.core.run import PlanRecord


def plan_record(job: Job) -> PlanRecord:
    """What each axis that is asked for sets out to measure of a candidate."""
    timed, weighed, tuned = (name in job.axes for name in ("latency", "memory", "tuning"))
    quick = job.quick
    return PlanRecord(
        latency_requests=(latency.PICTURES_QUICK if quick else latency.PICTURES) if timed else 0,
        latency_loads=latency.CONCURRENCIES if timed else (),
        memory_repeats=(memory.REPEATS_QUICK if quick else memory.REPEATS) if weighed else 0,
        tuning_seeds=tuning.SEEDS if tuned else (),
        tuning_steps=tuning.recipe(0, quick).steps if tuned else 0,
        tuning_held_out=(tuning.HELD_OUT_QUICK if quick else tuning.HELD_OUT) if tuned else 0,
    )
