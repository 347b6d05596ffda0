"""The facts of a run: one row each, as they stand in `rows.jsonl`. Figures are computed from these alone."""

from __future__ import annotations

from typing import Literal

import msgspec

from fourways.core.events import VisualGeometry

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


class RequestRow(msgspec.Struct, frozen=True, tag_field="kind", tag="request"):
    """One timed request on the latency axis. Instants are milliseconds after the block's start.

    ttft_ms, e2e_ms, tpot_ms as in DESIGN's words, from the *scheduled* send; None where undefined.
    chunk_gaps_ms: between consecutive content events. block: which interleaved block; item: index in the workload.
    """

    candidate: str
    workload: str
    concurrency: int
    cache: Literal["cold", "warm"]
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


MemoryStage = Literal["load", "weights", "vision_encode", "prefill", "decode", "kv_per_token"]
MemoryQuantity = Literal["allocated", "reserved", "live_tensors", "process_above_load", "exact"]


class MemoryRow(msgspec.Struct, frozen=True, tag_field="kind", tag="memory_sample"):
    """One reading of the memory axis, from a fresh process. bytes is the peak within the stage.

    live_tensors: bytes of tensors alive (CPU). process_above_load: peak resident size of the process above its value
    before the model was loaded. allocated/reserved: CUDA's allocator. exact: from shapes (weights, KV per token).
    """

    candidate: str
    repeat: int
    stage: MemoryStage
    quantity: MemoryQuantity
    bytes: int
    image_size: tuple[int, int]
    batch: int
    context: int


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


Row = AnswerRow | RequestRow | MemoryRow | TrainStepRow | TuneAnswerRow | FailureRow
