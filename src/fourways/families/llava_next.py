"""LLaVA-NeXT (LLaVA 1.6) on any of its language models, in the Hugging Face layout.

One unit is a tile: the base view of the whole image, or one crop. Crops are put together again, freed of their padding
and given a newline at each row's end in `assemble`. A clip is taken as so many images.

Source: LLaVA-NeXT, January 2024 (AnyRes); modelling code: transformers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image as PilImage
from torch import Tensor, nn
from transformers import LlavaNextForConditionalGeneration, PreTrainedModel, PreTrainedTokenizerBase
from transformers.cache_utils import Cache
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

from fourways.core.boxes import BoxFormat
from fourways.core.candidate import Checkpoint, Dtype
from fourways.core.conversation import Conversation, Image, Pixels, Visual
from fourways.core.errors import CheckpointError
from fourways.core.family import FamilyCard
from fourways.families import loading
from fourways.families.contract import Family, ModelSpec, PromptEmbeddings, PromptLayout, VisualLayout, VisualUnit
from fourways.families.prompt import ChatPrompt, Marker, Slot, read_template
from fourways.families.visual_tokens import LlavaNextCounter

TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'system' %}{{ message['content'][0]['text'] }} "
    "{% else %}{{ message['role'] | upper }}: {% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<image>\n{% else %}{{ content['text'] }} {% endif %}{% endfor %}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{% endif %}{% endfor %}"
    "{% if add_generation_prompt %}ASSISTANT:{% endif %}"
)
"""Vicuna's form, for a checkpoint that brings none."""

_ATTENTION = r"^model\.language_model\.layers\.\d+\.self_attn\.(q|k|v|o)_proj$"
_LLM = r"^model\.language_model\.layers\.\d+\.(self_attn\.(q|k|v|o)|mlp\.(gate|up|down))_proj$"
_CONNECTOR = r"^model\.multi_modal_projector\.linear_[12]$"
_TOWER = r"^model\.vision_tower\.(vision_model\.)?encoder\.layers\.\d+\.(self_attn\.(q|k|v|out)_proj|mlp\.fc[12])$"


class LlavaNext(Family):
    card = FamilyCard(
        name="llava-next",
        architectures=("LlavaNextForConditionalGeneration",),
        dialect="llava-next",
        box_format=BoxFormat("padded_square_1", "brackets"),
        lora_targets={
            "attention": _ATTENTION,
            "llm": _LLM,
            "llm+connector": f"{_LLM}|{_CONNECTOR}",
            "all": f"{_LLM}|{_CONNECTOR}|{_TOWER}",
        },
        video=True,
    )

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        processor: LlavaNextImageProcessorPil,
        counter: LlavaNextCounter,
        template: str,
        identity: str,
    ) -> None:
        self._model: Any = model
        self._config: Any = model.config
        self._tokenizer = tokenizer
        self._processor: Any = processor
        self._counter = counter
        self._identity = identity
        self._image = loading.require_token(tokenizer, self._config.image_token_id, "image_token_index")
        self._prompt = ChatPrompt(tokenizer, template, {"image": Marker(re.escape(self._image), self._image)})
        self._spec = loading.model_spec(model, tokenizer, position_rows=1)

    @classmethod
    def load(cls, checkpoint: Checkpoint, *, dtype: Dtype, device: str, quantization: str | None = None) -> LlavaNext:
        tokenizer = loading.read_tokenizer(
            checkpoint, loading.read_config(LlavaNextForConditionalGeneration, checkpoint)
        )
        processor = loading.read_image_processor(LlavaNextImageProcessorPil, checkpoint.folder)
        counter = cls.counter(checkpoint)
        model = loading.load_model(
            LlavaNextForConditionalGeneration,
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
    def counter(cls, checkpoint: Checkpoint) -> LlavaNextCounter:
        config: Any = loading.read_config(LlavaNextForConditionalGeneration, checkpoint)
        processor = loading.read_image_processor(LlavaNextImageProcessorPil, checkpoint.folder)
        (tile,) = loading.pixel_size(processor, "shortest_edge")
        vision = config.vision_config
        pinpoints = [tuple(pinpoint) for pinpoint in config.image_grid_pinpoints]
        if tile != vision.image_size or pinpoints != [tuple(p) for p in processor.image_grid_pinpoints]:
            raise CheckpointError(
                "preprocessor_config.json and config.json name different tiles or grids",
                hint="they must come from the same checkpoint",
                fault="preprocessor.invalid",
            )
        return LlavaNextCounter(tuple((int(h), int(w)) for h, w in pinpoints), tile, int(vision.patch_size))

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
        runs = self._prompt.encode(conversation, [self._slots(plan) for plan in plans])
        count = len(runs.token_ids)
        return PromptLayout(runs.token_ids, torch.arange(count)[None], count, runs.mask, plans)

    def _plan(self, visual: Visual, visual_budget: int | None) -> VisualLayout:
        """grid: frames, rows and columns of crops (0, 0 for the base view alone)."""
        if isinstance(visual, Image):
            frames, width, height = 1, visual.width, visual.height
            geometry = self._counter.image(width, height, visual_budget)
        else:
            frames, height, width = visual.frames.shape[:3]
            geometry = self._counter.video(width, height, frames, visual_budget)
            visual_budget = None if visual_budget is None else visual_budget // frames
        pinpoint = self._counter.pinpoint(width, height, visual_budget)
        rows, columns = (0, 0) if pinpoint is None else (side // self._counter.tile for side in pinpoint)
        names = ["base", *(f"{rows}x{columns}:{crop}" for crop in range(rows * columns))]
        keys = tuple(
            loading.digest(self._identity, visual.content_hash, frame, name)
            for frame in range(frames)
            for name in names
        )
        return VisualLayout(geometry, keys, (self._counter.side**2,) * len(keys), (frames, rows, columns))

    def _slots(self, plan: VisualLayout) -> list[Slot]:
        frames = plan.grid[0]
        return [Slot("image", self._image, (plan.geometry.visual_tokens // frames,))] * frames

    # -- vision --------------------------------------------------------------------------------------------------
    def preprocess(self, visual: Visual, visual_budget: int | None = None) -> tuple[VisualUnit, ...]:
        plan = self._plan(visual, visual_budget)
        _, rows, columns = plan.grid
        frames = visual.pixels[None] if isinstance(visual, Image) else visual.frames
        tiles = [tile for frame in frames for tile in self._tiles(frame, rows, columns)]
        return tuple(
            VisualUnit(key, tile, (self._counter.side, self._counter.side), tokens)
            for key, tile, tokens in zip(plan.unit_keys, tiles, plan.unit_tokens, strict=True)
        )

    def _tiles(self, frame: Pixels, rows: int, columns: int) -> Tensor:
        """(1 + rows x columns, 3, tile, tile): the base view, then the crops."""
        tile = self._counter.tile
        pinpoint = [max(rows, 1) * tile, max(columns, 1) * tile]
        image = PilImage.fromarray(frame)
        tiles: Tensor = self._processor(images=image, image_grid_pinpoints=[pinpoint], return_tensors="pt")[
            "pixel_values"
        ][0]
        return tiles[: 1 + rows * columns]

    def encode(self, units: Sequence[VisualUnit]) -> list[Tensor]:
        pixels = torch.stack([unit.pixels for unit in units]).to(self._spec.device, self._spec.dtype)
        layers = self._config.vision_feature_layer
        seen = self._model.model.vision_tower(pixels, output_hidden_states=layers, return_dict=True)
        chosen = [layers] if isinstance(layers, int) else layers
        features = torch.cat([seen.hidden_states[layer] for layer in chosen], dim=-1)
        if self._config.vision_feature_select_strategy == "default":
            features = features[:, 1:]
        return list(self._model.model.multi_modal_projector(features))

    @property
    def connectors(self) -> tuple[nn.Module, ...]:
        return (self._model.model.multi_modal_projector,)

    def assemble(self, layout: VisualLayout, features: Sequence[Tensor]) -> Tensor:
        frames, rows, columns = layout.grid
        each = 1 + rows * columns
        newline = self._model.model.image_newline.to(features[0])
        parts: list[Tensor] = []
        for first in range(0, frames * each, each):
            parts.append(features[first])
            if each == 1:
                parts.append(newline[None])
                continue
            crops = torch.stack(list(features[first + 1 : first + each]))
            parts.append(self._join(crops, newline, layout.geometry.original, rows, columns))
        return torch.cat(parts)

    def _join(self, crops: Tensor, newline: Tensor, original: tuple[int, int], rows: int, columns: int) -> Tensor:
        """Crops (rows x columns, tokens, hidden) as one picture, without padding, row by row with a newline each."""
        side, tile = self._counter.side, self._counter.tile
        picture = crops.view(rows, columns, side, side, -1).transpose(1, 2).reshape(rows * side, columns * side, -1)
        height, width = self._counter.unpadded(*original, (rows * tile, columns * tile))
        top, left = (picture.shape[0] - height) // 2, (picture.shape[1] - width) // 2
        picture = picture[top : top + height, left : left + width]
        ends = newline.expand(height, 1, -1)
        return torch.cat([picture, ends], dim=1).flatten(0, 1)

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
