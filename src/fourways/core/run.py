"""run.json: what was run, on what, by whom made. Written before the first row; a resumed run must still match it.
state.json: how far it has come."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

import msgspec

from fourways.core.candidate import Candidate
from fourways.core.engine import EngineInfo
from fourways.core.manifest import Manifest

RUN_SCHEMA = "fourways.run/v1"
STATE_SCHEMA = "fourways.state/v1"


class SourceState(msgspec.Struct, frozen=True):
    """The Fourways source that ran. commit, branch and date are None outside a checkout, and where git will not read
    it, branch where a commit was checked out by itself; version always stands.

    dirty: files of the package differ from the commit or are not in it; None where git does not say. diff_sha256: of
    a line for each such file, as `sha256sum` writes it, None if clean.
    """

    version: str
    commit: str | None = None
    branch: str | None = None
    commit_date: str | None = None
    dirty: bool | None = None
    diff_sha256: str | None = None


class CandidateRecord(msgspec.Struct, frozen=True):
    """A candidate as it stood at the start. sha256: file name → digest of its checkpoint, empty for a server by URL.

    manifest: what the checkpoint is; None for a server by URL and for random weights. engine is None, and `failure`
    says why, if it could not be opened; failure_status "undefined": because it asks for what its engine cannot do,
    which no later try changes. added: UTC time at which it joined a run that was there already (its timed axes were
    then not interleaved with the others'), None if it was in it from the start.
    """

    candidate: Candidate
    architecture: str | None
    sha256: dict[str, str]
    engine: EngineInfo | None
    failure: str | None = None
    failure_status: Literal["failed", "undefined"] = "failed"
    added: str | None = None
    manifest: Manifest | None = None


class BenchmarkRecord(msgspec.Struct, frozen=True):
    """A benchmark of the suite. sha256: over the sorted (relative path, file digest) pairs of its data. code_sha256: of
    the source that prompts, parses and scores. edition: which release and split, where its files tell. columns: what
    the table calls the columns that are read, for a benchmark that was given by path. asked: samples that this run
    asks of each candidate, and `asked_sha256` of their ids; None in a merged run, whose shards have them, and where an
    older version wrote the header."""

    key: str
    title: str
    path: str
    sha256: str
    prompt_version: int
    parser_version: int
    scorer_version: int
    code_sha256: str
    edition: str = ""
    columns: dict[str, str] = {}
    asked: int | None = None
    asked_sha256: str | None = None


def asked_sha256(samples: Iterable[str]) -> str:
    """The digest of the samples that a run asks, by their ids: one a line, sorted."""
    return hashlib.sha256("".join(f"{sample}\n" for sample in sorted(samples)).encode()).hexdigest()


class Shard(msgspec.Struct, frozen=True):
    """Part `index` (from 1) of `of` of every benchmark, in whole images: what one of several runs asks."""

    index: int
    of: int

    def __str__(self) -> str:
        return f"{self.index}/{self.of}"


class ShardRecord(msgspec.Struct, frozen=True):
    """The shard of a run. Benchmark → samples: drawn by all shards together, and asked by this one."""

    shard: Shard
    drawn: dict[str, int]
    asked: dict[str, int]


class CrewRecord(msgspec.Struct, frozen=True):
    """Who asks the questions of the accuracy axis, from one start or resume on; it changes no answer.

    at: UTC time. way: `process` (the run's own), `replicas` (processes beside it) or `ray` (actors of a cluster).
    workers: how many. address: of the cluster. concurrency: requests in flight to a server by URL.
    """

    at: str
    way: Literal["process", "replicas", "ray"]
    workers: int = 1
    address: str | None = None
    concurrency: int | None = None


class WorkloadRecord(msgspec.Struct, frozen=True):
    """What was asked while times were taken. name: as in the rows. description: canonical JSON of the workload's file,
    and sha256 its digest (with a trace's); with the seed it gives every request again. Where the latency axis times a
    server, a number of chance joins the seed, because a server may remember the pictures of an earlier run.
    data_sha256: of the benchmark's data or of the trace that it was drawn from, None if it was made."""

    name: str
    sha256: str
    description: str
    seed: int
    data_sha256: str | None = None


class Reading(msgspec.Struct, frozen=True):
    """One setting of the machine that moves measurements. knob: its name, such as `cpu.governor`. value: as it stood,
    None where it could not be read, and `unread` says why. advice: what to do about it, None if it is well."""

    knob: str
    value: str | None
    unread: str | None = None
    advice: str | None = None


class Environment(msgspec.Struct, frozen=True):
    """The machine and the versions. memory_bytes: physical. cores: usable by this process, of `cores_machine`.
    readings: settings of the machine when the run began. lock: every installed package → its version, and its origin in
    brackets where that is no index."""

    cpu: str
    cores: int
    cores_machine: int
    memory_bytes: int
    system: str
    kernel: str
    python: str
    packages: dict[str, str]
    accelerators: tuple[str, ...] = ()
    variables: dict[str, str] = {}
    readings: tuple[Reading, ...] = ()
    lock: dict[str, str] = {}


class ClockRecord(msgspec.Struct, frozen=True):
    """Which clocks stamped the run, and how far a device's clock, once laid on the host's, still lies beside it.

    residual_ns: the largest disagreement that was seen between them, and p50, p99 of all; 0 where there is only one
    clock, None where it was not measured. offset_ns, drift_ppb: what was fitted. target_ns: the specification's; met:
    whether the p99 reaches it. causality_violations: kernels that by the clocks began before they were launched.
    """

    name: str
    resolution_ns: float
    residual_ns: float | None
    note: str
    residual_p50_ns: float | None = None
    residual_p99_ns: float | None = None
    offset_ns: float | None = None
    drift_ppb: float | None = None
    target_ns: float = 83.0
    met: bool | None = None
    causality_violations: int | None = None


class ThreadChoice(msgspec.Struct, frozen=True):
    """The threads of every local candidate that computes on the CPU and was given no number of its own: one number for
    the whole run, so that candidates differ in nothing but themselves. measured_on: the candidate whose trial decided.
    trial: what it found."""

    count: int
    measured_on: str
    trial: str
    rule: str


class TraceRecord(msgspec.Struct, frozen=True):
    """A trace that a timed axis left beside this header; it opens in Perfetto. share: of the requests, drawn by the
    run's seed, those whose spans it holds. events: in the file. dropped: those that came faster than they were read."""

    axis: str
    file: str
    share: float
    events: int
    dropped: int


class PartRecord(msgspec.Struct, frozen=True):
    """A shard's run that was merged into this one, and the machine it ran on."""

    run_id: str
    started: str
    shard: Shard
    environment: Environment


class PlanRecord(msgspec.Struct, frozen=True):
    """How much each axis sets out to measure of a candidate, so that what is missing can be seen; 0 or empty for an
    axis that is not asked for. The accuracy axis's plan is `asked` of each benchmark.

    latency_requests: of each load, cold and as many warm; latency_loads: closed loops of so many at a time.
    memory_repeats: fresh processes. tuning_seeds: fine-tunes, each of tuning_steps, judged on tuning_held_out samples.
    """

    latency_requests: int = 0
    latency_loads: tuple[int, ...] = ()
    memory_repeats: int = 0
    tuning_seeds: tuple[int, ...] = ()
    tuning_steps: int = 0
    tuning_held_out: int = 0


class RunHeader(msgspec.Struct, frozen=True):
    """run.json. argv, paths and URLs are redacted: no secrets, tokens, home folders or URL credentials.

    started: UTC, ISO 8601. definitions: metric name → name@version. shard: None for a whole run. crews: each entry
    holds until the next. parts: the runs that a merged one was made of. workloads: what the timed axes asked.
    thread_choice: None where every candidate has threads of its own. traces: in the order they were made. plan: None in
    a run of `fourways load`, whose rows hold its terms, and where an older version wrote the header.
    """

    schema: str
    run_id: str
    started: str
    argv: tuple[str, ...]
    source: SourceState
    seed: int
    axes: tuple[str, ...]
    limit: int | None
    quick: bool
    candidates: tuple[CandidateRecord, ...]
    suite: tuple[BenchmarkRecord, ...]
    definitions: dict[str, str]
    environment: Environment
    clock: ClockRecord
    shard: ShardRecord | None = None
    crews: tuple[CrewRecord, ...] = ()
    parts: tuple[PartRecord, ...] = ()
    workloads: tuple[WorkloadRecord, ...] = ()
    thread_choice: ThreadChoice | None = None
    traces: tuple[TraceRecord, ...] = ()
    plan: PlanRecord | None = None


class RunState(msgspec.Struct):
    """state.json: how far a run has come. finished: axis → candidates whose rows are all in rows.jsonl."""

    schema: str = STATE_SCHEMA
    finished: dict[str, list[str]] = {}
