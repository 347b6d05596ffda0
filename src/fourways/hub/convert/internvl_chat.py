"""InternVL 2, 2.5 and 3 in their original layout (`internvl_chat`), to transformers' InternVL.

The vision tower's fused qkv is cut in three; InternLM2's wqkv holds, for each head of keys and values, the rows of its
queries, then of the key, then of the value; everything else changes its name only. InternLM2 computes as Llama does.

Sources: github.com/OpenGVLab/InternVL, internvl_chat/internvl/model; transformers, models/internvl.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fourways.core.errors import CheckpointError
from fourways.hub.convert import language_models as llm
from fourways.hub.convert.conversation_file import own_message
from fourways.hub.convert.ends import end_ids
from fourways.hub.convert.files import layer_of, number, section
from fourways.hub.convert.plan import Piece, Rule, Stored
from fourways.hub.convert.recipe import Options, Recipe, add_token, papers, widened
from fourways.hub.convert.sources import open_shards
from fourways.hub.convert.templates import IMAGE, VIDEO, Form, find_form, turns
from fourways.hub.convert.tokenizer import Read, read_tokenizer

CONVERTER = "internvl_chat@1"
ARCHITECTURES: tuple[str, ...] = ("InternVLChatModel",)
START, END = "<img>", "</img>"
_VISION_DEFAULTS: dict[str, Any] = {
    "num_channels": 3, "patch_size": 14, "image_size": 224, "qkv_bias": False, "hidden_size": 3200,
    "num_attention_heads": 25, "intermediate_size": 12800, "qk_normalization": True, "num_hidden_layers": 48,
    "hidden_act": "gelu", "norm_type": "rms_norm", "layer_norm_eps": 1e-6, "initializer_range": 0.02,
}  # fmt: skip
"""What InternVisionConfig assumes where config.json says nothing."""
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_NAMES = (
    (r"vision_model\.embeddings\.class_embedding", "vision_tower.embeddings.cls_token"),
    (r"vision_model\.embeddings\.position_embedding", "vision_tower.embeddings.position_embeddings"),
    (r"vision_model\.embeddings\.patch_embedding\.(weight|bias)",
     r"vision_tower.embeddings.patch_embeddings.projection.\1"),
    (r"vision_model\.encoder\.layers\.(\d+)\.ls([12])", r"vision_tower.encoder.layer.\1.lambda_\2"),
    (r"vision_model\.encoder\.layers\.(\d+)\.norm1\.(weight|bias)",
     r"vision_tower.encoder.layer.\1.layernorm_before.\2"),
    (r"vision_model\.encoder\.layers\.(\d+)\.norm2\.(weight|bias)",
     r"vision_tower.encoder.layer.\1.layernorm_after.\2"),
    (r"vision_model\.encoder\.layers\.(\d+)\.attn\.proj\.(weight|bias)",
     r"vision_tower.encoder.layer.\1.attention.projection_layer.\2"),
    (r"vision_model\.encoder\.layers\.(\d+)\.attn\.([qk]_norm)\.weight",
     r"vision_tower.encoder.layer.\1.attention.\2.weight"),
    (r"vision_model\.encoder\.layers\.(\d+)\.mlp\.(fc[12])\.(weight|bias)", r"vision_tower.encoder.layer.\1.mlp.\2.\3"),
    (r"mlp1\.0\.(weight|bias)", r"multi_modal_projector.layer_norm.\1"),
    (r"mlp1\.1\.(weight|bias)", r"multi_modal_projector.linear_1.\1"),
    (r"mlp1\.3\.(weight|bias)", r"multi_modal_projector.linear_2.\1"),
)  # fmt: skip
_RENAMED = tuple((re.compile(pattern), name) for pattern, name in _NAMES)
_VISION_QKV = re.compile(r"vision_model\.encoder\.layers\.(\d+)\.attn\.qkv\.(weight|bias)")
_LANGUAGE = "language_model."
_MOST_TILES = 256


def recipe(folder: Path, config: Mapping[str, Any], options: Options) -> Recipe:
    """Raises CheckpointError for what the new layout cannot say, and for missing or damaged files."""
    _check(config)
    language = llm.read(section(config, "llm_config", folder))
    vision = _vision_config(section(config, "vision_config", folder), config)
    form = _form(folder, config)
    read = read_tokenizer(folder)
    image, ends = read.id_of(IMAGE), end_ids(folder, read, form.stop)
    rows = max(language.vocab_size, add_token(read.tokenizer, VIDEO) + 1)
    rule = _rule(language, rows, read.id_of(START))
    shards = [(shard, rule) for shard in open_shards(folder, read_pickles=options.read_pickles)]
    tied = language.ties({name for shard, _ in shards for name in shard.tensors}, _LANGUAGE)
    side, ratio = vision["image_size"][0], _ratio(config)
    tokens = int((side // vision["patch_size"][0]) ** 2 * ratio**2)
    settings = {
        "config.json": {
            "architectures": ["InternVLForConditionalGeneration"],
            "model_type": "internvl",
            "dtype": config.get("torch_dtype") or config.get("dtype") or "bfloat16",
            "image_token_id": image,
            "image_seq_length": tokens,
            "downsample_ratio": ratio,
            "projector_hidden_act": "gelu",
            "vision_feature_layer": layer_of(config, "select_layer", -1, vision["num_hidden_layers"]),
            "vision_feature_select_strategy": "default",
            "tie_word_embeddings": tied,
            "text_config": language.config | {"vocab_size": rows, "tie_word_embeddings": tied},
            "vision_config": vision,
        },
        "generation_config.json": {"eos_token_id": ends, "do_sample": False},
        "preprocessor_config.json": _image_processor(config, side),
        "video_preprocessor_config.json": _video_processor(side),
        "processor_config.json": {"processor_class": "InternVLProcessor", "image_seq_length": tokens},
        "tokenizer_config.json": _tokenizer_config(read, language.context),
    }
    template = turns(form, read.begin, f"{IMAGE}\n", f"{VIDEO}\n")
    return Recipe(CONVERTER, "internvl_chat", shards, settings, papers(folder), read.tokenizer, template, IMAGE)


def _form(folder: Path, config: Mapping[str, Any]) -> Form:
    """With the checkpoint's own system message, where it brings one."""
    name, message = config.get("template"), config.get("system_message")
    return find_form(name, own_message(folder, name) if message is None else message)


def _check(config: Mapping[str, Any]) -> None:
    """What transformers' InternVL has no setting for."""
    stops = (
        (config.get("ps_version", "v1") != "v2", "ps_version is not v2: rows and columns of visual tokens are swapped"),
        (bool(config.get("use_backbone_lora")) or bool(config.get("use_llm_lora")), "its weights hold LoRA adapters"),
        (bool(config.get("pad2square")), "pad2square: images are padded to squares"),
        (bool(config.get("dynamic_image_size")) and not config.get("use_thumbnail"), "tiles come without a thumbnail"),
    )
    if wrong := [reason for found, reason in stops if found]:
        raise CheckpointError(
            f"config.json: {'; '.join(wrong)}; transformers' InternVL knows no such model",
            hint="merge adapters with the original repository's tools, or serve this checkpoint where its code runs",
        )


def _vision_config(given: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, Any]:
    vision = _VISION_DEFAULTS | {name: given[name] for name in _VISION_DEFAULTS if name in given}
    side, patch = number(vision, "image_size", "vision_config."), number(vision, "patch_size", "vision_config.")
    forced = config.get("force_image_size") or side
    if forced != side:
        raise CheckpointError(
            f"config.json: tiles of {forced} pixels (force_image_size), but positions for {side}; no rule resizes them",
        )
    if vision["qk_normalization"] and vision["layer_norm_eps"] != 1e-6:
        raise CheckpointError("config.json: queries and keys are normalised with an epsilon other than 1e-6")
    kept = ("num_channels", "hidden_size", "num_attention_heads", "intermediate_size", "num_hidden_layers")
    same = {name: vision[name] for name in (*kept, "hidden_act", "norm_type", "layer_norm_eps", "initializer_range")}
    return {
        "model_type": "internvl_vision",
        **same,
        "image_size": [side, side],
        "patch_size": [patch, patch],
        "attention_bias": bool(vision["qkv_bias"]),
        "use_qk_norm": bool(vision["qk_normalization"]),
        "use_absolute_position_embeddings": True,
        "use_mask_token": False,
        "use_mean_pooling": True,
    }


def _ratio(config: Mapping[str, Any]) -> float:
    """Of a side after a pixel shuffle to the side before."""
    ratio = float(config.get("downsample_ratio", 0.5))
    if not (0 < ratio <= 1 and (1 / ratio).is_integer()):
        raise CheckpointError(f"config.json: downsample_ratio is {ratio}, expected 1, 1/2, 1/3, …")
    return ratio


def _image_processor(config: Mapping[str, Any], side: int) -> dict[str, Any]:
    least, most = 1, 1
    if config.get("dynamic_image_size", False):
        least, most = int(config.get("min_dynamic_patch", 1)), int(config.get("max_dynamic_patch", 6))
    if not 1 <= least <= most <= _MOST_TILES:
        raise CheckpointError(f"config.json: from {least} to {most} tiles (min_ and max_dynamic_patch)")
    return _pixels(side) | {
        "crop_to_patches": True,
        "min_patches": least,
        "max_patches": most,
        "image_processor_type": "GotOcr2ImageProcessor",
    }


def _video_processor(side: int) -> dict[str, Any]:
    return _pixels(side) | {"video_processor_type": "InternVLVideoProcessor"}


def _pixels(side: int) -> dict[str, Any]:
    return {
        "do_resize": True, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True,
        "resample": 3, "rescale_factor": 1 / 255, "image_mean": list(_MEAN), "image_std": list(_STD),
        "size": {"height": side, "width": side}, "processor_class": "InternVLProcessor",
    }  # fmt: skip


def _tokenizer_config(read: Read, context: int) -> dict[str, Any]:
    named = {"start_image_token": START, "end_image_token": END, "context_image_token": IMAGE, "video_token": VIDEO}
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "processor_class": "InternVLProcessor",
        "clean_up_tokenization_spaces": False,
        **read.named,
        "model_max_length": read.context or context,
        "padding_side": "left",
        "extra_special_tokens": named,
        **named,
    }


def _rule(language: llm.Language, rows: int, like: int) -> Rule:
    """rows: of the new vocabulary; like: the token whose row new ones copy."""

    def rule(name: str, stored: Stored) -> tuple[Piece, ...] | None:
        if name.startswith(_LANGUAGE):
            found = language.rule(name.removeprefix(_LANGUAGE), stored)
            if found is None:
                return None
            named = tuple(Piece(_LANGUAGE + piece.name, piece.rows) for piece in found)
            if named and found[0].name in llm.VOCABULARY:
                return (widened(named[0].name, stored, language.vocab_size, rows, like),)
            return named
        if match := _VISION_QKV.fullmatch(name):
            return _thirds(match[1], match[2], stored)
        for pattern, new in _RENAMED:
            if match := pattern.fullmatch(name):
                return (Piece(match.expand(new)),)
        return None

    return rule


def _thirds(layer: str, kind: str, stored: Stored) -> tuple[Piece, ...]:
    third, rest = divmod(stored.rows, 3)
    if rest:
        raise CheckpointError(
            f"the qkv of vision layer {layer} has {stored.rows} rows, which are not three times as many"
        )
    prefix = f"vision_tower.encoder.layer.{layer}.attention."
    return tuple(
        Piece(f"{prefix}{part}_proj.{kind}", ((index * third, (index + 1) * third),))
        for index, part in enumerate("qkv")
    )
