"""What is known of each architecture beforehand: its classes, its family, the names of its tensors, what it needs.

Held by tests: families and LoRA targets are those of the families' cards, and every tensor of every class that the
installed transformers has falls into a part. The least versions are the first releases whose wheel on PyPI holds the
class and was not withdrawn (4.46.0 and 4.57.0 were).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fourways.core.manifest import Architecture, HotSwap, Layout, Modality, Part

Prefixes = Mapping[str, Part]
"""Beginning of a tensor's name → the part it belongs to; the longest that fits decides."""

SAFETENSORS, ORIGINAL, PICKLED = "safetensors", "safetensors-original", "bin"
"""Forms of weights: in the layout that transformers loads, in the authors' own, and pickled."""


@dataclass(frozen=True, slots=True)
class Known:
    """One architecture.

    classes, original: names in config.json, in the layout that transformers loads and in the authors' own. family: the
    entry point of `fourways.families` that loads `classes`. transformers: the least release that has the class; None:
    none has. formats: the forms of weights that Fourways takes; empty without a family. parts: of both layouts, and of
    transformers before and after 4.52, which moved the towers below `model.`. lora_targets: the family's "llm".
    vision: what vision_config must call itself, where a class alone does not tell.
    """

    name: Architecture
    classes: tuple[str, ...]
    transformers: str | None
    parts: Prefixes
    modalities: tuple[Modality, ...] = ("text", "image")
    original: tuple[str, ...] = ()
    family: str | None = None
    formats: tuple[str, ...] = ()
    lora_targets: str | None = None
    vision: str | None = None

    @property
    def hot_swap(self) -> HotSwap:
        """The local engine changes adapters between requests, for every family."""
        return "none" if self.family is None else "adapters"


# -- names of tensors ------------------------------------------------------------------------------------------------
_QWEN: Prefixes = {
    "visual.": "vision_tower",
    "visual.merger.": "connector",
    "visual.deepstack_merger_list.": "connector",
    "model.": "language_model",
    "model.visual.": "vision_tower",
    "model.visual.merger.": "connector",
    "model.visual.deepstack_merger_list.": "connector",
    "lm_head.": "language_model",
}
_LLAVA: Prefixes = {
    "vision_tower.": "vision_tower",
    "multi_modal_projector.": "connector",
    "image_newline": "connector",
    "language_model.": "language_model",
    "model.": "language_model",
    "model.vision_tower.": "vision_tower",
    "model.multi_modal_projector.": "connector",
    "model.mm_projector.": "connector",
    "model.image_newline": "connector",
    "lm_head.": "language_model",
}
_INTERNVL: Prefixes = {**_LLAVA, "vision_model.": "vision_tower", "mlp1.": "connector"}
_MLLAMA: Prefixes = {**_LLAVA, "vision_model.": "vision_tower", "model.vision_model.": "vision_tower"}
_IDEFICS: Prefixes = {
    "model.vision_model.": "vision_tower",
    "model.connector.": "connector",
    "model.text_model.": "language_model",
    "lm_head.": "language_model",
}
_PHI3_V: Prefixes = {
    "model.": "language_model",
    "model.vision_embed_tokens.": "connector",
    "model.vision_embed_tokens.img_processor.": "vision_tower",
    "lm_head.": "language_model",
}
_QWEN_AUDIO: Prefixes = {
    "audio_tower.": "audio_tower",
    "multi_modal_projector.": "connector",
    "language_model.": "language_model",
    "model.audio_tower.": "audio_tower",
    "model.multi_modal_projector.": "connector",
    "model.language_model.": "language_model",
    "lm_head.": "language_model",
}
_OMNI: Prefixes = {
    "thinker.model.": "language_model",
    "thinker.lm_head.": "language_model",
    "thinker.visual.": "vision_tower",
    "thinker.visual.merger.": "connector",
    "thinker.audio_tower.": "audio_tower",
    "thinker.audio_tower.proj.": "connector",
    "thinker.model.visual.": "vision_tower",
    "thinker.model.visual.merger.": "connector",
    "thinker.model.audio_tower.": "audio_tower",
    "thinker.model.audio_tower.proj.": "connector",
}
_WHISPER: Prefixes = {
    "model.encoder.": "audio_tower",
    "model.decoder.": "language_model",
    "proj_out.": "language_model",
}
ANY_PARTS: Prefixes = {**_QWEN, **_LLAVA, **_QWEN_AUDIO, "vision_model.": "vision_tower", "mlp1.": "connector"}
"""For a class that has no entry: what most architectures call their parts."""

_LLM = r"^model\.language_model\.layers\.\d+\.(self_attn\.(q|k|v|o)|mlp\.(gate|up|down))_proj$"
_LLM_OR_FUSED = r"^model\.language_model\.layers\.\d+\.(self_attn\.(q|k|v|qkv|o)|mlp\.(gate|up|gate_up|down))_proj$"
"""With Phi-3 inside as well."""
_VIDEO: tuple[Modality, ...] = ("text", "image", "video")

KNOWN: tuple[Known, ...] = (
    Known(
        "qwen2-vl", ("Qwen2VLForConditionalGeneration",), "4.45.0", _QWEN, _VIDEO,
        family="qwen-vl", formats=(SAFETENSORS, PICKLED), lora_targets=_LLM,
    ),
    Known(
        "qwen2.5-vl", ("Qwen2_5_VLForConditionalGeneration",), "4.49.0", _QWEN, _VIDEO,
        family="qwen-vl", formats=(SAFETENSORS, PICKLED), lora_targets=_LLM,
    ),
    Known(
        "qwen3-vl", ("Qwen3VLForConditionalGeneration",), "4.57.1", _QWEN, _VIDEO,
        family="qwen-vl", formats=(SAFETENSORS, PICKLED), lora_targets=_LLM,
    ),
    Known("pixtral", ("LlavaForConditionalGeneration",), "4.45.0", _LLAVA, vision="pixtral"),
    Known(
        "llava-next", ("LlavaNextForConditionalGeneration",), "4.39.0", _LLAVA, _VIDEO,
        original=("LlavaLlamaForCausalLM", "LlavaMistralForCausalLM"),
        family="llava-next", formats=(SAFETENSORS, ORIGINAL, PICKLED), lora_targets=_LLM,
    ),
    Known("llava", ("LlavaForConditionalGeneration",), "4.36.0", _LLAVA, original=("LlavaLlamaForCausalLM",)),
    Known("llava-onevision", ("LlavaOnevisionForConditionalGeneration",), "4.45.0", _LLAVA, _VIDEO),
    Known(
        "internvl", ("InternVLForConditionalGeneration",), "4.52.1", _INTERNVL, _VIDEO,
        original=("InternVLChatModel",),
        family="internvl", formats=(SAFETENSORS, ORIGINAL, PICKLED), lora_targets=_LLM_OR_FUSED,
    ),
    Known("mllama", ("MllamaForConditionalGeneration",), "4.45.0", _MLLAMA),
    Known("gemma3", ("Gemma3ForConditionalGeneration",), "4.50.0", _LLAVA),
    Known("idefics3", ("Idefics3ForConditionalGeneration",), "4.46.1", _IDEFICS),
    Known("smolvlm", ("SmolVLMForConditionalGeneration",), "4.50.0", _IDEFICS, _VIDEO),
    Known("phi3-v", (), None, _PHI3_V, original=("Phi3VForCausalLM",)),
    Known("qwen2-audio", ("Qwen2AudioForConditionalGeneration",), "4.45.0", _QWEN_AUDIO, ("text", "audio")),
    Known(
        "qwen2.5-omni", ("Qwen2_5OmniForConditionalGeneration", "Qwen2_5OmniModel"), "4.52.1", _OMNI,
        ("text", "image", "video", "audio"),
    ),
    Known("whisper", ("WhisperForConditionalGeneration",), "4.23.0", _WHISPER, ("audio",)),
)  # fmt: skip


def classify(architecture_class: str, config: Mapping[str, Any]) -> tuple[Known | None, Layout]:
    """The architecture of a config.json and its layout; None if its class is none that is known."""
    for known in KNOWN:
        if architecture_class in known.classes and known.vision in (None, _vision_type(config)):
            return known, "transformers"
        if architecture_class in known.original and (known.name != "llava-next" or _cuts_tiles(config)):
            return known, "original"
    return None, "original" if _is_code(config) else "transformers"


def _vision_type(config: Mapping[str, Any]) -> object:
    vision = config.get("vision_config")
    return vision.get("model_type") if isinstance(vision, dict) else None


def _cuts_tiles(config: Mapping[str, Any]) -> bool:
    """LLaVA 1.6 names its grids; 1.5 has the same class and none."""
    return bool(config.get("image_grid_pinpoints"))


def _is_code(config: Mapping[str, Any]) -> bool:
    """Whether the checkpoint brings the modelling code that it wants to be loaded with."""
    return bool(config.get("auto_map"))
