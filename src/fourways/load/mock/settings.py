"""What a mock server is told to be."""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from fourways.core.errors import UserError

Jitter = Literal["none", "uniform", "lognormal"]
Billing = Literal["fixed", "qwen2.5-vl", "qwen3-vl", "llava-next", "internvl"]

CONTEXT = 131_072
"""Prompt and reply together, in tokens; a longer request is refused, as servers do."""


class MockSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """model: the served name; adapters: further served names. ttft_ms, gap_ms: from the start of service to the first
    token, and from token to token. tokens: a reply's natural length, before its end token.

    jitter, spread: each ttft and each gap is multiplied by a draw with mean 1: uniform in 1 ± spread, or lognormal with
    standard deviation `spread`. error_rate, error_statuses: share of requests refused on arrival, each with one of
    these. break_rate: share whose connection is cut after some of its tokens. slots: replies in service at once, the
    others wait in the order in which they came; None: no bound.

    slow_requests, slow_s, slow_factor: the first so many requests, and those of the first seconds, take `slow_factor`
    times as long. stalls: (at, for) in seconds; the whole server is silent and works on nothing. Both count from the
    first chat request. seed: of all draws, which depend on it and on a request's number alone.

    billing: prompt tokens of an image: `image_tokens`, or a family's published arithmetic on its size in pixels.
    video_tokens: of a clip. Text costs one token for each four bytes of UTF-8, begun ones included.
    """

    model: str = "mock"
    adapters: tuple[str, ...] = ()
    ttft_ms: float = 100.0
    gap_ms: float = 10.0
    tokens: int = 64
    jitter: Jitter = "none"
    spread: float = 0.0
    error_rate: float = 0.0
    error_statuses: tuple[int, ...] = (500,)
    break_rate: float = 0.0
    slots: int | None = None
    slow_requests: int = 0
    slow_s: float = 0.0
    slow_factor: float = 1.0
    stalls: tuple[tuple[float, float], ...] = ()
    seed: int = 0
    billing: Billing = "fixed"
    image_tokens: int = 256
    video_tokens: int = 1024

    def __post_init__(self) -> None:
        """Raises UserError naming the setting."""
        _within("ttft_ms", self.ttft_ms, 0, 3.6e6)
        _within("gap_ms", self.gap_ms, 0, 3.6e6)
        _within("tokens", self.tokens, 1, CONTEXT)
        _within("error_rate", self.error_rate, 0, 1)
        _within("break_rate", self.break_rate, 0, 1)
        _within("slow_factor", self.slow_factor, 0, 1e6)
        _within("image_tokens", self.image_tokens, 0, CONTEXT)
        _within("video_tokens", self.video_tokens, 0, CONTEXT)
        _within("spread", self.spread, 0, 1 if self.jitter == "uniform" else 10)
        if self.error_rate + self.break_rate > 1:
            raise UserError(f"error_rate and break_rate are {self.error_rate + self.break_rate:g} together, above 1")
        if self.slots is not None:
            _within("slots", self.slots, 1, 1_000_000)
        if bad := [code for code in self.error_statuses if not 400 <= code <= 599]:
            raise UserError(f"error_statuses: {bad[0]} is no HTTP error (400 to 599)")
        if not self.error_statuses and self.error_rate:
            raise UserError("error_rate needs at least one of error_statuses")
        if self.slow_requests < 0 or not 0 <= self.slow_s < math.inf:
            raise UserError("slow_requests and slow_s cannot be below 0")
        for at_s, for_s in self.stalls:
            _within("a stall's start", at_s, 0, 1e6)
            _within("a stall's length", for_s, 0, 1e6)
        names = (self.model, *self.adapters)
        if not all(names) or len(set(names)) < len(names):
            raise UserError(f"served names must differ and not be empty: {', '.join(map(repr, names))}")

    @property
    def names(self) -> tuple[str, ...]:
        return (self.model, *self.adapters)


def _within(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:  # false for NaN too
        raise UserError(f"{name} must lie between {least:g} and {most:g}, not {value:g}")
