"""LLaVA 1.6 in its original layout, on Vicuna, Yi (both Llama) or Mistral, to transformers' LLaVA-NeXT.

The vocabulary grows by a token <image> and up to a multiple of 64 rows. `image_grid_pinpoints` are (width, height)
here and (height, width) there, so each pair is turned round: among grids that fit alike, the first one is taken.

Sources: github.com/haotian-liu/LLaVA, llava/model, llava/mm_utils.py; transformers, models/llava_next.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fourways.core.errors import CheckpointError
from fourways.hub.convert import language_models as llm
from fourways.hub.convert.ends import end_ids
from fourways.hub.convert.files import layer_of, read_optional, section
from fourways.hub.convert.plan import Piece, Rule, Stored
from fourways.hub.convert.recipe import Options, Recipe, add_token, papers, widened
from fourways.hub.convert.sources import Shard, open_shards
from fourways.hub.convert.templates import CHATML_DIRECT, mistral, turns, vicuna
from fourways.hub.convert.tokenizer import Read, read_tokenizer

CONVERTER = "llava_v16@1"
ARCHITECTURES: tuple[str, ...] = ("LlavaLlamaForCausalLM", "LlavaMistralForCausalLM")
IMAGE = "<image>"
VISION_TOWER = "--vision-tower"
_ROWS = 64
_MEAN, _STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
_VISION_KEYS = (
    "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "image_size", "patch_size",
    "hidden_act", "layer_norm_eps", "num_channels", "projection_dim",
)  # fmt: skip
_TOWERS: dict[str, dict[str, Any]] = {
    "openai/clip-vit-large-patch14-336": {
        "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
        "image_size": 336, "patch_size": 14, "hidden_act": "quick_gelu", "layer_norm_eps": 1e-5, "num_channels": 3,
        "projection_dim": 768,
    },
}  # fmt: skip
"""Configurations of vision towers by the name that checkpoints give: theirs is not among LLaVA's own files."""
_IN_LLAVA = "model.vision_tower.vision_tower."
_PROJECTOR = re.compile(r"model\.mm_projector\.([02])\.(weight|bias)")
_TOWER = re.compile(
    r"vision_model\.(embeddings\.(class_embedding|patch_embedding\.weight|position_embedding\.weight)"
    r"|(pre_layrnorm|post_layernorm)\.(weight|bias)"
    r"|encoder\.layers\.\d+\.(layer_norm[12]|mlp\.fc[12]|self_attn\.(q|k|v|out)_proj)\.(weight|bias))"
)
_TOWER_UNNEEDED = re.compile(
    r"vision_model\.embeddings\.position_ids|text_model\..*|(visual|text)_projection\.weight|logit_scale"
)
"""What a whole CLIP checkpoint holds beside the tower, and a buffer that counts from 0."""


def recipe(folder: Path, config: Mapping[str, Any], options: Options) -> Recipe:
    """Raises CheckpointError for what the new layout cannot say, and for missing or damaged files."""
    _check(config)
    kind = "mistral" if "LlavaMistralForCausalLM" in config.get("architectures", ()) else "llama"
    language = llm.plain(kind, config)
    read = read_tokenizer(folder)
    unknown = read.id_of(read.named.get("unk_token", "<unk>"))
    ends = end_ids(folder, read, *((CHATML_DIRECT.stop,) if _speaks_chatml(read) else ()))
    image = add_token(read.tokenizer, IMAGE)
    rows = -(-max(language.vocab_size, image + 1) // _ROWS) * _ROWS
    vision = _vision_config(config, options)
    shards = [
        (shard, _rule(language, rows, unknown)) for shard in open_shards(folder, read_pickles=options.read_pickles)
    ]
    stored = {name for shard, _ in shards for name in shard.tensors}
    tied = language.ties(stored, "")
    if not any(name.startswith(_IN_LLAVA) for name in stored):
        shards += [(shard, _tower_rule("")) for shard in _tower(config, options)]
    pinpoints = _pinpoints(config)
    strategy = "full" if config.get("mm_vision_select_feature") == "cls_patch" else "default"
    settings = {
        "config.json": {
            "architectures": ["LlavaNextForConditionalGeneration"],
            "model_type": "llava_next",
            "dtype": config.get("torch_dtype") or config.get("dtype") or "float16",
            "image_token_index": image,
            "image_grid_pinpoints": pinpoints,
            "image_seq_length": (vision["image_size"] // vision["patch_size"]) ** 2,
            "projector_hidden_act": "gelu",
            "multimodal_projector_bias": True,
            "vision_feature_layer": layer_of(config, "mm_vision_select_layer", -2, vision["num_hidden_layers"]),
            "vision_feature_select_strategy": strategy,
            "tie_word_embeddings": tied,
            "text_config": language.config | {"vocab_size": rows, "tie_word_embeddings": tied},
            "vision_config": vision,
        },
        "generation_config.json": {"eos_token_id": ends, "do_sample": False},
        "preprocessor_config.json": _image_processor(int(vision["image_size"]), pinpoints),
        "processor_config.json": {
            "processor_class": "LlavaNextProcessor",
            "image_token": IMAGE,
            "num_additional_image_tokens": 1,
            "patch_size": vision["patch_size"],
            "vision_feature_select_strategy": strategy,
        },
        "tokenizer_config.json": _tokenizer_config(read, language.context),
    }
    return Recipe(
        CONVERTER, "llava_v1.6", shards, settings, papers(folder), read.tokenizer, _template(kind, read), IMAGE
    )


def _check(config: Mapping[str, Any]) -> None:
    expected = {
        "mm_projector_type": ("mlp2x_gelu",),
        "mm_patch_merge_type": ("spatial_unpad",),
        "image_aspect_ratio": ("anyres",),
        "mm_vision_select_feature": ("patch", "cls_patch", None),
        "mm_use_im_start_end": (False, None),
    }
    wrong = [f"{name} is {config.get(name)!r}" for name, known in expected.items() if config.get(name) not in known]
    if wrong:
        raise CheckpointError(
            f"config.json: {', '.join(wrong)}; that is not LLaVA 1.6 (LLaVA-NeXT)",
            hint=f"expected {', '.join(f'{name} {known[0]}' for name, known in expected.items())}",
        )


def _speaks_chatml(read: Read) -> bool:
    return read.tokenizer.token_to_id("<|im_start|>") is not None


def _template(kind: str, read: Read) -> str:
    """The original encodes each side of a picture as a text of its own, so SentencePiece's space stands behind it even
    where control tokens inside a text have none; and at the beginning."""
    space = "" if read.every_part else " "
    image = f"{IMAGE}{space}\n"
    if _speaks_chatml(read):
        return turns(CHATML_DIRECT, read.begin, image)
    begin = f"{read.begin}{space}" if read.begin else ""
    return mistral(begin, image) if kind == "mistral" else vicuna(begin, image)


def _pinpoints(config: Mapping[str, Any]) -> list[list[int]]:
    """(height, width) each. Some checkpoints hold the list as text."""
    given = config.get("image_grid_pinpoints")
    try:
        given = ast.literal_eval(given) if isinstance(given, str) else given
        turned = [[int(height), int(width)] for width, height in given or ()]
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError) as error:
        raise CheckpointError(f"config.json: image_grid_pinpoints is no list of sizes: {given!r:.80}") from error
    if not turned or any(side < 1 for pair in turned for side in pair):
        raise CheckpointError(
            "config.json has no image_grid_pinpoints", hint="use the config.json of the published model"
        )
    return turned


# -- the vision tower ------------------------------------------------------------------------------------------------
def _vision_config(config: Mapping[str, Any], options: Options) -> dict[str, Any]:
    named = config.get("mm_vision_tower")
    if options.vision_tower is not None:
        folder = options.vision_tower
        own = read_optional(folder, "config.json")
        given = section(own, "vision_config", folder) if "vision_config" in own else own
    elif str(named) in _TOWERS:
        given = _TOWERS[str(named)]
    else:
        raise CheckpointError(
            f"config.json names the vision tower {named!r}, whose configuration is not known",
            hint=f"fetch that CLIP checkpoint and add {VISION_TOWER} FOLDER",
        )
    from transformers import CLIPVisionConfig

    full = CLIPVisionConfig(**{name: given[name] for name in _VISION_KEYS if name in given}).to_dict()
    return {"model_type": "clip_vision_model"} | {name: full[name] for name in _VISION_KEYS}


def _tower(config: Mapping[str, Any], options: Options) -> list[Shard]:
    if options.vision_tower is None:
        raise CheckpointError(
            f"the checkpoint holds no vision tower; it was trained on {config.get('mm_vision_tower')!r} as it is",
            hint=f"fetch that CLIP checkpoint and add {VISION_TOWER} FOLDER",
        )
    return open_shards(options.vision_tower, read_pickles=options.read_pickles)


def _tower_rule(prefix: str) -> Rule:
    def rule(name: str, stored: Stored) -> tuple[Piece, ...] | None:
        own = name.removeprefix(prefix)
        if _TOWER_UNNEEDED.fullmatch(own):
            return ()
        return (Piece(f"vision_tower.{own}"),) if _TOWER.fullmatch(own) else None

    return rule


# -- tensors and small files -----------------------------------------------------------------------------------------
def _rule(language: llm.Language, rows: int, like: int) -> Rule:
    """rows: of the new vocabulary; like: the token whose row new ones copy."""
    tower = _tower_rule(_IN_LLAVA)

    def rule(name: str, stored: Stored) -> tuple[Piece, ...] | None:
        if name.startswith(_IN_LLAVA):
            return tower(name, stored)
        if name == "model.image_newline":
            return (Piece("image_newline"),)
        if match := _PROJECTOR.fullmatch(name):
            return (Piece(f"multi_modal_projector.linear_{1 if match[1] == '0' else 2}.{match[2]}"),)
        found = language.rule(name, stored)
        if found is None or not found:
            return found
        if name in llm.VOCABULARY:
            return (widened(f"language_model.{name}", stored, language.vocab_size, rows, like),)
        return tuple(Piece(f"language_model.{piece.name}", piece.rows) for piece in found)

    return rule


def _image_processor(side: int, pinpoints: list[list[int]]) -> dict[str, Any]:
    return {
        "do_resize": True, "do_rescale": True, "do_normalize": True, "do_convert_rgb": True, "do_center_crop": True,
        "do_pad": True, "resample": 3, "rescale_factor": 1 / 255, "image_mean": list(_MEAN), "image_std": list(_STD),
        "size": {"shortest_edge": side}, "crop_size": {"height": side, "width": side},
        "image_grid_pinpoints": pinpoints, "image_processor_type": "LlavaNextImageProcessor",
        "processor_class": "LlavaNextProcessor",
    }  # fmt: skip


def _tokenizer_config(read: Read, context: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "processor_class": "LlavaNextProcessor",
        "clean_up_tokenization_spaces": False,
        **read.named,
        "model_max_length": read.context or context,
        "padding_side": "left",
        "extra_special_tokens": {"image_token": IMAGE},
        "image_token": IMAGE,
    }
