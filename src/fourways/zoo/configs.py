"""The three architectures' configurations, processors and templates, as they stand in the checkpoints' files."""

from __future__ import annotations

from typing import Any

from .prompts import Family
from .tokens import END, PAD, build, token_id

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]
IMAGENET_MEAN = [0.485, 0.456, 0.406]
IMAGENET_STD = [0.229, 0.224, 0.225]

WIDTH = 128
TILE = 56
"""The side of a tile in px (LLaVA-NeXT, InternVL)."""
PINPOINTS = [[56, 112], [112, 56], [112, 112], [56, 168], [168, 56]]
MAX_TILES = 4


def _id(token: str) -> int:
    return token_id(build(), token)


def text_config(family: Family) -> dict[str, Any]:
    """The language model's configuration: the same in all three, but for the rotary positions of Qwen2.5-VL."""
    rope: dict[str, Any] = {"rope_type": "default", "rope_theta": 10000.0}
    if family == "qwen":
        rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]}
    return {
        "model_type": "qwen2_5_vl_text" if family == "qwen" else "qwen2",
        "vocab_size": build().get_vocab_size(),
        "hidden_size": WIDTH,
        "intermediate_size": 352,
        "num_hidden_layers": 5,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_act": "silu",
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "rope_parameters": rope,
        "tie_word_embeddings": True,
        "bos_token_id": None,
        "eos_token_id": _id(END),
        "pad_token_id": _id(PAD),
        "dtype": "float32",
    }


def model_config(family: Family) -> dict[str, Any]:
    """``config.json``."""
    common: dict[str, Any] = {
        "tie_word_embeddings": True,
        "dtype": "float32",
        "bos_token_id": None,
        "eos_token_id": _id(END),
        "pad_token_id": _id(PAD),
        "text_config": text_config(family),
    }
    if family == "qwen":
        return common | {
            "architectures": ["Qwen2_5_VLForConditionalGeneration"],
            "model_type": "qwen2_5_vl",
            "image_token_id": _id("<|image_pad|>"),
            "video_token_id": _id("<|video_pad|>"),
            "vision_start_token_id": _id("<|vision_start|>"),
            "vision_end_token_id": _id("<|vision_end|>"),
            "vision_config": {
                "model_type": "qwen2_5_vl_vision",
                "depth": 3,
                "hidden_size": 96,
                "intermediate_size": 192,
                "hidden_act": "silu",
                "num_heads": 3,
                "in_channels": 3,
                "patch_size": 14,
                "spatial_merge_size": 2,
                "temporal_patch_size": 2,
                "tokens_per_second": 2,
                "window_size": 56,
                "fullatt_block_indexes": [2],
                "out_hidden_size": WIDTH,
            },
        }
    if family == "llava":
        return common | {
            "architectures": ["LlavaNextForConditionalGeneration"],
            "model_type": "llava_next",
            "image_token_index": _id("<image>"),
            "image_grid_pinpoints": PINPOINTS,
            "projector_hidden_act": "gelu",
            "multimodal_projector_bias": True,
            "vision_feature_layer": -2,
            "vision_feature_select_strategy": "default",
            "vision_config": {
                "model_type": "clip_vision_model",
                "hidden_size": 96,
                "intermediate_size": 256,
                "hidden_act": "quick_gelu",
                "num_hidden_layers": 4,
                "num_attention_heads": 3,
                "num_channels": 3,
                "image_size": TILE,
                "patch_size": 28,
                "projection_dim": 96,
            },
        }
    return common | {
        "architectures": ["InternVLForConditionalGeneration"],
        "model_type": "internvl",
        "image_token_id": _id("<IMG_CONTEXT>"),
        "image_seq_length": 4,
        "downsample_ratio": 0.5,
        "projector_hidden_act": "gelu",
        "vision_feature_layer": -1,
        "vision_feature_select_strategy": "default",
        "vision_config": {
            "model_type": "internvl_vision",
            "hidden_size": 96,
            "intermediate_size": 256,
            "hidden_act": "gelu",
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "attention_bias": True,
            "num_channels": 3,
            "image_size": [TILE, TILE],
            "patch_size": [14, 14],
            "norm_type": "layer_norm",
            "use_absolute_position_embeddings": True,
            "use_mask_token": False,
            "use_mean_pooling": True,
            "layer_scale_init_value": 1.0,
        },
    }


def image_processor(family: Family) -> dict[str, Any]:
    """The image processor's part of ``preprocessor_config.json``; its keys are what the image processor class takes."""
    common: dict[str, Any] = {
        "do_resize": True,
        "do_rescale": True,
        "do_normalize": True,
        "do_convert_rgb": True,
        "resample": 3,
        "rescale_factor": 1 / 255,
        "image_mean": IMAGENET_MEAN if family == "internvl" else CLIP_MEAN,
        "image_std": IMAGENET_STD if family == "internvl" else CLIP_STD,
    }
    if family == "qwen":
        return common | {
            "size": {"shortest_edge": 28 * 28 * 4, "longest_edge": 28 * 28 * 64},
            "min_pixels": 28 * 28 * 4,
            "max_pixels": 28 * 28 * 64,
            "patch_size": 14,
            "temporal_patch_size": 2,
            "merge_size": 2,
        }
    if family == "llava":
        return common | {
            "size": {"shortest_edge": TILE},
            "crop_size": {"height": TILE, "width": TILE},
            "do_center_crop": True,
            "do_pad": True,
            "image_grid_pinpoints": PINPOINTS,
        }
    return common | {
        "size": {"height": TILE, "width": TILE},
        "crop_to_patches": True,
        "min_patches": 1,
        "max_patches": MAX_TILES,
    }


_CLASSES: dict[Family, tuple[str, str]] = {
    "qwen": ("Qwen2VLImageProcessor", "Qwen2_5_VLProcessor"),
    "llava": ("LlavaNextImageProcessor", "LlavaNextProcessor"),
    "internvl": ("GotOcr2ImageProcessor", "InternVLProcessor"),
}


def preprocessor_config(family: Family) -> dict[str, Any]:
    """``preprocessor_config.json``."""
    image_class, processor_class = _CLASSES[family]
    return image_processor(family) | {"image_processor_type": image_class, "processor_class": processor_class}


def video_preprocessor_config(family: Family) -> dict[str, Any] | None:
    """``video_preprocessor_config.json``, where the family has one."""
    if family == "llava":
        return None
    config = {
        k: v for k, v in image_processor(family).items() if k not in ("crop_to_patches", "min_patches", "max_patches")
    }
    name = "Qwen2VLVideoProcessor" if family == "qwen" else "InternVLVideoProcessor"
    return config | {"video_processor_type": name, "processor_class": _CLASSES[family][1]}


def processor_config(family: Family) -> dict[str, Any]:
    """``processor_config.json``."""
    config: dict[str, Any] = {"processor_class": _CLASSES[family][1]}
    if family == "llava":
        config |= {
            "image_token": "<image>",
            "num_additional_image_tokens": 1,
            "patch_size": 28,
            "vision_feature_select_strategy": "default",
        }
    if family == "internvl":
        config |= {"image_seq_length": 4}
    return config


def tokenizer_config(family: Family) -> dict[str, Any]:
    """``tokenizer_config.json``."""
    config: dict[str, Any] = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "processor_class": _CLASSES[family][1],
        "clean_up_tokenization_spaces": False,
        "eos_token": END,
        "pad_token": PAD,
        "model_max_length": 4096,
        "padding_side": "left",
    }
    if family == "internvl":
        named = {
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        }
        config |= {"extra_special_tokens": named, **named}
    return config


def generation_config(family: Family) -> dict[str, Any]:
    """``generation_config.json``: greedy."""
    return {"do_sample": False, "eos_token_id": _id(END), "pad_token_id": _id(PAD)}


_IMAGE_IN_TEMPLATE: dict[Family, tuple[str, str]] = {
    "qwen": ("<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>"),
    "llava": ("<image>\\n", "<video>\\n"),
    "internvl": ("<IMG_CONTEXT>\\n", "<video>\\n"),
}


def chat_template(family: Family) -> str:
    """``chat_template.jinja``: ChatML, without a system turn unless one is given."""
    image, video = _IMAGE_IN_TEMPLATE[family]
    return (
        "{%- for message in messages -%}"
        "{{- '<|im_start|>' + message['role'] + '\\n' -}}"
        "{%- if message['content'] is string -%}{{- message['content'] -}}"
        "{%- else -%}{%- for part in message['content'] -%}"
        "{%- if part['type'] in ('image', 'image_url') or 'image' in part -%}{{- '" + image + "' -}}"
        "{%- elif part['type'] in ('video', 'video_url') or 'video' in part -%}{{- '" + video + "' -}}"
        "{%- elif 'text' in part -%}{{- part['text'] -}}{%- endif -%}"
        "{%- endfor -%}{%- endif -%}"
        "{{- '<|im_end|>\\n' -}}"
        "{%- endfor -%}"
        "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
    )
