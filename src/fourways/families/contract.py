"""The plug-in contract: what one architecture needs to turn a Conversation into text, split where it must be split.

The engine calls, in this order:

1. `layout`      conversation → token ids, positions, and per visual its geometry and unit keys; arithmetic only
2. `preprocess`  one visual → the units' pixel tensors (CPU; may run in another thread)
3. `encode`      units → features, batched; a unit is what is worth caching (image, tile, frame, frame pair)
4. `assemble`    one visual's unit features → the rows that replace its placeholders
5. `embed`       layout + visual rows → prompt embeddings
6. `forward`     embeddings + positions + mask + cache → hidden states, `logits` → scores

Nothing here knows of requests, batches of requests, or caches of features: that is the engine's. A family must give the
same features for a unit whether it is encoded alone or with others, up to float rounding (DESIGN.md, rule 3).

`visual_budget` is the most visual tokens that one image, or one clip, should cost. It chooses among the sizes and tile
layouts that the architecture knows; where even the smallest costs more, the smallest is used, and the geometry says
what it costs. None is the family's own default.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase
from transformers.cache_utils import Cache

from fourways.core.boxes import BoxFormat
from fourways.core.candidate import Checkpoint, Dtype
from fourways.core.conversation import Conversation, Visual
from fourways.core.events import VisualGeometry
from fourways.core.family import FamilyCard


@dataclass(frozen=True, slots=True)
class VisualLayout:
    """One visual, planned.

    unit_keys: one a unit; equal exactly when the same pixels reach the same encoder in the same way (content, unit,
    resized size, preprocessing, weights, dtype). unit_tokens: rows of features each unit yields.
    geometry.visual_tokens: placeholders in the prompt (after assembly). grid: the family's own tiling, for `assemble`.
    """

    geometry: VisualGeometry
    unit_keys: tuple[str, ...]
    unit_tokens: tuple[int, ...]
    grid: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class PromptLayout:
    """A prompt, planned.

    token_ids: (T,) int64, the family's image or video token at each placeholder.
    positions: (P, T) int64, P = `ModelSpec.position_rows`.
    next_position: the position of the first generated token (the same for all P rows).
    visual_mask: (T,) bool, True at placeholders, in the order of `visuals`.
    """

    token_ids: Tensor
    positions: Tensor
    next_position: int
    visual_mask: Tensor
    visuals: tuple[VisualLayout, ...]


@dataclass(frozen=True, slots=True)
class VisualUnit:
    """Preprocessed pixels of one unit, on the CPU. grid: the family's own (for Qwen-VL (t, h, w) in patches)."""

    key: str
    pixels: Tensor
    grid: tuple[int, ...]
    tokens: int


@dataclass(frozen=True, slots=True)
class PromptEmbeddings:
    """embeds: (T, hidden). deepstack: (levels, T, hidden), added after the first decoder layers (Qwen3-VL), or None."""

    embeds: Tensor
    deepstack: Tensor | None = None


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """Shapes that the engine plans with. context: the longest sequence in tokens. eos_token_ids: any of them ends."""

    layers: int
    kv_heads: int
    head_dim: int
    hidden: int
    vocab_size: int
    context: int
    eos_token_ids: tuple[int, ...]
    position_rows: int
    dtype: torch.dtype
    device: torch.device

    @property
    def kv_bytes_per_token(self) -> int:
        return 2 * self.layers * self.kv_heads * self.head_dim * self.dtype.itemsize


class Family(ABC):
    """One architecture. Registered under the entry-point group `fourways.families`."""

    card: ClassVar[FamilyCard]

    @classmethod
    @abstractmethod
    def load(cls, checkpoint: Checkpoint, *, dtype: Dtype, device: str, quantization: str | None = None) -> Family:
        """Build the model and read its weights (or draw them, if `checkpoint.random_weights`). Safetensors only, no
        remote code. Raises CheckpointError with what is wrong and what to do."""

    @classmethod
    @abstractmethod
    def counter(cls, checkpoint: Checkpoint) -> VisualCounter:
        """The arithmetic of visual tokens from the config alone: no weights are read."""

    # -- what is loaded ------------------------------------------------------------------------------------------
    @property
    @abstractmethod
    def spec(self) -> ModelSpec: ...

    @property
    @abstractmethod
    def module(self) -> nn.Module:
        """transformers' model, for adapters, training and memory accounting."""

    @property
    @abstractmethod
    def tokenizer(self) -> PreTrainedTokenizerBase: ...

    @property
    def dialect(self) -> str:
        """How the loaded model likes to be asked; the card's, unless the family serves several generations."""
        return self.card.dialect

    @property
    def box_format(self) -> BoxFormat:
        """How the loaded model writes boxes; the card's, unless the family serves several generations."""
        return self.card.box_format

    # -- planning ------------------------------------------------------------------------------------------------
    @abstractmethod
    def layout(self, conversation: Conversation, visual_budget: int | None = None) -> PromptLayout:
        """Token ids, positions and visuals of a conversation that ends where the answer starts. Control tokens written
        in a user's text are encoded as text, never as control. Raises MediaError or UserError."""

    # -- vision --------------------------------------------------------------------------------------------------
    @abstractmethod
    def preprocess(self, visual: Visual, visual_budget: int | None = None) -> tuple[VisualUnit, ...]:
        """Units in the order of the layout's `unit_keys`, with those keys."""

    @abstractmethod
    def encode(self, units: Sequence[VisualUnit]) -> list[Tensor]:
        """Features after the connector, one (unit.tokens, features) tensor a unit, on the model's device. The width is
        hidden, or hidden x (1 + levels) where a deepstack rides along. Call under `torch.inference_mode`, or with
        gradients when the tower is trained."""

    @property
    def connectors(self) -> tuple[nn.Module, ...]:
        """The modules that carry the tower's features over to the language model, as they stand now (an adapter may
        have replaced some): what `encode` spends in them is told apart. Empty where nothing can be named."""
        return ()

    @abstractmethod
    def assemble(self, layout: VisualLayout, features: Sequence[Tensor]) -> Tensor:
        """(geometry.visual_tokens, features): what replaces the placeholders of one visual."""

    # -- language ------------------------------------------------------------------------------------------------
    @abstractmethod
    def embed(self, layout: PromptLayout, visuals: Sequence[Tensor]) -> PromptEmbeddings:
        """Prompt embeddings with the assembled visuals in place."""

    @abstractmethod
    def embed_tokens(self, token_ids: Tensor) -> Tensor:
        """(…,) int64 → (…, hidden)."""

    @abstractmethod
    def forward(
        self, embeds: Tensor, positions: Tensor, mask: Tensor, cache: Cache | None, deepstack: Tensor | None = None
    ) -> Tensor:
        """embeds (B, Q, hidden), positions (P, B, Q), mask (B, 1, Q, K) bool, True where a query may look,
        deepstack (levels, B, Q, hidden) → hidden states (B, Q, hidden) after the final norm. The cache decides
        where keys and values are kept; K is the length it returns."""

    @abstractmethod
    def logits(self, hidden: Tensor) -> Tensor:
        """(N, hidden) → (N, vocab)."""


class VisualCounter(ABC):
    """How many visual tokens, exactly, before anything runs."""

    @abstractmethod
    def image(self, width: int, height: int, visual_budget: int | None = None) -> VisualGeometry:
        """The geometry of an image of that size. Raises MediaError where the family cannot see such a shape."""

    @abstractmethod
    def video(self, width: int, height: int, frames: int, visual_budget: int | None = None) -> VisualGeometry:
        """The geometry of a clip; visual_tokens is its total. Raises CapabilityError where video is not taken."""
