"""Tower and language model joined and trained together on drawn scenes: the last stage, after which nothing of
``oracle`` is left.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLTextModel

from .batches import Batch, Sample, image_tokens, sample_batches
from .checkpointing import Progress
from .folder import save
from .language import STAGES, HalfTwin, Tally, groups, reply_loss, shown
from .pictures import Pixels, Pool, features
from .prompts import Family
from .scenes import Scene
from .tokens import build
from .towers import vision_parameters


def transplant(language: Qwen2_5_VLTextModel, model: PreTrainedModel) -> None:
    """Put the language model's weights into the family's model (the names are the same in both)."""
    inner: Any = model
    inner.model.language_model.load_state_dict(language.state_dict())
    model.tie_weights()


def batch_features(model: PreTrainedModel, family: Family, batch: Batch, pixels: Sequence[Pixels]) -> torch.Tensor:
    """The visual embeddings of all samples of a batch in order; each picture is encoded once."""
    order = list(dict.fromkeys(s.scene_index for s in batch.samples))
    counts = {s.scene_index: image_tokens(s.scene, family) for s in batch.samples}
    parts = torch.split(features(model, family, [pixels[i] for i in order]), [counts[i] for i in order])
    by_index = dict(zip(order, parts, strict=True))
    return torch.cat([by_index[s.scene_index] for s in batch.samples])


def by_picture(sample: Sample) -> int:
    """Sort key: pictures of one size together, and the questions on one picture stay together."""
    return image_tokens(sample.scene, sample.family)


def train_joint(
    family: Family,
    model: PreTrainedModel,
    language: Qwen2_5_VLTextModel,
    folder: Path,
    out: Path,
    pool: Pool,
    *,
    steps: int,
    batch_size: int = 128,
    lr: float = 5e-4,
    seed: int = 0,
) -> None:
    """Train both, or go on from ``folder``'s last state; writes the complete checkpoint to ``out``."""
    tokenizer, twin = build(), HalfTwin(language)
    vision = vision_parameters(model)
    wanted = [*vision, *language.parameters()]
    optimizer = torch.optim.AdamW(groups(wanted), lr=lr, betas=(0.9, 0.98))
    parts = {"vision": nn.ParameterList(vision), "language": language, "optimizer": optimizer}
    progress = Progress(folder, f"joint-{family}", parts, steps=steps, lr=lr)
    tally, chunk, began = Tally(), 4, time.monotonic()

    def draw(rng: random.Random) -> tuple[int, Scene]:
        index = rng.randrange(pool.known)
        return index, pool.scenes[index]

    while progress.step < steps:
        rng = random.Random(f"joint {family} {seed} {progress.step}")
        mix = STAGES[-1][0]
        for batch in sample_batches(rng, draw, mix, [family], batch_size, chunk, 4, tokenizer, by_picture):
            progress.set_lr(optimizer)
            twin.refresh()
            optimizer.zero_grad(set_to_none=True)
            loss, right = reply_loss(twin.model, batch, batch_features(model, family, batch, pool.pixels))
            torch.autograd.backward(loss)
            twin.hand_over()
            nn.utils.clip_grad_norm_(wanted, 1.0)
            optimizer.step()
            tally.add(batch, right)
            progress.advance(loss.item())
        if progress.step % 48 < chunk:
            detail = progress.step % 384 < chunk
            print(
                f"{progress.line()} {(time.monotonic() - began) / 60:.1f}min {shown(tally.take(), detail)}", flush=True
            )
            if detail:
                transplant(language, model)
                save(model, family, out)
    progress.save()
    transplant(language, model)
    save(model, family, out)
