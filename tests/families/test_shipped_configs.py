"""The full-size configurations that ship with the package, for random weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

import fourways.hub
from fourways.core.candidate import Checkpoint
from fourways.core.conversation import Conversation
from fourways.families import loading
from fourways.families.registry import find_family
from fourways.families.testing import greedy, noise_image

FOLDER = Path(fourways.hub.__file__).parent / "configs"
PARAMETERS = {
    "Qwen2-VL-2B-Instruct": 2.209,
    "Qwen2-VL-7B-Instruct": 8.291,
    "Qwen2.5-VL-3B-Instruct": 3.755,
    "Qwen2.5-VL-7B-Instruct": 8.292,
    "Qwen3-VL-2B-Instruct": 2.128,
    "Qwen3-VL-4B-Instruct": 4.438,
    "Qwen3-VL-8B-Instruct": 8.767,
    "llava-v1.6-mistral-7b-hf": 7.567,
    "llava-v1.6-vicuna-7b-hf": 7.063,
    "llava-v1.6-vicuna-13b-hf": 13.351,
    "InternVL3-1B-hf": 0.938,
    "InternVL3-2B-hf": 2.089,
    "InternVL3-8B-hf": 7.944,
}
"""Billions, as the model pages on the Hugging Face Hub state for the published weights."""
TOKENS_640_480 = {"Qwen2-": 391, "Qwen2.5": 391, "Qwen3-": 300, "llava": 2340, "Intern": 3328}


def open_config(name: str) -> Checkpoint:
    config = json.loads((FOLDER / name / "config.json").read_text())
    return Checkpoint(FOLDER / name, config["architectures"][0], config, {}, random_weights=True)


def shrunk(checkpoint: Checkpoint) -> Checkpoint:
    """The same model with few narrow layers, so that a test can run it; vocabulary and preprocessing as they are."""
    config = json.loads(json.dumps(checkpoint.config))
    text, vision = config["text_config"], config["vision_config"]
    text |= {"num_hidden_layers": 3, "hidden_size": 64, "intermediate_size": 64, "head_dim": 128}
    text |= {"num_attention_heads": 1, "num_key_value_heads": 1}
    if "head_dim" not in checkpoint.config["text_config"]:
        del text["head_dim"]
        text |= {"hidden_size": 128}
    width = text["hidden_size"]
    if "depth" in vision:
        vision |= {"depth": 3, "num_heads": 1, "intermediate_size": 64, "deepstack_visual_indexes": [0, 1]}
        vision |= {"hidden_size": 64, "out_hidden_size": width, "fullatt_block_indexes": [1]}
        if "embed_dim" in vision:
            vision |= {"embed_dim": 64, "hidden_size": width}
    else:
        vision |= {"num_hidden_layers": 2, "hidden_size": 64, "intermediate_size": 64, "num_attention_heads": 1}
    return Checkpoint(checkpoint.folder, checkpoint.architecture, config, {}, random_weights=True)


def test_every_common_size_ships() -> None:
    assert {folder.name for folder in FOLDER.iterdir() if folder.is_dir()} == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_shipped_config_has_as_many_parameters_as_the_published_model(name: str) -> None:
    checkpoint = open_config(name)
    model_class: Any = getattr(transformers, checkpoint.architecture)
    with torch.device("meta"):
        model = model_class._from_config(loading.read_config(model_class, checkpoint))
    model.tie_weights()
    assert sum(p.numel() for p in model.parameters()) / 1e9 == pytest.approx(PARAMETERS[name], abs=0.001)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_photograph_costs_what_the_published_preprocessing_says(name: str) -> None:
    checkpoint = open_config(name)
    expected = next(tokens for start, tokens in TOKENS_640_480.items() if name.startswith(start))
    assert find_family(checkpoint.architecture).counter(checkpoint).image(640, 480).visual_tokens == expected


@pytest.mark.parametrize(
    "name", ["Qwen2-VL-2B-Instruct", "Qwen2.5-VL-7B-Instruct", "Qwen3-VL-8B-Instruct", "llava-v1.6-mistral-7b-hf",
             "llava-v1.6-vicuna-7b-hf", "InternVL3-1B-hf"]
)  # fmt: skip
def test_a_shipped_config_runs_with_its_stand_in_tokenizer(name: str) -> None:
    checkpoint = shrunk(open_config(name))
    family = find_family(checkpoint.architecture).load(checkpoint, dtype="float32", device="cpu")
    ids = family.layout(Conversation.ask("What is it? Qu'est-ce que c'est ? 这是什么？")).token_ids
    assert "What is it? Qu'est-ce que c'est ? 这是什么？" in family.tokenizer.decode(ids)
    assert int(ids.max()) < family.spec.vocab_size
    assert greedy(family, Conversation.ask("Describe it.", noise_image(64, 48)), 3, 64)[0]
    for spoken in torch.randint(0, family.spec.vocab_size, (200,)).tolist():
        assert spoken in family.tokenizer.added_tokens_decoder or family.tokenizer.decode([spoken])
