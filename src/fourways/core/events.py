"""What an engine sends back: events as text appears, then exactly one Done."""

from __future__ import annotations

from typing import Literal

import msgspec

FinishReason = Literal["stop", "length", "rank", "cancelled", "error"]

STAGES = (
    "fetch", "media_decode", "preprocess", "queue", "vision_encode", "project", "prefill", "decode", "detokenize",
)  # fmt: skip
"""The stages of a request, in order; keys of `Done.stages_ms`. A stage that an engine cannot see is left out.

A stage is wall time: every instant from the request's arrival to its end belongs to exactly one, so they add up.
fetch, media_decode: getting and decoding the media, by whoever sent the request. preprocess: prompt to tokens, pictures
to the encoder's pixels (or waiting for another request that is preparing the same picture). queue: any time before
the first token in which nothing was done for this request: waiting to be let in, to be prepared, for decode steps and
prefills of others, for pictures of its batch that were not its own, for another adapter. vision_encode, project: the
tower, and the connector behind it, on a batch that held at least one of its pictures; cached ones cost nothing here.
prefill: up to the first token, for the whole batch that it was in. decode: from the first token to the last; in it lie
the prefills of others that began meanwhile. detokenize: tokens to text, all pieces together.

Before the first text come the stages up to prefill, and detokenize's first piece. What ttft holds beyond them is the
client's delay before it asked and, where the first tokens are no visible text yet, the decode steps until they are.
An engine in this process stamps an event when its text is there; how long the asking event loop then takes to pick it
up is no part of ttft, and stands in the trace as `deliver`."""


class Event(msgspec.Struct, frozen=True):
    """New visible text. time_ns: `time.perf_counter_ns()` of the process that received or produced it."""

    text: str
    token_ids: tuple[int, ...] | None
    time_ns: int


class VisualGeometry(msgspec.Struct, frozen=True):
    """How one visual was seen; without it no box can be mapped back. Sizes are (width, height) in pixels.

    seen: the size after resizing, before tiling. tiles: crops the encoder ran on (1 without tiling; thumbnails count).
    """

    original: tuple[int, int]
    seen: tuple[int, int]
    tiles: int
    visual_tokens: int
    cached: bool


class Usage(msgspec.Struct, frozen=True):
    """Tokens. prompt_tokens includes the visual ones; completion_tokens excludes EOS. None: the engine did not say."""

    prompt_tokens: int | None
    visual_tokens: int | None
    completion_tokens: int | None


class Done(msgspec.Struct, frozen=True):
    """The end of a request. error is set exactly when finish_reason is "error".

    mean_logprob: mean natural-log probability of the generated tokens (EOS excluded), or None if unknown.
    rank_logprobs: for `Rank`, the summed log-probability of each continuation, in order.
    """

    finish_reason: FinishReason
    usage: Usage
    time_ns: int
    stages_ms: dict[str, float] = {}
    mean_logprob: float | None = None
    visuals: tuple[VisualGeometry, ...] = ()
    rank_logprobs: tuple[float, ...] | None = None
    error: str | None = None
    hint: str | None = None
