"""What is known of architectures beforehand agrees with the families, with transformers, and with published layouts."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest
import torch
import transformers
from transformers.quantizers import quantizer_gptq
from transformers.quantizers.auto import AUTO_QUANTIZER_MAPPING
from transformers.utils import import_utils

from fourways import zoo
from fourways.core.candidate import Checkpoint
from fourways.core.manifest import Architecture
from fourways.families.registry import ORIGINAL_LAYOUTS, OURS, registered
from fourways.hub import look
from fourways.hub.manifest import KNOWN, Known, classify, make, part_of
from fourways.hub.manifest.quantized import REQUIRES

CARDS = {point.name: registered().families[point.name].card for point in OURS}
CLASSES = [(known, name) for known in KNOWN for name in known.classes]


def test_every_architecture_that_has_a_name_has_an_entry() -> None:
    assert {known.name for known in KNOWN} == set(get_args(Architecture)) - {"unknown"}
    assert len({known.name for known in KNOWN}) == len(KNOWN)


def test_each_family_loads_the_classes_that_name_it_and_no_others() -> None:
    named = {name: {c for known in KNOWN if known.family == name for c in known.classes} for name in CARDS}
    assert named == {name: set(card.architectures) for name, card in CARDS.items()}


@pytest.mark.parametrize("known", [known for known in KNOWN if known.family], ids=lambda known: known.name)
def test_lora_targets_and_modalities_are_those_of_the_card(known: Known) -> None:
    card = CARDS[known.family or ""]
    assert known.lora_targets == card.lora_targets["llm"]
    assert ("video" in known.modalities) == card.video
    assert known.hot_swap == "adapters"


@pytest.mark.parametrize("name", zoo.NAMES)
def test_parts_have_the_parameters_that_transformers_counts(name: str) -> None:
    """Tied embeddings count once, as they are stored."""
    made = make(zoo.checkpoint(name))
    config = transformers.AutoConfig.from_pretrained(zoo.checkpoint(name))
    with torch.device("meta"):
        model = getattr(transformers, made.architecture_class)(config)
    model.tie_weights()
    found = {part: size.parameters for part, size in made.parts.items()}
    assert sum(found.values()) == made.parameters == model.num_parameters()
    assert found["language_model"] == model.model.language_model.num_parameters()
    tower = model.model.visual if name == "qwen" else model.model.vision_tower
    merger = tower.merger if name == "qwen" else model.model.multi_modal_projector
    inside = sum(one.numel() for one in merger.parameters())
    assert found["vision_tower"] == tower.num_parameters() - (inside if name == "qwen" else 0)


def test_original_layouts_that_a_family_will_not_load_are_known_as_such() -> None:
    ours = {name for known in KNOWN if known.family for name in known.original}
    assert ours == set(ORIGINAL_LAYOUTS)


def _shrunk(config: Any) -> Any:
    """Two layers everywhere: the names are the same, and the model is there at once."""
    for name, value in list(vars(config).items()):
        if isinstance(value, transformers.PretrainedConfig):
            _shrunk(value)
        elif name in ("num_hidden_layers", "depth", "encoder_layers", "decoder_layers", "num_global_layers"):
            setattr(config, name, 2)
    if hasattr(config, "layer_types") and config.layer_types:
        config.layer_types = config.layer_types[:2]
    for name in ("deepstack_visual_indexes", "intermediate_layers_indices", "cross_attention_layers"):
        if hasattr(config, name):
            setattr(config, name, [1])
    return config


@pytest.mark.parametrize(("known", "name"), CLASSES, ids=lambda value: value if isinstance(value, str) else value.name)
def test_every_tensor_of_the_installed_class_belongs_to_a_part(known: Known, name: str) -> None:
    """The class itself, on shapes alone; what answers in speech is no part of what is compared."""
    kind = getattr(transformers, name, None)
    if name == "Qwen2_5OmniModel":  # what the published config.json says; transformers has it by the other name
        assert kind is None
        return
    config = _shrunk(kind.config_class())
    with torch.device("meta"):
        model = kind(config)
    parts = {tensor: part_of(tensor, known.parts) for tensor, _ in model.named_parameters(remove_duplicate=False)}
    assert {name.partition(".")[0] for name, part in parts.items() if part == "other"} <= {"talker", "token2wav"}
    expected = {"language_model"}
    expected |= {"vision_tower"} if "image" in known.modalities else set()
    expected |= {"audio_tower"} if "audio" in known.modalities else set()
    expected |= set() if known.name == "whisper" else {"connector"}
    assert set(parts.values()) - {"other"} == expected
    if known.lora_targets is not None:
        modules = [module for module, _ in model.named_modules() if re.fullmatch(known.lora_targets, module)]
        assert modules
        assert {part_of(f"{module}.weight", known.parts) for module in modules} == {"language_model"}


PUBLISHED = {
    "qwen2.5-vl": {
        "visual.patch_embed.proj.weight": "vision_tower",
        "visual.blocks.0.attn.qkv.weight": "vision_tower",
        "visual.merger.mlp.0.weight": "connector",
        "model.embed_tokens.weight": "language_model",
        "model.layers.0.self_attn.q_proj.weight": "language_model",
        "model.norm.weight": "language_model",
        "lm_head.weight": "language_model",
    },
    "qwen3-vl": {
        "model.visual.deepstack_merger_list.0.linear_fc1.weight": "connector",
        "model.visual.pos_embed.weight": "vision_tower",
    },
    "llava-next": {
        "image_newline": "connector",
        "vision_tower.vision_model.encoder.layers.0.mlp.fc1.weight": "vision_tower",
        "multi_modal_projector.linear_1.weight": "connector",
        "language_model.model.layers.0.self_attn.q_proj.weight": "language_model",
        "language_model.lm_head.weight": "language_model",
        # the authors' own layout
        "model.vision_tower.vision_tower.vision_model.embeddings.class_embedding": "vision_tower",
        "model.mm_projector.0.weight": "connector",
        "model.image_newline": "connector",
        "model.layers.0.self_attn.q_proj.weight": "language_model",
    },
    "internvl": {
        "vision_tower.encoder.layer.0.attention.q_proj.weight": "vision_tower",
        "multi_modal_projector.layer_norm.weight": "connector",
        "language_model.model.embed_tokens.weight": "language_model",
        "language_model.lm_head.weight": "language_model",
        # the authors' own layout
        "vision_model.embeddings.class_embedding": "vision_tower",
        "mlp1.1.weight": "connector",
        "language_model.model.layers.0.attention.wqkv.weight": "language_model",
        "language_model.output.weight": "language_model",
    },
    "mllama": {
        "vision_model.patch_embedding.weight": "vision_tower",
        "multi_modal_projector.weight": "connector",
        "language_model.model.embed_tokens.weight": "language_model",
    },
    "gemma3": {
        "vision_tower.vision_model.embeddings.patch_embedding.weight": "vision_tower",
        "multi_modal_projector.mm_input_projection_weight": "connector",
        "language_model.model.embed_tokens.weight": "language_model",
    },
    "qwen2-audio": {
        "audio_tower.conv1.weight": "audio_tower",
        "multi_modal_projector.linear.weight": "connector",
        "language_model.lm_head.weight": "language_model",
    },
    "qwen2.5-omni": {
        "thinker.visual.merger.mlp.0.weight": "connector",
        "thinker.audio_tower.conv1.weight": "audio_tower",
        "thinker.model.layers.0.self_attn.q_proj.weight": "language_model",
        "talker.model.embed_tokens.weight": "other",
    },
    "phi3-v": {
        "model.vision_embed_tokens.img_processor.vision_model.embeddings.class_embedding": "vision_tower",
        "model.vision_embed_tokens.img_projection.0.weight": "connector",
        "model.vision_embed_tokens.sub_GN": "connector",
        "model.layers.0.self_attn.qkv_proj.weight": "language_model",
    },
}
"""Names as published checkpoints have them, where they are not those of today's classes."""


@pytest.mark.parametrize("name", PUBLISHED)
def test_tensors_of_older_and_original_layouts_belong_to_their_parts(name: str) -> None:
    (known,) = (known for known in KNOWN if known.name == name)
    assert {tensor: part_of(tensor, known.parts) for tensor in PUBLISHED[name]} == PUBLISHED[name]


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_parts_of_an_embedded_model_are_those_that_its_family_names(name: str) -> None:
    """Counted in the headers, and in the model that the family loaded."""
    folder = zoo.checkpoint(name)
    manifest = make(folder)
    checkpoint: Checkpoint = look(folder)
    family = registered().families[manifest.family_entry_point or ""].load(checkpoint, dtype="float32", device="cpu")
    whole: Any = family.module
    connectors = sum(p.numel() for module in family.connectors for p in module.parameters())
    connectors += sum(p.numel() for key, p in whole.named_parameters() if key.endswith("image_newline"))
    assert manifest.parameters == sum(p.numel() for p in whole.parameters())
    assert manifest.parts["connector"].parameters == connectors
    language = sum(p.numel() for p in whole.model.language_model.parameters())
    head = 0 if whole.config.get_text_config().tie_word_embeddings else whole.lm_head.weight.numel()
    assert manifest.parts["language_model"].parameters == language + head


@pytest.mark.parametrize(
    ("config", "named", "expected"),
    [
        ({}, "Qwen2_5_VLForConditionalGeneration", ("qwen2.5-vl", "transformers")),
        ({"vision_config": {"model_type": "pixtral"}}, "LlavaForConditionalGeneration", ("pixtral", "transformers")),
        ({"vision_config": {"model_type": "clip_vision_model"}}, "LlavaForConditionalGeneration",
         ("llava", "transformers")),
        ({"image_grid_pinpoints": [[336, 672]]}, "LlavaLlamaForCausalLM", ("llava-next", "original")),
        ({}, "LlavaLlamaForCausalLM", ("llava", "original")),
        ({"image_grid_pinpoints": [[336, 672]]}, "LlavaMistralForCausalLM", ("llava-next", "original")),
        ({"auto_map": {"AutoModel": "x.Y"}}, "InternVLChatModel", ("internvl", "original")),
        ({"auto_map": {"AutoModel": "x.Y"}}, "Phi3VForCausalLM", ("phi3-v", "original")),
        ({}, "WhisperForConditionalGeneration", ("whisper", "transformers")),
        ({}, "SomethingForConditionalGeneration", ("unknown", "transformers")),
        ({"auto_map": {"AutoModel": "x.Y"}}, "SomethingElse", ("unknown", "original")),
        ({"vision_config": "strange"}, "LlavaForConditionalGeneration", ("llava", "transformers")),
    ],
)  # fmt: skip
def test_a_config_has_one_architecture_and_one_layout(
    config: dict[str, Any], named: str, expected: tuple[str, str]
) -> None:
    known, layout = classify(named, config)
    assert (known.name if known else "unknown", layout) == expected


def test_what_a_quantised_checkpoint_needs_is_what_the_installed_transformers_asks_for() -> None:
    assert REQUIRES["gptq"] == {
        "gptqmodel": quantizer_gptq.MIN_GPTQ_VERSION,
        "optimum": quantizer_gptq.MIN_OPTIMUM_VERSION,
    }
    assert REQUIRES["bitsandbytes"] == {"bitsandbytes": import_utils.BITSANDBYTES_MIN_VERSION}
    assert REQUIRES["compressed-tensors"] == {"compressed-tensors": import_utils.COMPRESSED_TENSORS_MIN_VERSION}
    assert REQUIRES["torchao"] == {"torchao": import_utils.TORCHAO_MIN_VERSION}
    assert REQUIRES["auto-round"] == {"auto-round": import_utils.AUTOROUND_MIN_VERSION}
    assert REQUIRES["hqq"] == {"hqq": import_utils.HQQ_MIN_VERSION}
    assert REQUIRES["vptq"] == {"vptq": import_utils.VPTQ_MIN_VERSION}


def test_each_method_with_needs_is_one_that_transformers_names() -> None:
    assert {"bitsandbytes_4bit" if name == "bitsandbytes" else name for name in REQUIRES} <= set(AUTO_QUANTIZER_MAPPING)
