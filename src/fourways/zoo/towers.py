"""Each family's vision tower and projector, taught to say soft words (see ``oracle``) before they meet the
language model.
"""

from __future__ import annotations

import random
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional
from transformers import PreTrainedModel

from . import oracle
from .checkpointing import Progress
from .folder import new_model
from .language import groups
from .pictures import Pool, features
from .prompts import Family


def vision_parameters(model: PreTrainedModel) -> list[nn.Parameter]:
    """All that is not the language model."""
    return [p for n, p in model.named_parameters() if "language_model" not in n and "lm_head" not in n]


def family_model(family: Family, seed: int = 0) -> PreTrainedModel:
    """The family's model with its tower's matrices drawn for so small a width."""
    torch.manual_seed(seed)
    model = new_model(family)
    for name, parameter in model.named_parameters():
        if (
            "language_model" not in name
            and parameter.ndim >= 2
            and "position_embedding" not in name
            and "cls_token" not in name
        ):
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    return model


def agreement(said: torch.Tensor, true: torch.Tensor) -> dict[str, float]:
    """How often the likeliest kind, color, shape and quadrant are right (the last three on objects)."""
    out = {"kind": (said[:, :4].argmax(1) == true[:, :4].argmax(1)).float().mean().item()}
    things = true[:, oracle.OBJECT] > 0.5
    spans = {
        "color": (oracle.COLOR_AT, oracle.SHAPE_AT),
        "shape": (oracle.SHAPE_AT, oracle.QUADRANT_AT),
        "quadrant": (oracle.QUADRANT_AT, oracle.BOX_AT),
    }
    for name, (low, high) in spans.items():
        out[name] = (said[things, low:high].argmax(1) == true[things, low:high].argmax(1)).float().mean().item()
    out["box_error"] = (said[things, oracle.BOX_AT :] - true[things, oracle.BOX_AT :]).square().mean().item()
    return out


def train_tower(
    family: Family, folder: Path, pool: Pool, *, steps: int, batch_size: int = 48, lr: float = 1.5e-3, seed: int = 0
) -> PreTrainedModel:
    """Train, or go on from ``folder``'s last state; returns the family's model with its tower trained."""
    model = family_model(family, seed)
    matrix = oracle.embedding(model.config.text_config.hidden_size)
    wanted = vision_parameters(model)
    vision = nn.ParameterList(wanted)
    optimizer = torch.optim.AdamW(groups(wanted), lr=lr, betas=(0.9, 0.98))
    progress = Progress(folder, f"tower-{family}", {"vision": vision, "optimizer": optimizer}, steps=steps, lr=lr)
    words = [torch.from_numpy(oracle.soft_words(s, family)) for s in pool.scenes]
    began = time.monotonic()
    model.train()
    while progress.step < steps:
        rng = random.Random(f"tower {family} {seed} {progress.step}")
        picked = [rng.randrange(len(pool.scenes)) for _ in range(batch_size)]
        progress.set_lr(optimizer)
        said = features(model, family, [pool.pixels[i] for i in picked])
        true = torch.cat([words[i] for i in picked])
        things = 1.0 + 3.0 * true[:, oracle.OBJECT :][:, :1]
        loss = (functional.mse_loss(said, true @ matrix, reduction="none").sum(1, keepdim=True) * things).mean()
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(wanted, 2.0)
        optimizer.step()
        progress.advance(loss.item())
        if progress.step % 100 == 0:
            shown = " ".join(f"{k}={v:.3f}" for k, v in agreement(said.detach() @ matrix.T, true).items())
            print(f"{progress.line()} {(time.monotonic() - began) / 60:.1f}min {shown}", flush=True)
    progress.save()
    return model
