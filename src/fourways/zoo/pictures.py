"""A pool of drawn scenes, run through the family's own image processor once, to train on many times."""

from __future__ import annotations

import io
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from PIL import Image
from torch import nn
from transformers import PreTrainedModel
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from .configs import image_processor
from .prompts import Family
from .scenes import SHAPES, UNSEEN_SHAPE, Scene, jpeg, render, sample_scene


def processor(family: Family) -> Any:
    """The family's image processor (PIL), as the checkpoint's folder configures it."""
    config = {k: v for k, v in image_processor(family).items() if k not in ("min_pixels", "max_pixels")}
    if family == "qwen":
        return Qwen2VLImageProcessorPil(**config)
    return LlavaNextImageProcessorPil(**config) if family == "llava" else GotOcr2ImageProcessorPil(**config)


@dataclass(frozen=True)
class Pixels:
    """What the family's tower takes for one picture: patches or tiles (float16 to save room), and its grid or size."""

    values: torch.Tensor
    shape: tuple[int, ...]


def pixels(image: Image.Image, family: Family, process: Any) -> Pixels:
    out = process(images=[image], return_tensors="pt")
    if family == "qwen":
        return Pixels(out["pixel_values"].half(), tuple(out["image_grid_thw"][0].tolist()))
    if family == "llava":
        return Pixels(out["pixel_values"][0].half(), tuple(out["image_sizes"][0].tolist()))
    return Pixels(out["pixel_values"].half(), (len(out["pixel_values"]),))


def features(model: PreTrainedModel, family: Family, batch: Sequence[Pixels]) -> torch.Tensor:
    """The embeddings (visual tokens of all pictures, width) that the language model gets."""
    values = torch.cat([p.values for p in batch]).float()
    inner: Any = model.model
    if family == "qwen":
        out = inner.get_image_features(values, torch.tensor([p.shape for p in batch])).pooler_output
        return torch.cat(list(out)) if isinstance(out, (list, tuple)) else out
    if family == "llava":
        padded = nn.utils.rnn.pad_sequence([p.values.float() for p in batch], batch_first=True)
        out = inner.get_image_features(padded, torch.tensor([p.shape for p in batch])).pooler_output
        return torch.cat(list(out))
    strategy: dict[str, Any] = {"vision_feature_layer": -1, "vision_feature_select_strategy": "default"}
    tokens: torch.Tensor = inner.get_image_features(values, **strategy).pooler_output
    return tokens.flatten(0, 1)


@dataclass(frozen=True)
class Pool:
    """Drawn scenes with their pixels; the first ``known`` of them hold no shape that has no word."""

    scenes: list[Scene]
    pixels: list[Pixels]
    known: int


def build_pool(family: Family, size: int, seed: int, unseen_share: float = 0.2) -> Pool:
    """Draw ``size`` training scenes, half of them through JPEG; the last ``unseen_share`` hold a shape without a
    word.
    """
    rng, process = random.Random(f"pool {seed}"), processor(family)
    known = int(size * (1 - unseen_share))
    scenes = [sample_scene(rng, "train") for _ in range(known)]
    scenes += [sample_scene(rng, "train", (*SHAPES, UNSEEN_SHAPE), UNSEEN_SHAPE) for _ in range(size - known)]
    drawn = []
    for scene in scenes:
        image = render(scene)
        if rng.random() < 0.5:
            image = Image.open(io.BytesIO(jpeg(image)))
        drawn.append(pixels(image, family, process))
    return Pool(scenes, drawn, known)
