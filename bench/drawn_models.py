"""Models of random shape, of every family, small enough to run on a CPU: what `memory_prediction.py` is judged on.

A shape is a shipped configuration whose sizes were drawn anew, written with its tokenizer's settings into a folder.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from fourways.core.candidate import Checkpoint
from fourways.hub import look_at_config, shipped_configs

BASES = {
    "qwen-vl": ("Qwen2-VL-2B-Instruct", "Qwen2.5-VL-3B-Instruct", "Qwen3-VL-2B-Instruct"),
    "llava-next": ("llava-v1.6-vicuna-7b-hf", "llava-v1.6-mistral-7b-hf"),
    "internvl": ("InternVL3-1B-hf", "InternVL3-8B-hf"),
}


@dataclass(frozen=True)
class Drawn:
    """One configuration and the requests that it is asked."""

    family: str
    base: str
    checkpoint: Checkpoint
    image: tuple[int, int]
    batch: int
    new_tokens: int
    rank: int


def draw(family: str, count: int, seed: int, folder: Path) -> list[Drawn]:
    """`count` configurations; the same seed draws the same."""
    rng = Random(f"{family} {seed}")
    return [_one(rng, family, folder / f"{family}-{number}") for number in range(count)]


def _one(rng: Random, family: str, folder: Path) -> Drawn:
    base = rng.choice(BASES[family])
    shutil.copytree(shipped_configs()[base], folder)
    config = json.loads((folder / "config.json").read_text())
    processor = json.loads((folder / "preprocessor_config.json").read_text())
    width = _language(rng, config["text_config"])
    {"qwen-vl": _qwen, "llava-next": _llava, "internvl": _internvl}[family](rng, config, processor, width)
    config["tie_word_embeddings"] = config["text_config"]["tie_word_embeddings"] = rng.random() < 0.5
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return Drawn(
        family=family,
        base=base,
        checkpoint=look_at_config(folder),
        image=(rng.randint(60, 640), rng.randint(60, 640)),
        batch=rng.randint(1, 4),
        new_tokens=rng.randint(2, 24),
        rank=rng.choice([4, 8, 16]),
    )


def _language(rng: Random, text: dict[str, Any]) -> int:
    """Sizes of the language model; its width."""
    head_dim, groups, kv_heads = rng.choice([32, 64, 128]), rng.choice([1, 2, 3, 4]), rng.choice([1, 2])
    heads = groups * kv_heads
    text |= {"num_attention_heads": heads, "num_key_value_heads": kv_heads, "hidden_size": heads * head_dim}
    if "head_dim" in text:  # Qwen3: the heads' width is its own
        text |= {"head_dim": head_dim, "hidden_size": rng.choice([64, 96, 192])}
    text |= {"intermediate_size": rng.randrange(64, 513, 8), "num_hidden_layers": rng.randint(1, 6)}
    if "mrope_section" in text["rope_parameters"]:
        text["rope_parameters"]["mrope_section"] = [head_dim // 8, head_dim * 3 // 16, head_dim * 3 // 16]
    return int(text["hidden_size"])


def _qwen(rng: Random, config: dict[str, Any], processor: dict[str, Any], width: int) -> None:
    vision, patch, depth = config["vision_config"], rng.choice([8, 14, 16]), rng.randint(2, 6)
    heads, head_dim = rng.choice([1, 2, 4]), rng.choice([32, 64, 80])
    inner = heads * head_dim
    vision |= {"depth": depth, "num_heads": heads, "patch_size": patch}
    if "embed_dim" in vision:  # Qwen2-VL calls its own width so, and the language model's hidden_size
        vision |= {"embed_dim": inner, "hidden_size": width, "mlp_ratio": rng.choice([2, 4])}
    else:
        vision |= {"hidden_size": inner, "out_hidden_size": width, "intermediate_size": rng.randrange(64, 513, 8)}
    if "window_size" in vision:
        vision |= {"window_size": patch * 2 * rng.choice([2, 4]), "fullatt_block_indexes": [depth - 1]}
    if "deepstack_visual_indexes" in vision:
        vision["deepstack_visual_indexes"] = sorted(rng.sample(range(depth), rng.randint(1, min(depth, 3))))
        config["text_config"]["num_hidden_layers"] += 3  # one for each level at least
    factor = 2 * patch
    processor |= {"patch_size": patch, "size": {"shortest_edge": 4 * factor**2, "longest_edge": 1024 * factor**2}}


def _llava(rng: Random, config: dict[str, Any], processor: dict[str, Any], width: int) -> None:
    patch, heads = rng.choice([14, 16, 28]), rng.choice([1, 2, 4])
    tile = patch * rng.choice([4, 8, 12])
    grids = [[tile, 2 * tile], [2 * tile, tile], [2 * tile, 2 * tile], [3 * tile, tile], [tile, 3 * tile]]
    config["image_grid_pinpoints"] = processor["image_grid_pinpoints"] = grids
    config["vision_config"] |= {
        "hidden_size": heads * rng.choice([32, 64]),
        "intermediate_size": rng.randrange(64, 513, 8),
        "num_hidden_layers": rng.randint(2, 6),
        "num_attention_heads": heads,
        "image_size": tile,
        "patch_size": patch,
    }
    processor |= {"size": {"shortest_edge": tile}, "crop_size": {"height": tile, "width": tile}}


def _internvl(rng: Random, config: dict[str, Any], processor: dict[str, Any], width: int) -> None:
    patch, heads, side = rng.choice([14, 16, 28]), rng.choice([1, 2, 4]), rng.choice([4, 8, 16])
    tile = patch * side
    config["image_seq_length"] = (side // 2) ** 2
    config["vision_config"] |= {
        "hidden_size": heads * rng.choice([32, 64]),
        "intermediate_size": rng.randrange(64, 513, 8),
        "num_hidden_layers": rng.randint(1, 6),
        "num_attention_heads": heads,
        "image_size": [tile, tile],
        "patch_size": [patch, patch],
    }
    processor |= {"size": {"height": tile, "width": tile}, "max_patches": rng.randint(1, 12)}
