"""A model in memory to a complete Hugging Face folder on disk, and back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn
from transformers import (
    AutoConfig,
    InternVLForConditionalGeneration,
    LlavaNextForConditionalGeneration,
    PreTrainedModel,
    Qwen2_5_VLForConditionalGeneration,
)

from . import configs
from .prompts import Family
from .tokens import build

_CLASSES: dict[Family, type[PreTrainedModel]] = {
    "qwen": Qwen2_5_VLForConditionalGeneration,
    "llava": LlavaNextForConditionalGeneration,
    "internvl": InternVLForConditionalGeneration,
}
_RENAMES: dict[Family, tuple[tuple[str, str], ...]] = {
    "qwen": ((r"^model\.language_model\.", "model."), (r"^model\.visual\.", "visual.")),
    "llava": (
        (r"^model\.language_model\.", "language_model.model."),
        (r"^model\.vision_tower\.(?!vision_model\.)", "vision_tower.vision_model."),
        (r"^model\.", ""),
    ),
    "internvl": (
        (r"^model\.language_model\.", "language_model.model."),
        (r"^model\.vision_tower\.", "vision_tower."),
        (r"^model\.multi_modal_projector\.", "multi_modal_projector."),
    ),
}
"""From the names in memory to those of the checkpoints on the Hub."""


def new_model(family: Family) -> PreTrainedModel:
    """The family's model with random weights, in fp32."""
    raw = configs.model_config(family)
    config = AutoConfig.for_model(**{k: v for k, v in raw.items() if k != "architectures"})
    model: PreTrainedModel = _CLASSES[family](config)
    return nn.Module.float(model)


def _hub_name(name: str, family: Family) -> str:
    for pattern, new in _RENAMES[family]:
        renamed = re.sub(pattern, new, name)
        if renamed != name:
            return renamed
    return name


def hub_weights(model: PreTrainedModel, family: Family) -> dict[str, torch.Tensor]:
    """The weights under their names on the Hub; the tied output matrix is left out."""
    weights: dict[str, torch.Tensor] = {}
    for name, tensor in model.state_dict().items():
        if name.endswith("lm_head.weight"):
            continue
        weights[_hub_name(name, family)] = tensor.detach().clone().contiguous()
    return weights


def _dump(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def save(model: PreTrainedModel, family: Family, folder: Path) -> None:
    """Write the complete folder: configuration, weights, tokenizer, template, processors."""
    folder.mkdir(parents=True, exist_ok=True)
    _dump(folder / "config.json", configs.model_config(family))
    _dump(folder / "generation_config.json", configs.generation_config(family))
    _dump(folder / "preprocessor_config.json", configs.preprocessor_config(family))
    _dump(folder / "processor_config.json", configs.processor_config(family))
    _dump(folder / "tokenizer_config.json", configs.tokenizer_config(family))
    video = configs.video_preprocessor_config(family)
    if video is not None:
        _dump(folder / "video_preprocessor_config.json", video)
    build().save(str(folder / "tokenizer.json"))
    (folder / "chat_template.jinja").write_text(configs.chat_template(family), encoding="utf-8")
    save_file(hub_weights(model, family), folder / "model.safetensors", metadata={"format": "pt"})
