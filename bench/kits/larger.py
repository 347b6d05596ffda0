"""A Qwen2.5-VL of about 100 M random parameters, with the zoo's tokenizer, image processor and chat template."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import torch
from transformers import CONFIG_MAPPING, AutoModelForImageTextToText

from fourways import zoo

TEXT = {
    "hidden_size": 768, "intermediate_size": 2304, "num_hidden_layers": 12, "num_attention_heads": 12,
    "num_key_value_heads": 4,
}  # fmt: skip
VISION = {"hidden_size": 384, "intermediate_size": 1024, "depth": 8, "num_heads": 6, "out_hidden_size": 768}
FILES = (
    "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "preprocessor_config.json",
    "generation_config.json", "processor_config.json", "video_preprocessor_config.json",
)  # fmt: skip


def write_larger(folder: Path) -> tuple[Path, int]:
    """The checkpoint's folder, and its number of parameters."""
    source = zoo.checkpoint("qwen")
    settings = json.loads((source / "config.json").read_text())
    settings["text_config"] |= TEXT
    settings["vision_config"] |= VISION
    head = TEXT["hidden_size"] // TEXT["num_attention_heads"]
    settings["text_config"]["rope_parameters"]["mrope_section"] = [head // 8, head * 3 // 16, head * 3 // 16]
    config = CONFIG_MAPPING[settings["model_type"]].from_dict(settings)
    torch.manual_seed(7)
    model = AutoModelForImageTextToText.from_config(config, dtype=torch.float32).eval()
    model.save_pretrained(folder)
    for name in FILES:
        shutil.copy(source / name, folder / name)
    return folder, sum(parameter.numel() for parameter in model.parameters())
