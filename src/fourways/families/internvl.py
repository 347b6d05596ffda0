"""InternVL 2, 2.5, 3 and 3.5 on any of its language models, in the Hugging Face layout.

One unit is a tile of 448x448 pixels: a cell of the grid closest to the image's aspect ratio, or the thumbnail. A clip's
frame is one tile.

Sources: InternVL 1.5, arXiv 2404.16821, section 3.3; InternVL3, arXiv 2504.10479; modelling code: transformers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image as PilImage
from torch import Tensor, nn
from transformers import InternVLForConditionalGeneration, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import Cache
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil

from fourways.core.boxes import BoxFormat
from fourways.core.candidate import Checkpoint, Dtype
from fourways.core.conversation import Conversation, Image, Pixels, Visual
from fourways.core.errors import CheckpointError
from fourways.core.family import FamilyCard
from fourways.families import loading
from fourways.families.contract import Family, ModelSpec, PromptEmbeddings, PromptLayout, VisualLayout, VisualUnit
from fourways.families.prompt import ChatPrompt, Kind, Marker, Slot, read_template
from fourways.families.visual_tokens import InternVLCounter

START, END, CLIP = "<img>", "</img>", "<video>"
MARKUP = ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>")
"""Control tokens that mark regions inside a text; a user may write them."""

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<IMG_CONTEXT>\n{% elif content['type'] == 'video' %}<video>\n"
    "{% else %}{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""For a checkpoint that brings none."""

_ATTENTION = r"^model\.language_model\.layers\.\d+\.self_attn\.(q|k|v|qkv|o)_proj$"
_LLM = r"^model\.language_model\.layers\.\d+\.(self_attn\.(q|k|v|qkv|o)|mlp\.(gate|up|gate_up|down))_proj$"
"""Phi-3 has one layer for queries, keys and values, and one for gate and up."""
_CONNECTOR = r"^model\.multi_modal_projector\.linear_[12]$"
_TOWER = r"^model\.vision_tower\.encoder\.layer\.\d+\.(attention\.((q|k|v)_proj|projection_layer)|mlp\.fc[12])$"


class InternVL(Family):
    card = FamilyCard(
        name="internvl",
        architectures=("InternVLForConditionalGeneration",),
        dialect="internvl",
        box_format=BoxFormat("norm_1000", "double_brackets"),
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
        tokenizer: PreTrainedTokenizerBase,
        processor: GotOcr2ImageProcessorPil,
        counter: InternVLCounter,
        template: str,
        identity: str,
    ) -> None:
        self._model: Any = model
        self._tokenizer = tokenizer
        self._processor: Any = processor
        self._counter = counter
        self._identity = identity
        token = loading.require_token(tokenizer, self._model.config.image_token_id, "image_token_id")
        self._tile_text = f"{START}{token}{END}"
        markers: dict[Kind, Marker] = {
            "image": Marker(re.escape(token), token),
            "video": Marker(re.escape(CLIP), token),
        }
        self._prompt = ChatPrompt(tokenizer, template, markers, MARKUP)
        self._spec = loading.model_spec(model, tokenizer, position_rows=1)

    @classmethod
    def load(cls, checkpoint: Checkpoint, *, dtype: Dtype, device: str, quantization: str | None = None) -> InternVL:
        tokenizer = loading.read_tokenizer(
            checkpoint, loading.read_config(InternVLForConditionalGeneration, checkpoint)
        )
        processor = loading.read_image_processor(GotOcr2ImageProcessorPil, checkpoint.folder)
        counter = cls.counter(checkpoint)
        model = loading.load_model(
            InternVLForConditionalGeneration,
            checkpoint,
            dtype=dtype,
            device=device,
            quantization=quantization,
            language=_LLM,
        )
        template = read_template(checkpoint.folder, tokenizer, TEMPLATE)
        identity = loading.encoder_identity(checkpoint, dtype, processor)
        return cls(model, tokenizer, processor, counter, template, identity)

    @classmethod
    def counter(cls, checkpoint: Checkpoint) -> InternVLCounter:
        config: Any = loading.read_config(InternVLForConditionalGeneration, checkpoint)
        processor = loading.read_image_processor(GotOcr2ImageProcessorPil, checkpoint.folder)
        width, height = loading.pixel_size(processor, "width", "height")
        patch_height, patch_width = config.vision_config.patch_size
        patches = (width // patch_width) * (height // patch_height)
        if round(patches * config.downsample_ratio**2) != config.image_seq_length:
            raise CheckpointError(
                f"a tile of {width}x{height} pixels does not give the {config.image_seq_length} tokens of config.json",
                hint="preprocessor_config.json and config.json must come from the same checkpoint",
            )
        return InternVLCounter(
            (width, height),
            int(config.image_seq_length),
            int(processor.min_patches),
            int(processor.max_patches),
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

    # -- planning ------------------------------------------------------------------------------------------------
    def layout(self, conversation: Conversation, visual_budget: int | None = None) -> PromptLayout:
        plans = tuple(self._plan(visual, visual_budget) for visual in conversation.visuals)
        slots = [[self._slot(visual, plan)] for visual, plan in zip(conversation.visuals, plans, strict=True)]
        runs = self._prompt.encode(conversation, slots)
        count = len(runs.token_ids)
        return PromptLayout(runs.token_ids, torch.arange(count)[None], count, runs.mask, plans)

    def _plan(self, visual: Visual, visual_budget: int | None) -> VisualLayout:
        """grid: columns and rows of an image's tiles; frames and 1 for a clip."""
        if isinstance(visual, Image):
            geometry = self._counter.image(visual.width, visual.height, visual_budget)
            grid = self._counter.grid(visual.width, visual.height, visual_budget)
            cells = grid[0] * grid[1]
            names = [f"{grid[0]}x{grid[1]}:{cell}" for cell in range(cells)] if cells > 1 else []
            names.append("whole")
        else:
            frames, height, width = visual.frames.shape[:3]
            geometry = self._counter.video(width, height, frames, visual_budget)
            grid = (frames, 1)
            names = [f"frame:{frame}" for frame in range(frames)]
        keys = tuple(loading.digest(self._identity, visual.content_hash, name) for name in names)
        return VisualLayout(geometry, keys, (self._counter.tile_tokens,) * len(keys), grid)

    def _slot(self, visual: Visual, plan: VisualLayout) -> Slot:
        if isinstance(visual, Image):
            return Slot("image", self._tile_text, (plan.geometry.visual_tokens,))
        text = "\n".join(f"Frame{frame + 1}: {self._tile_text}" for frame in range(plan.grid[0]))
        return Slot("video", text, plan.unit_tokens)

    # -- vision --------------------------------------------------------------------------------------------------
    def preprocess(self, visual: Visual, visual_budget: int | None = None) -> tuple[VisualUnit, ...]:
        plan = self._plan(visual, visual_budget)
        if isinstance(visual, Image):
            tiles = self._tiles(visual.pixels, self._counter.tile_limit(visual_budget))
        else:
            tiles = torch.cat([self._tiles(frame, 1) for frame in visual.frames])
        return tuple(
            VisualUnit(key, tile, plan.grid, tokens)
            for key, tile, tokens in zip(plan.unit_keys, tiles, plan.unit_tokens, strict=True)
        )

    def _tiles(self, frame: Pixels, most: int) -> Tensor:
        """(tiles, 3, side, side), the thumbnail last."""
        tiles: Tensor = self._processor(
            images=PilImage.fromarray(frame),
            crop_to_patches=True,
            min_patches=min(self._counter.min_tiles, most),
            max_patches=most,
            return_tensors="pt",
        )["pixel_values"]
        return tiles

    def encode(self, units: Sequence[VisualUnit]) -> list[Tensor]:
        pixels = torch.stack([unit.pixels for unit in units]).to(self._spec.device, self._spec.dtype)
        return list(self._model.model.get_image_features(pixel_values=pixels, return_dict=True).pooler_output)

    @property
    def connectors(self) -> tuple[nn.Module, ...]:
        return (self._model.model.multi_modal_projector,)

    def assemble(self, layout: VisualLayout, features: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(features))

    # -- language ------------------------------------------------------------------------------------------------
    def embed(self, layout: PromptLayout, visuals: Sequence[Tensor]) -> PromptEmbeddings:
        embeds = self.embed_tokens(layout.token_ids)
        if visuals:
            mask = layout.visual_mask.to(self._spec.device)
            embeds = embeds.masked_scatter(mask[:, None], torch.cat(list(visuals)).to(embeds))
        return PromptEmbeddings(embeds)

    def embed_tokens(self, token_ids: Tensor) -> Tensor:
        embeds: Tensor = self._model.get_input_embeddings()(token_ids.to(self._spec.device))
        return embeds

    def forward(
        self, embeds: Tensor, positions: Tensor, mask: Tensor, cache: Cache | None, deepstack: Tensor | None = None
    ) -> Tensor:
        out = self._model.model.language_model(
            inputs_embeds=embeds,
            position_ids=positions[0],
            attention_mask=mask,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        hidden: Tensor = out.last_hidden_state
        return hidden

    def logits(self, hidden: Tensor) -> Tensor:
        scores: Tensor = self._model.lm_head(hidden)
        return scores
