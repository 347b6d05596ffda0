"""What a load run would send, before it sends anything."""

from __future__ import annotations

from dataclasses import replace

from fourways.compare.loading.job import LoadJob, mean_rate, requests_a_probe
from fourways.compare.loading.run import cannot_tell, check, check_asked_of, foreseen, loads_of, opened_workload
from fourways.compare.opening import check_asked
from fourways.core.load import Load
from fourways.load import Workload


def foresee_load(job: LoadJob) -> list[str]:
    """Lines for a person. Opens no engine and sends nothing. Raises UserError for what the run would stop at."""
    check(job)
    for candidate in job.candidates:
        check_asked(candidate)
    drawn, _ = opened_workload(job)
    check_asked_of(job, drawn)
    names = ", ".join(candidate.name for candidate in job.candidates)
    said = [f"workload {drawn.name}, sha256 {drawn.record.sha256[:12]}; pictures are {drawn.cache} to the engine"]
    if drawn.limit is not None:
        again = "which come again when they run out" if drawn.replay is None else "each block from the first"
        said.append(f"it has {drawn.limit:,} requests, {again}")
    if job.seek is not None:
        return [*said, *_of_search(job, names)]
    job = replace(job, loads=loads_of(job, drawn))
    for load in job.loads:
        said.append(f"{load.label}: {names}: {_amount(job, drawn, load)}")
    said.append(f"before each: {job.warm_up} requests to warm up, of other pictures")
    return [*said, _in_all(job, drawn), *cannot_tell(job)]


def _amount(job: LoadJob, drawn: Workload, load: Load) -> str:
    """Of one candidate."""
    starts = job.restarts or 1
    again = {"replay": "times over", "ramp": "ramps that take turns"}.get(load.arrivals, "blocks that take turns")
    parts = "once, from end to end" if job.blocks == 1 else f"{job.blocks} {again}"
    fresh = f", in each of {starts} fresh starts" if job.restarts else ""
    if job.duration_s is not None and load.arrivals == "closed":
        return f"as many requests as take about {job.duration_s:g} s, in {parts}{fresh}"
    count = foreseen(job, drawn, load) * job.blocks
    seconds = _seconds(job, drawn, load)
    takes = "" if seconds is None else f", about {seconds / starts:.0f} s"
    total = f"; {count * starts:,} in all" if job.restarts else ""
    return f"{count:,} requests each, {parts}{takes}{fresh}{total}"


def _seconds(job: LoadJob, drawn: Workload, load: Load) -> float | None:
    """In which one candidate is sent this load, over all starts; None where the server decides it."""
    starts, rate = job.restarts or 1, mean_rate(load)
    if rate is not None:
        return foreseen(job, drawn, load) * job.blocks * starts / rate
    return None if job.duration_s is None else job.duration_s * starts


def _in_all(job: LoadJob, drawn: Workload) -> str:
    """Of all candidates: what is sent and how long that takes, as far as either is known before."""
    rounds = len(job.candidates) * (job.restarts or 1)
    warm = rounds * len(job.loads) * job.warm_up
    known = job.duration_s is None or all(load.arrivals != "closed" for load in job.loads)
    sent = sum(foreseen(job, drawn, load) for load in job.loads) * job.blocks * rounds
    said = f"in all: {sent:,} requests and {warm:,} to warm up" if known else f"in all: {warm:,} requests to warm up"
    each = [_seconds(job, drawn, load) for load in job.loads]
    times = [one for one in each if one is not None]
    if len(times) < len(each):
        return f"{said}; how long that takes is for the server to say"
    return f"{said}; about {len(job.candidates) * sum(times):.0f} s beside warming up and starting"


def _of_search(job: LoadJob, names: str) -> list[str]:
    assert job.seek is not None
    closed = job.seek.arrivals == "closed"
    least, most = requests_a_probe(job, Load(concurrency=1))
    slo = ", ".join(one.label for one in job.objectives)
    what = "the greatest concurrency" if closed else f"the greatest rate of {job.seek.arrivals} arrivals"
    return [
        f"search, {names}: {what} that meets {slo}",
        f"a probe is {least:,} to {most:,} requests; beyond the first {least:,} at most about {job.seek.longest_s:g} s "
        "of them; it stops as soon as it decides; about 8 to 20 probes each, one of them to confirm",
    ]
