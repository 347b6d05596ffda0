"""A third party's family: a one-token-per-cell encoder before a small Llama, in a package of its own.

It uses nothing of Fourways but the contract, the nouns and the public helpers that any author may use.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaModel, PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.cache_utils import Cache

from fourways.core.boxes import BoxFormat
from fourways.core.candidate import Checkpoint, Dtype
from fourways.core.conversation import Conversation, Image, Visual
from fourways.core.errors import CapabilityError
from fourways.core.events import VisualGeometry
from fourways.core.family import FamilyCard
from fourways.families.contract import (
    Family,
    ModelSpec,
    PromptEmbeddings,
    PromptLayout,
    VisualCounter,
    VisualLayout,
    VisualUnit,
)
from fourways.families.prompt import ChatPrompt, Marker, Slot

CELL = 32
HIDDEN = 32
TEMPLATE = (
    "{% for m in messages %}<turn>{{ m['role'] }}:{% for c in m['content'] %}"
    "{% if c['type'] == 'image' %}<cell>{% else %}{{ c['text'] }}{% endif %}{% endfor %}<end>{% endfor %}<turn>"
)


class ToyModel(nn.Module):
    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.eye = nn.Linear(3 * CELL * CELL, HIDDEN)
        config = LlamaConfig(
            vocab_size=vocabulary, hidden_size=HIDDEN, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4
        )
        config._attn_implementation = "sdpa"
        self.mind = LlamaModel(config)
        self.lm_head = nn.Linear(HIDDEN, vocabulary, bias=False)


@dataclass(frozen=True)
class CellCounter(VisualCounter):
    """At most `budget` cells in the image's own proportions, four at the most."""

    def cells(self, width: int, height: int, visual_budget: int | None) -> tuple[int, int]:
        most = min(visual_budget or 4, 4)
        columns = 2 if most >= 2 and width >= height else 1
        return columns, max(1, min(2, most // columns))

    def image(self, width: int, height: int, visual_budget: int | None = None) -> VisualGeometry:
        columns, rows = self.cells(width, height, visual_budget)
        cells = columns * rows
        return VisualGeometry((width, height), (columns * CELL, rows * CELL), cells, cells, cached=False)

    def video(self, width: int, height: int, frames: int, visual_budget: int | None = None) -> VisualGeometry:
        raise CapabilityError("the toy family takes no video")


class Toy(Family):
    card = FamilyCard(
        name="toy",
        architectures=("ToyForConditionalGeneration",),
        dialect="toy",
        box_format=BoxFormat("norm_1", "brackets"),
        lora_targets={"llm": r"^mind\.layers\.\d+\.self_attn\.(q|v)_proj$"},
    )

    def __init__(self, model: ToyModel, tokenizer: PreTrainedTokenizerFast) -> None:
        self._model = model
        self._tokenizer = tokenizer
        self._counter = CellCounter()
        self._prompt = ChatPrompt(tokenizer, TEMPLATE, {"image": Marker("<cell>", "<cell>")})

    @classmethod
    def load(cls, checkpoint: Checkpoint, *, dtype: Dtype, device: str, quantization: str | None = None) -> Toy:
        tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(checkpoint.folder / "tokenizer.json"))
        model = ToyModel(len(tokenizer))
        model.load_state_dict(load_file(checkpoint.folder / "model.safetensors"))
        return cls(model.eval(), tokenizer)

    @classmethod
    def counter(cls, checkpoint: Checkpoint) -> VisualCounter:
        return CellCounter()

    @property
    def spec(self) -> ModelSpec:
        end = int(self._tokenizer.convert_tokens_to_ids("<end>"))
        size = len(self._tokenizer)
        return ModelSpec(2, 4, HIDDEN // 4, HIDDEN, size, 2048, (end,), 1, torch.float32, torch.device("cpu"))

    @property
    def module(self) -> nn.Module:
        return self._model

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        return self._tokenizer

    def layout(self, conversation: Conversation, visual_budget: int | None = None) -> PromptLayout:
        plans = tuple(self._plan(visual, visual_budget) for visual in conversation.visuals)
        runs = self._prompt.encode(conversation, [[Slot("image", "<cell>", (len(p.unit_keys),))] for p in plans])
        count = len(runs.token_ids)
        return PromptLayout(runs.token_ids, torch.arange(count)[None], count, runs.mask, plans)

    def _plan(self, visual: Visual, visual_budget: int | None) -> VisualLayout:
        assert isinstance(visual, Image)
        geometry = self._counter.image(visual.width, visual.height, visual_budget)
        keys = tuple(f"{visual.content_hash}:{geometry.seen}:{cell}" for cell in range(geometry.tiles))
        return VisualLayout(geometry, keys, (1,) * geometry.tiles)

    def preprocess(self, visual: Visual, visual_budget: int | None = None) -> tuple[VisualUnit, ...]:
        assert isinstance(visual, Image)
        plan = self._plan(visual, visual_budget)
        pixels = torch.from_numpy(visual.pixels).permute(2, 0, 1)[None] / 255
        width, height = plan.geometry.seen
        cells = nn.functional.interpolate(pixels, (height, width), mode="bilinear")[0]
        tiles = cells.unfold(1, CELL, CELL).unfold(2, CELL, CELL).permute(1, 2, 0, 3, 4).flatten(0, 1)
        return tuple(VisualUnit(key, tile, (1, 1), 1) for key, tile in zip(plan.unit_keys, tiles, strict=True))

    def encode(self, units: Sequence[VisualUnit]) -> list[Tensor]:
        return list(self._model.eye(torch.stack([unit.pixels.flatten() for unit in units]))[:, None])

    def assemble(self, layout: VisualLayout, features: Sequence[Tensor]) -> Tensor:
        return torch.cat(list(features))

    def embed(self, layout: PromptLayout, visuals: Sequence[Tensor]) -> PromptEmbeddings:
        embeds = self.embed_tokens(layout.token_ids)
        if visuals:
            embeds = embeds.masked_scatter(layout.visual_mask[:, None], torch.cat(list(visuals)))
        return PromptEmbeddings(embeds)

    def embed_tokens(self, token_ids: Tensor) -> Tensor:
        embeds: Tensor = self._model.mind.embed_tokens(token_ids)
        return embeds

    def forward(
        self, embeds: Tensor, positions: Tensor, mask: Tensor, cache: Cache | None, deepstack: Tensor | None = None
    ) -> Tensor:
        out = self._model.mind(
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


def make_checkpoint(folder: Path) -> Checkpoint:
    """A checkpoint of random weights."""
    tokenizer = Tokenizer(
        models.BPE(vocab={p: i for i, p in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[])
    )
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<turn>", "<end>", "<cell>")])
    tokenizer.save(str(folder / "tokenizer.json"))
    torch.manual_seed(3)
    model = ToyModel(tokenizer.get_vocab_size())
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.15)
    save_file(model.state_dict(), folder / "model.safetensors")
    config = {"architectures": ["ToyForConditionalGeneration"]}
    (folder / "config.json").write_text(json.dumps(config))
    return Checkpoint(folder, config["architectures"][0], config, {})
