"""What is asked of an engine: a conversation, how to answer it (Plan) and what is wanted (Output)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

from fourways.core.conversation import Conversation

VisualPath = Literal["fused", "projected", "text_only"]


@dataclass(frozen=True, slots=True)
class Plan:
    """How to answer. visual_budget: at most so many visual tokens for each image (None: the family's own default)."""

    candidate: str
    adapter: str | None = None
    visual_path: VisualPath = "fused"
    visual_budget: int | None = None


@dataclass(frozen=True, slots=True)
class Generate:
    """Generated text. temperature 0 is greedy. top_k 0 and top_p 1 switch those filters off.

    ignore_eos goes on to exactly max_tokens; min_tokens forbids an end before that many.
    """

    max_tokens: int
    min_tokens: int = 0
    ignore_eos: bool = False
    stop: tuple[str, ...] = ()
    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Rank:
    """The log-likelihood of each continuation; the answer is the most likely one (sum over its tokens)."""

    continuations: tuple[str, ...]


Output = Generate | Rank


@dataclass(frozen=True, slots=True)
class Request:
    """id is unique within an engine's life. attempts: how often at most an engine may send it to a server that does not
    begin to answer; 1 where it is timed, so that what the server could not do shows; None: as often as the engine
    does."""

    id: str
    conversation: Conversation
    plan: Plan
    output: Output
    attempts: int | None = None

    @property
    def label(self) -> str:
        """What a trace calls it; the candidate comes first."""
        return f"{self.plan.candidate} {self.id}"


def derive_seed(run_seed: int, sample_id: str) -> int:
    """The seed of one request: the first 63 bits of SHA-256 over the run's seed and the sample's id."""
    digest = hashlib.sha256(f"{run_seed}:{sample_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
