"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL.

One unit is an image, or a pair of a clip's frames: the tower attends within one temporal step only, so a pair encoded
alone equals the same pair inside its clip. Text and patches share three position rows (time, height, width). Qwen3-VL
adds features from inside the tower to its first decoder layers (deepstack) and writes a clip's timestamps as text.

Sources: arXiv 2409.12191 (Qwen2-VL), 2502.13923 (Qwen2.5-VL), 2511.21631 (Qwen3-VL); modelling code: transformers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from PIL import Image as PilImage
from torch import Tensor, nn
from transformers import (
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLForConditionalGeneration,
    Qwen3VLForConditionalGeneration,
)
from transformers.cache_utils import Cache
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from fourways.core.boxes import BoxFormat
from fourways.core.candidate import Checkpoint, Dtype
from fourways.core.conversation import Conversation, Image, Pixels, Video, Visual
from fourways.core.family import FamilyCard
from fourways.families import loading
from fourways.families.contract import Family, ModelSpec, PromptEmbeddings, PromptLayout, VisualLayout, VisualUnit
from fourways.families.prompt import ChatPrompt, Kind, Marker, Slot, TokenRuns, read_template
from fourways.families.visual_tokens import PixelBounds, Qwen3Counter, QwenCounter


@dataclass(frozen=True, slots=True)
class Generation:
    """What sets one generation of the family apart."""

    model: type[PreTrainedModel]
    counter: type[QwenCounter]
    dialect: str
    box_format: BoxFormat


GENERATIONS: dict[str, Generation] = {
    "Qwen2VLForConditionalGeneration": Generation(
        Qwen2VLForConditionalGeneration, QwenCounter, "qwen2-vl", BoxFormat("norm_1000", "parentheses")
    ),
    "Qwen2_5_VLForConditionalGeneration": Generation(
        Qwen2_5_VLForConditionalGeneration, QwenCounter, "qwen2.5-vl", BoxFormat("seen_pixels", "json_bbox_2d")
    ),
    "Qwen3VLForConditionalGeneration": Generation(
        Qwen3VLForConditionalGeneration, Qwen3Counter, "qwen3-vl", BoxFormat("norm_1000", "json_bbox_2d")
    ),
}

VISION_START, VISION_END = "<|vision_start|>", "<|vision_end|>"
MARKUP = (
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
)
"""Control tokens that mark regions inside a text; a user may write them."""

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% else %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""For a checkpoint that brings none."""

_ATTENTION = r"^model\.language_model\.layers\.\d+\.self_attn\.(q|k|v|o)_proj$"
_LLM = r"^model\.language_model\.layers\.\d+\.(self_attn\.(q|k|v|o)|mlp\.(gate|up|down))_proj$"
_CONNECTOR = r"^model\.visual\.(merger|deepstack_merger_list\.\d+)\.(mlp\.[02]|linear_fc[12])$"
_TOWER = r"^model\.visual\.blocks\.\d+\.(attn\.(qkv|proj)|mlp\.(fc1|fc2|gate_proj|up_proj|down_proj|linear_fc[12]))$"


class QwenVL(Family):
    card = FamilyCard(
        name="qwen-vl",
        architectures=tuple(GENERATIONS),
        dialect="qwen2.5-vl",
        box_format=BoxFormat("seen_pixels", "json_bbox_2d"),
        lora_targets={
            "attention": _ATTENTION,
            "llm": _LLM,
            "llm+connector": f"{_LLM}|{_CONNECTOR}",
            "all": f"{_LLM}|{_CONNECTOR}|{_TOWER}",
        },
        video=True,
        markup=MARKUP,
    )

    def __init__(
        self,
        model: PreTrainedModel,
        generation: Generation,
        tokenizer: PreTrainedTokenizerBase,
        processor: Qwen2VLImageProcessorPil,
        counter: QwenCounter,
        template: str,
        identity: str,
    ) -> None:
        self._model: Any = model
        self._generation = generation
        self._tokenizer = tokenizer
        self._processor: Any = processor
        self._counter = counter
        self._identity = identity
        self._config: Any = model.config
        self._image = loading.require_token(tokenizer, self._config.image_token_id, "image_token_id")
        self._clip = loading.require_token(tokenizer, self._config.video_token_id, "video_token_id")
        markers: dict[Kind, Marker] = {
            "image": Marker(re.escape(self._image), self._image),
            "video": Marker(self._clip_marker, self._clip),
        }
        self._prompt = ChatPrompt(tokenizer, template, markers, MARKUP)
        self._spec = loading.model_spec(model, tokenizer, position_rows=3)

    @classmethod
    def load(cls, checkpoint: Checkpoint, *, dtype: Dtype, device: str, quantization: str | None = None) -> QwenVL:
        generation = GENERATIONS[checkpoint.architecture]
        tokenizer = loading.read_tokenizer(checkpoint, loading.read_config(generation.model, checkpoint))
        processor = loading.read_image_processor(Qwen2VLImageProcessorPil, checkpoint.folder)
        model = loading.load_model(
            generation.model, checkpoint, dtype=dtype, device=device, quantization=quantization, language=_LLM
        )
        return cls(
            model,
            generation,
            tokenizer,
            processor,
            cls.counter(checkpoint),
            read_template(checkpoint.folder, tokenizer, TEMPLATE),
            loading.encoder_identity(checkpoint, dtype, processor),
        )

    @classmethod
    def counter(cls, checkpoint: Checkpoint) -> QwenCounter:
        processor = loading.read_image_processor(Qwen2VLImageProcessorPil, checkpoint.folder)
        factor = processor.patch_size * processor.merge_size
        return GENERATIONS[checkpoint.architecture].counter(
            factor,
            PixelBounds(*loading.pixel_size(processor, "shortest_edge", "longest_edge")),
            _video_bounds(checkpoint, factor),
            processor.temporal_patch_size,
        )

    @property
    def spec(self) -> ModelSpec:
        return self._spec

    @property
    def module(self) -> nn.Module:
        module: nn.Module = self._model
        return module

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self._tokenizer

    @property
    def dialect(self) -> str:
        return self._generation.dialect

    @property
    def box_format(self) -> BoxFormat:
        return self._generation.box_format

    # -- planning ------------------------------------------------------------------------------------------------
    def layout(self, conversation: Conversation, visual_budget: int | None = None) -> PromptLayout:
        visuals = conversation.visuals
        plans = tuple(self._plan(visual, visual_budget) for visual in visuals)
        slots = [[self._slot(visual, plan)] for visual, plan in zip(visuals, plans, strict=True)]
        runs = self._prompt.encode(conversation, slots)
        grids = [grid for visual, plan in zip(visuals, plans, strict=True) for grid in self._grids(visual, plan)]
        positions = _rope_positions(runs, grids)
        return PromptLayout(runs.token_ids, positions, int(positions.max()) + 1, runs.mask, plans)

    def _plan(self, visual: Visual, visual_budget: int | None) -> VisualLayout:
        if isinstance(visual, Image):
            geometry = self._counter.image(visual.width, visual.height, visual_budget)
        else:
            frames, height, width = visual.frames.shape[:3]
            geometry = self._counter.video(width, height, frames, visual_budget)
        keys = tuple(
            loading.digest(self._identity, visual.content_hash, *geometry.seen, unit) for unit in range(geometry.tiles)
        )
        return VisualLayout(geometry, keys, (geometry.visual_tokens // geometry.tiles,) * geometry.tiles)

    def _slot(self, visual: Visual, plan: VisualLayout) -> Slot:
        if isinstance(visual, Image):
            return Slot("image", self._image, plan.unit_tokens)
        if not self._timestamped:
            return Slot("video", self._clip, (plan.geometry.visual_tokens,))
        times = _pair_times(visual.timestamps_s, self._counter.frame_step)
        text = "".join(f"<{time:.1f} seconds>{VISION_START}{self._clip}{VISION_END}" for time in times)
        return Slot("video", text, plan.unit_tokens)

    def _grids(self, visual: Visual, plan: VisualLayout) -> list[_Grid]:
        """One grid for each run of placeholders."""
        width, height = (side // self._counter.factor for side in plan.geometry.seen)
        if isinstance(visual, Image) or self._timestamped:
            return [_Grid(1, height, width, 1.0)] * plan.geometry.tiles
        interval = 1.0
        if pace := getattr(self._config.vision_config, "tokens_per_second", None):
            interval = pace * self._counter.frame_step / _frames_per_second(visual.timestamps_s)
        return [_Grid(plan.geometry.tiles, height, width, interval)]

    @property
    def _timestamped(self) -> bool:
        return self._generation.counter is Qwen3Counter

    @property
    def _clip_marker(self) -> str:
        """Qwen3-VL frames each pair itself, in place of the template's one frame around the clip."""
        clip = re.escape(self._clip)
        return f"{re.escape(VISION_START)}{clip}{re.escape(VISION_END)}" if self._timestamped else clip

    # -- vision --------------------------------------------------------------------------------------------------
    def preprocess(self, visual: Visual, visual_budget: int | None = None) -> tuple[VisualUnit, ...]:
        plan = self._plan(visual, visual_budget)
        size = plan.geometry.seen
        patch = self._processor.patch_size
        grid = (1, size[1] // patch, size[0] // patch)
        if isinstance(visual, Image):
            pixels = [self._patches(visual.pixels, size)]
        else:
            pixels = [self._paired_patches(pair, size) for pair in _pairs(visual, self._counter.frame_step)]
        return tuple(
            VisualUnit(key, patches, grid, tokens)
            for key, patches, tokens in zip(plan.unit_keys, pixels, plan.unit_tokens, strict=True)
        )

    def _patches(self, frame: Pixels, size: tuple[int, int]) -> Tensor:
        """(patches, channels x frames x side x side), the one frame repeated."""
        resized = PilImage.fromarray(frame).resize(size, resample=self._processor.resample)
        patches: Tensor = self._processor(images=resized, do_resize=False, return_tensors="pt")["pixel_values"]
        return patches

    def _paired_patches(self, frames: Pixels, size: tuple[int, int]) -> Tensor:
        """The same with a frame of its own in each step."""
        step, side = self._counter.frame_step, self._processor.patch_size
        shape = ((size[0] // side) * (size[1] // side), -1, step, side, side)
        repeated = [self._patches(frame, size).reshape(shape) for frame in frames]
        return torch.stack([patches[:, :, 0] for patches in repeated], dim=2).flatten(1)

    def encode(self, units: Sequence[VisualUnit]) -> list[Tensor]:
        device = self._spec.device
        pixels = torch.cat([unit.pixels for unit in units]).to(device, self._spec.dtype)
        grids = torch.tensor([unit.grid for unit in units], device=device)
        seen = self._model.model.visual(pixels, grid_thw=grids)
        features = torch.cat([seen.pooler_output, *(getattr(seen, "deepstack_features", None) or [])], dim=-1)
        return list(torch.split(features, [unit.tokens for unit in units]))

    @property
    def connectors(self) -> tuple[nn.Module, ...]:
        visual = self._model.model.visual
        return (visual.merger, *getattr(visual, "deepstack_merger_list", ()))

    def assemble(self, layout: VisualLayout, features: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(features))

    # -- language ------------------------------------------------------------------------------------------------
    def embed(self, layout: PromptLayout, visuals: Sequence[Tensor]) -> PromptEmbeddings:
        mask = layout.visual_mask.to(self._spec.device)
        embeds = self.embed_tokens(layout.token_ids)
        if not visuals:
            return PromptEmbeddings(embeds)
        rows = torch.cat(list(visuals)).to(embeds)
        own, *deeper = torch.split(rows, self._spec.hidden, dim=-1)
        embeds = embeds.masked_scatter(mask[:, None], own)
        if not deeper:
            return PromptEmbeddings(embeds)
        blank = torch.zeros_like(embeds)
        return PromptEmbeddings(embeds, torch.stack([blank.masked_scatter(mask[:, None], level) for level in deeper]))

    def embed_tokens(self, token_ids: Tensor) -> Tensor:
        embeds: Tensor = self._model.get_input_embeddings()(token_ids.to(self._spec.device))
        return embeds

    def forward(
        self, embeds: Tensor, positions: Tensor, mask: Tensor, cache: Cache | None, deepstack: Tensor | None = None
    ) -> Tensor:
        deeper: dict[str, Any] = {}
        if deepstack is not None:
            everywhere = torch.ones(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
            deeper = {"visual_pos_masks": everywhere, "deepstack_visual_embeds": list(deepstack.flatten(1, 2))}
        out = self._model.model.language_model(
            inputs_embeds=embeds,
            position_ids=positions,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
            **deeper,
        )
        hidden: Tensor = out.last_hidden_state
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self._model.lm_head(hidden)
        return scores


# -- positions -------------------------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Grid:
    """One run of placeholders in tokens; interval: positions between its time steps."""

    steps: int
    height: int
    width: int
    interval: float

    def positions(self, start: int) -> Tensor:
        """(3, steps x height x width): time, height and width of each token."""
        time = (torch.arange(self.steps) * self.interval).long()
        axes = torch.meshgrid(time, torch.arange(self.height), torch.arange(self.width), indexing="ij")
        return torch.stack(axes).reshape(3, -1) + start


def _rope_positions(runs: TokenRuns, grids: Sequence[_Grid]) -> Tensor:
    """(3, T): text counts up on all three rows, a visual spans its grid and moves the text on by its longer side
    (arXiv 2409.12191, section 2.1)."""
    parts: list[Tensor] = []
    at = position = 0
    for start, length, grid in zip(runs.starts, runs.lengths, grids, strict=True):
        parts.append(_count_up(position, start - at))
        position += start - at
        parts.append(grid.positions(position))
        position += max(grid.height, grid.width)
        at = start + length
    parts.append(_count_up(position, len(runs.token_ids) - at))
    return torch.cat(parts, dim=1)


def _count_up(start: int, count: int) -> Tensor:
    return torch.arange(start, start + count).expand(3, -1)


# -- clips -----------------------------------------------------------------------------------------------------------
def _pairs(clip: Video, step: int) -> list[Pixels]:
    """Frames in steps of `step`; the last one is repeated to fill its step."""
    missing = -len(clip.frames) % step
    frames = np.concatenate([clip.frames, np.repeat(clip.frames[-1:], missing, axis=0)])
    return [frames[start : start + step] for start in range(0, len(frames), step)]


def _pair_times(timestamps_s: Sequence[float], step: int) -> list[float]:
    """The middle of each step, in seconds."""
    times = [*timestamps_s, *[timestamps_s[-1]] * (-len(timestamps_s) % step)]
    return [(times[start] + times[start + step - 1]) / 2 for start in range(0, len(times), step)]


def _frames_per_second(timestamps_s: Sequence[float]) -> float:
    """The mean rate of the frames that are there; a single frame counts as the family's usual two a second."""
    span = timestamps_s[-1] - timestamps_s[0]
    return (len(timestamps_s) - 1) / span if span > 0 else 2.0


# -- settings --------------------------------------------------------------------------------------------------------
def _video_bounds(checkpoint: Checkpoint, factor: int) -> PixelBounds:
    """A clip's pixel bounds: the checkpoint's, else those that transformers' video processors start from."""
    own, shared = (checkpoint.folder / name for name in ("video_preprocessor_config.json", "processor_config.json"))
    settings: Any = {}
    if own.is_file():
        settings = loading.read_json(own)
    elif shared.is_file():
        settings = loading.read_json(shared).get("video_processor") or {}
    size = settings.get("size") or {}
    if {"shortest_edge", "longest_edge"} <= size.keys():
        return PixelBounds(int(size["shortest_edge"]), int(size["longest_edge"]))
    return PixelBounds(128 * factor**2, 768 * factor**2)
