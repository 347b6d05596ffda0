"""The facts of a run: one row each, as they stand in `rows.jsonl`. Figures are computed from these alone."""

from __future__ import annotations

from typing import Literal

import msgspec

from fourways.core.events import VisualGeometry
from fourways.core.load import Arrivals, Load
from fourways.core.objective import Objective

ROWS_SCHEMA = "fourways.rows/v1"

CAUSE = "cause of the error"
PICTURE = "picture"
"""Where a failed answer's `extra` says that its picture will never be read: asking again would change nothing."""


class RowsHeader(msgspec.Struct, frozen=True, tag_field="kind", tag="header"):
    """Line 1 of rows.jsonl."""

    schema: str
    run_id: str
    commit: str | None
    branch: str | None
    commit_date: str | None


class Judged(msgspec.Struct, frozen=True):
    """What a judge model made of a reply that the rule could not read; it never changes the rule's own score.

    judge: its model and where it was served, redacted. reply: its words. parsed, score: as in `AnswerRow`, read from
    them. error: why there are none.
    """

    judge: str
    reply: str
    parsed: str | None
    score: float
    error: str | None = None


class AnswerRow(msgspec.Struct, frozen=True, tag_field="kind", tag="answer"):
    """One reply on the accuracy axis.

    sample: unique within the benchmark. group: samples that are judged together (the rotations of a circular
    question, the two questions of an MME image). image: source_sha256 of its (first) image, the cluster of the
    intervals. gold: answer texts (all ten of VQAv2), or x1, y1, x2, y2 in original pixels. parsed: what the parser
    read from the reply, None if it could not. score: this sample's own score in [0, 1] under the official rule.
    mean_logprob: the confidence, natural log: the mean over the reply's tokens, or, of a ranked answer, that of the
    chosen continuation among those that were offered. rank_logprobs: the summed log-probability of each of them, in
    their order. prompt_sha256: of the text of the prompt as sent.
    """

    candidate: str
    benchmark: str
    sample: str
    group: str
    image: str
    category: str
    question: str
    gold: tuple[str | float, ...]
    reply: str
    parsed: str | tuple[float, ...] | None
    score: float
    status: Literal["ok", "unparsed", "failed"]
    finish_reason: str
    mean_logprob: float | None
    output_tokens: int | None
    visuals: tuple[VisualGeometry, ...]
    prompt_sha256: str
    seed: int
    extra: dict[str, str] = {}
    rank_logprobs: tuple[float, ...] | None = None
    judged: Judged | None = None


Cache = Literal["cold", "warm", "mixed"]
"""cold: the engine had seen no picture of the request. warm: all of them. mixed: as the workload's repeats made it."""


class RequestRow(msgspec.Struct, frozen=True, tag_field="kind", tag="request"):
    """One timed request on the latency axis. Instants are milliseconds after the block's start.

    ttft_ms, e2e_ms, tpot_ms as in DESIGN's words, from the *scheduled* send; None where undefined. dispatched_ms: when
    the client handed it to the engine; the difference to scheduled_ms is the client's own delay.
    chunk_gaps_ms: between consecutive content events. block: which interleaved block; item: index in the workload;
    image: source_sha256 of its first picture or clip, "" without one. stages_ms: by `core.events.STAGES`; a stage that
    nobody could see is left out. concurrency, arrivals, rate_per_s, from_rate_per_s: the `Load`. restart: which fresh
    start of the engine answered. adapter: the LoRA adapter it was sent to, None for the candidate's own.
    """

    candidate: str
    workload: str
    concurrency: int | None
    cache: Cache
    block: int
    item: int
    image: str
    scheduled_ms: float
    dispatched_ms: float
    ttft_ms: float | None
    e2e_ms: float | None
    tpot_ms: float | None
    chunk_gaps_ms: tuple[float, ...]
    prompt_tokens: int | None
    visual_tokens: int | None
    output_tokens: int | None
    stages_ms: dict[str, float]
    error: str | None = None
    arrivals: Arrivals = "closed"
    rate_per_s: float | None = None
    from_rate_per_s: float | None = None
    restart: int = 0
    adapter: str | None = None

    @property
    def load(self) -> Load:
        return Load(self.arrivals, self.concurrency, self.rate_per_s, self.from_rate_per_s)


class ClientRow(msgspec.Struct, frozen=True, tag_field="kind", tag="client"):
    """How the load client itself fared while it sent one block; one row a block.

    workload, load, cache, block, restart: as in the block's RequestRows. wall_ms: the block's length. cpu_ms: processor
    time of the client's thread and of its helpers. lag: how much later than asked the client's event loop woke from
    short sleeps, over `lag_n` of them. shares_process: the engine ran in the client's process, so that its own work
    delays the client too. client_bound: why the client, and not the engine, may have set the times; None where it kept
    up.
    """

    candidate: str
    workload: str
    load: Load
    cache: Cache
    block: int
    wall_ms: float
    cpu_ms: float
    lag_n: int
    lag_p50_ms: float
    lag_p99_ms: float
    lag_max_ms: float
    shares_process: bool
    client_bound: str | None = None
    restart: int = 0


WorkPhase = Literal["vision_encode", "prefill", "decode"]


class WorkRow(msgspec.Struct, frozen=True, tag_field="kind", tag="work"):
    """What the architecture requires of one forward pass of a phase, for one request of a workload, alone.

    flops: floating-point operations, a multiply-add counted as two. weight_bytes: of the weights that take part, each
    once; kv_bytes: of keys and values read and written; activation_bytes: what enters and leaves the pass. tokens: what
    the pass takes in. passes: forward passes of this phase in the request.
    """

    candidate: str
    workload: str
    phase: WorkPhase
    item: int
    tokens: int
    passes: int
    flops: float
    weight_bytes: float
    kv_bytes: float
    activation_bytes: float


class CeilingRow(msgspec.Struct, frozen=True, tag_field="kind", tag="ceiling"):
    """The fastest that this machine was seen to copy memory or multiply matrices, in one of several trials.

    copy_bytes_per_s counts bytes read and bytes written. size: bytes of the array, or rows of the square matrices.
    """

    candidate: str
    device: str
    dtype: str
    threads: int
    quantity: Literal["copy_bytes_per_s", "matmul_flops_per_s"]
    trial: int
    size: int
    value: float


class TermsRow(msgspec.Struct, frozen=True, tag_field="kind", tag="terms"):
    """What the user asked of a load run, once for each candidate: the figures of an SLO and of cost rest on it.

    objectives: all must hold for the SLO to be met; empty without one. price_per_hour: of the machine that answers, in
    `currency`, any text; None if it was not said. runs: what A/B tests take as independent, fresh starts of the engine
    or interleaved blocks.
    """

    candidate: str
    objectives: tuple[Objective, ...]
    price_per_hour: float | None = None
    currency: str = ""
    runs: Literal["restarts", "blocks"] = "blocks"


ProbeVerdict = Literal["meets", "misses", "undecided", "client_bound"]


class ProbeRow(msgspec.Struct, frozen=True, tag_field="kind", tag="probe"):
    """One probe of the search for the greatest load that meets the SLO, and how it was judged; its requests are the
    RequestRows of the same load and block.

    purpose: `bracket` (doubling or halving), `narrow` (between a load that met it and one that missed it), `confirm`
    (fresh requests at the load that was found). judged: how many requests, in the order in which they were due, the
    verdict rests on. unfinished: still inside when the probe was stopped; they are in no figure. served_per_s: answers
    a second over the judged requests. growth: by how much delay grew, in seconds a second, None where too little was
    seen. reason: why, in words.
    """

    candidate: str
    workload: str
    load: Load
    cache: Cache
    block: int
    purpose: Literal["bracket", "narrow", "confirm"]
    verdict: ProbeVerdict
    reason: str
    judged: int
    unfinished: int
    served_per_s: float | None = None
    growth: float | None = None


class EnergyRow(msgspec.Struct, frozen=True, tag_field="kind", tag="energy"):
    """What a device drew while one block was answered. method: the counter that was read, as NVML names it. least_s:
    how long a block must be for this counter to tell it well; of shorter ones no figure is made."""

    candidate: str
    workload: str
    load: Load
    cache: Cache
    block: int
    joules: float
    seconds: float
    answers: int
    method: str
    restart: int = 0
    least_s: float = 5.0


MemoryStage = Literal["load", "weights", "vision_encode", "prefill", "decode", "train_step", "kv_per_token", "server"]
MemoryQuantity = Literal[
    "allocated", "reserved", "active", "inactive_split", "live_tensors", "process_above_load", "non_torch", "device",
    "exact", "activation_peak", "kv_cache", "weights",
]  # fmt: skip


class MemoryRow(msgspec.Struct, frozen=True, tag_field="kind", tag="memory_sample"):
    """One reading of the memory axis, from a fresh process. bytes is the peak within the stage.

    live_tensors: bytes of tensors alive (CPU). process_above_load: peak resident size of the process above its value
    before the model was loaded. allocated, reserved, active, inactive_split: CUDA's caching allocator; the last two at
    the stage's end. non_torch: in use on the device beyond what the allocator reserved, device: of this process, by
    NVML; both at the stage's end. exact: from shapes (weights, KV per token). train_step: the second step of a LoRA
    fine-tune on the same picture and as many tokens. Of stage "server" (a server that reserves its memory at the start
    and says how): weights, activation_peak and kv_cache as it reported them, on the device that holds most; `context`
    is then how many tokens of keys and values fit, and the picture and the batch are 0.
    """

    candidate: str
    repeat: int
    stage: MemoryStage
    quantity: MemoryQuantity
    bytes: int
    image_size: tuple[int, int]
    batch: int
    context: int


class MemoryPredictedRow(msgspec.Struct, frozen=True, tag_field="kind", tag="memory_predicted"):
    """What the config alone said the same stage would need, before anything was loaded; quantity as in MemoryRow."""

    candidate: str
    stage: MemoryStage
    quantity: MemoryQuantity
    bytes: int
    image_size: tuple[int, int]
    batch: int
    context: int


class MemoryTimelineRow(msgspec.Struct, frozen=True, tag_field="kind", tag="memory_timeline"):
    """Memory over time in one probe. points: (ms since the model was loaded, bytes), thinned so that every peak stays.
    stages: (stage, from ms, to ms)."""

    candidate: str
    repeat: int
    quantity: MemoryQuantity
    points: tuple[tuple[float, int], ...]
    stages: tuple[tuple[MemoryStage, float, float], ...]


class TrainStepRow(msgspec.Struct, frozen=True, tag_field="kind", tag="train_step"):
    """One optimiser step. grad_norms: module name → L2 norm of its LoRA gradients after accumulation, before
    clipping; logged every 10 steps, else None. peak_bytes: live tensors (CPU) or allocated (CUDA) so far."""

    candidate: str
    task: str
    seed: int
    step: int
    loss: float
    learning_rate: float
    time_ms: float
    peak_bytes: int
    grad_norms: dict[str, float] | None = None


class TuneAnswerRow(msgspec.Struct, frozen=True, tag_field="kind", tag="tune_answer"):
    """A held-out answer before or after the fine-tune of one seed."""

    candidate: str
    task: str
    seed: int
    phase: Literal["before", "after"]
    sample: str
    image: str
    question: str
    gold: str
    reply: str
    score: float


class FailureRow(msgspec.Struct, frozen=True, tag_field="kind", tag="failure"):
    """Something that did not work, counted and shown. scope: what was lost; where: which (a benchmark's key, …).

    status "undefined": it could not be asked at all ("no access", random weights); "failed": it was tried and broke.
    """

    candidate: str
    axis: str
    scope: Literal["candidate", "axis", "benchmark", "sample"]
    where: str
    message: str
    hint: str | None = None
    status: Literal["failed", "undefined"] = "failed"


Row = (
    AnswerRow | RequestRow | ClientRow | TermsRow | ProbeRow | WorkRow | CeilingRow | EnergyRow
    | MemoryRow | MemoryPredictedRow | MemoryTimelineRow | TrainStepRow | TuneAnswerRow | FailureRow
)  # fmt: skip
