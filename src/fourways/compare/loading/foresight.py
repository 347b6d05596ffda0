"""What a load run would send, before it sends anything."""

from __future__ import annotations

from fourways.compare.loading.job import LoadJob, mean_rate, requests_a_block, requests_a_probe
from fourways.compare.loading.run import check, check_asked_of, loads_of, opened_workload
from fourways.compare.opening import check_asked
from fourways.core.load import Load


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
        said.append(f"it has {drawn.limit:,} requests, which come again when they run out")
    if job.seek is not None:
        return [*said, *_of_search(job, names)]
    starts = job.restarts or 1
    for load in loads_of(job, drawn):
        said.append(f"{load.label}: {names}: {_amount(job, load, starts)}")
    said.append(f"before each: {job.warm_up} requests to warm up, of other pictures")
    return said


def _amount(job: LoadJob, load: Load, starts: int) -> str:
    blocks = f"{job.blocks} blocks that take turns"
    fresh = f", {starts} fresh starts" if job.restarts else ""
    if job.duration_s is not None and load.arrivals == "closed":
        return f"as many requests as take about {job.duration_s:g} s, in {blocks}{fresh}"
    count = requests_a_block(job, load, None) * job.blocks * starts
    rate = mean_rate(load)
    takes = "" if rate is None else f", about {count / rate:.0f} s"
    return f"{count:,} requests each, in {blocks}{fresh}{takes}"


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
