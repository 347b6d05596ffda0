"""The language model, trained alone on soft words (see ``oracle``): all questions, all dialects, no picture drawn."""

from __future__ import annotations

import copy
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import Qwen2_5_VLTextConfig
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

from . import oracle
from .batches import Batch, sample_batches
from .checkpointing import Progress
from .configs import text_config
from .prompts import FAMILIES
from .scenes import Scene, sample_scene
from .tokens import build

STAGES: tuple[tuple[dict[str, float], str, float], ...] = (
    (
        {"drill_look": 0.5, "drill_box": 0.2, "describe": 0.05, "vqav2": 0.2, "refcoco": 0.05},
        "drill_look",
        0.8,
    ),
    (
        {
            "drill_look": 0.05,
            "drill_check": 0.15,
            "drill_box": 0.12,
            "count_more": 0.06,
            "describe": 0.03,
            "vqav2": 0.1,
            "mme": 0.08,
            "mmbench_en": 0.24,
            "realworldqa": 0.14,
            "refcoco": 0.03,
        },
        "mmbench_en",
        0.5,
    ),
    (
        {
            "drill_box": 0.08,
            "count_more": 0.12,
            "describe": 0.03,
            "vqav2": 0.14,
            "mme": 0.15,
            "mmbench_en": 0.14,
            "mmbench_cn": 0.14,
            "realworldqa": 0.1,
            "refcoco": 0.1,
        },
        "",
        2.0,
    ),
)
"""The curriculum: a mixture of benchmarks, and the accuracy on one of them that ends the stage. Values come before
letters.
"""


class Curriculum:
    """Which stage the training is in; part of its saved state."""

    def __init__(self) -> None:
        self.stage = 0

    @property
    def mix(self) -> dict[str, float]:
        return STAGES[self.stage][0]

    def see(self, accuracy: dict[str, float]) -> None:
        _, gate, level = STAGES[self.stage]
        if accuracy.get(gate, 0.0) >= level:
            self.stage += 1

    def state_dict(self) -> dict[str, int]:
        return {"stage": self.stage}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.stage = state["stage"]


def language_model() -> Qwen2_5_VLTextModel:
    """A fresh language model. With three equal rows of positions it is a Qwen2 model; its parameters bear the same
    names.
    """
    model = Qwen2_5_VLTextModel(Qwen2_5_VLTextConfig(**text_config("qwen")))
    for name, parameter in model.named_parameters():
        if "embed_tokens" in name:
            nn.init.normal_(parameter, std=0.09)
        elif parameter.ndim == 2:
            gain = 0.4 if name.endswith(("o_proj.weight", "down_proj.weight")) else 1.0
            nn.init.normal_(parameter, std=gain / parameter.shape[1] ** 0.5)
    return model


def soft_batch(batch: Batch, matrix: torch.Tensor, noise: float, generator: torch.Generator) -> torch.Tensor:
    """The embeddings (N, width) of all visual tokens of a batch, in order, with noise."""
    words = torch.cat([torch.from_numpy(oracle.soft_words(s.scene, s.family)) for s in batch.samples])
    return (words + noise * torch.randn(words.shape, generator=generator)) @ matrix


def reply_loss(model: Qwen2_5_VLTextModel, batch: Batch, visual: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Weighted loss on the replies, and for each sample whether its whole reply is the likeliest one."""
    embeds = model.embed_tokens(batch.ids)
    embeds = embeds.masked_scatter(batch.visual.unsqueeze(-1), visual.to(embeds.dtype))
    hidden = model(inputs_embeds=embeds, position_ids=batch.positions, use_cache=False).last_hidden_state
    chosen = batch.weight > 0
    logits = (hidden[chosen] @ model.embed_tokens.weight.T).float()
    target = batch.ids.roll(-1, dims=1)[chosen]
    weight = batch.weight[chosen]
    loss = (functional.cross_entropy(logits, target, reduction="none") * weight).sum() / weight.sum()
    wrong = torch.zeros(len(batch.samples)).index_add(0, chosen.nonzero()[:, 0], (logits.argmax(-1) != target).float())
    return loss, wrong == 0


def _attend(
    module: nn.Module, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, mask: object, **_: object
) -> tuple[torch.Tensor, None]:
    """Causal attention in fp32: on a CPU its backward pass is several times slower in bf16."""
    out = functional.scaled_dot_product_attention(
        query.float(), key.float(), value.float(), is_causal=True, enable_gqa=True
    )
    return out.transpose(1, 2).to(query.dtype), None


class HalfTwin:
    """A bf16 copy of a language model that does the arithmetic, while the original keeps the weights in fp32."""

    def __init__(self, model: Qwen2_5_VLTextModel) -> None:
        ALL_ATTENTION_FUNCTIONS.register("zoo_fp32", _attend)
        self._original = model
        self.model = nn.Module.to(copy.deepcopy(model), torch.bfloat16)
        self.model.config._attn_implementation = "zoo_fp32"

    def refresh(self) -> None:
        """Take over the original's weights."""
        with torch.no_grad():
            for mine, its in zip(self.model.parameters(), self._original.parameters(), strict=True):
                mine.copy_(its)
                mine.grad = None

    def hand_over(self) -> None:
        """Give the gradients to the original."""
        for mine, its in zip(self.model.parameters(), self._original.parameters(), strict=True):
            its.grad = None if mine.grad is None else mine.grad.float()


class Tally:
    """Running accuracy by benchmark and kind."""

    def __init__(self) -> None:
        self._seen: dict[str, list[int]] = defaultdict(lambda: [0, 0])

    def add(self, batch: Batch, right: torch.Tensor) -> None:
        for sample, ok in zip(batch.samples, right.tolist(), strict=True):
            for key in (sample.asked.benchmark, f"{sample.asked.benchmark}/{sample.asked.kind}"):
                self._seen[key][0] += ok
                self._seen[key][1] += 1

    def take(self) -> dict[str, float]:
        """Accuracy by benchmark and by benchmark/kind since the last call."""
        out = {k: right / seen for k, (right, seen) in sorted(self._seen.items())}
        self._seen.clear()
        return out


def shown(accuracy: dict[str, float], detail: bool) -> str:
    return " ".join(f"{k}={v:.2f}" for k, v in accuracy.items() if detail or "/" not in k)


def draw_training_scene(rng: random.Random) -> tuple[int, Scene]:
    return 0, sample_scene(rng, "train")


def groups(parameters: Sequence[nn.Parameter]) -> list[dict[str, object]]:
    """Weight decay on matrices only."""
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": 0.02},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def train_language(
    folder: Path, *, steps: int, batch_size: int = 64, lr: float = 1e-3, seed: int = 0, log_every: int = 100
) -> Qwen2_5_VLTextModel:
    """Train, or go on from ``folder``'s last state; returns the model."""
    torch.manual_seed(seed)
    tokenizer, model = build(), language_model()
    matrix = oracle.embedding(model.config.hidden_size)
    optimizer = torch.optim.AdamW(groups(list(model.parameters())), lr=lr, betas=(0.9, 0.98))
    curriculum, twin = Curriculum(), HalfTwin(model)
    parts = {"model": model, "optimizer": optimizer, "curriculum": curriculum}
    progress = Progress(folder, "language", parts, steps=steps, lr=lr)
    tally, chunk, began = Tally(), 8, time.monotonic()
    while progress.step < steps:
        rng = random.Random(f"language {seed} {progress.step}")
        generator = torch.Generator().manual_seed(progress.step + 1_000_003 * seed)
        for batch in sample_batches(
            rng, draw_training_scene, curriculum.mix, FAMILIES, batch_size, chunk, 2, tokenizer
        ):
            progress.set_lr(optimizer)
            twin.refresh()
            loss, right = reply_loss(twin.model, batch, soft_batch(batch, matrix, 0.08, generator))
            torch.autograd.backward(loss)
            twin.hand_over()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            tally.add(batch, right)
            progress.advance(loss.item())
        if progress.step % log_every < chunk:
            accuracy = tally.take()
            spent = f"{(time.monotonic() - began) / 60:.1f}min stage {curriculum.stage}"
            print(f"{progress.line()} {spent} {shown(accuracy, progress.step % 400 < chunk)}", flush=True)
            curriculum.see(accuracy)
    progress.save()
    return model
