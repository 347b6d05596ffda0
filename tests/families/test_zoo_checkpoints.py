"""The embedded checkpoints, trained and complete, keep the contract and answer as transformers does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from fourways import zoo
from fourways.core.candidate import Checkpoint
from fourways.core.conversation import Conversation
from fourways.families.registry import find_family
from fourways.families.testing import FamilyContract, causal_mask, embedded, greedy, noise_image

FOLDER = Path(zoo.__file__).parent / "checkpoints"
EMBEDDED = sorted(p.parent.name for p in FOLDER.glob("*/model.safetensors"))


def open_embedded(name: str) -> Checkpoint:
    folder = FOLDER / name
    config = json.loads((folder / "config.json").read_text())
    return Checkpoint(folder, config["architectures"][0], config, {})


@pytest.mark.parametrize("zoo_model", EMBEDDED, scope="class")
class TestEmbeddedCheckpoints(FamilyContract):
    @pytest.fixture(scope="class")
    def checkpoint(self, zoo_model: str) -> Checkpoint:
        return open_embedded(zoo_model)


@pytest.mark.parametrize("name", EMBEDDED)
@torch.inference_mode()
def test_an_embedded_model_scores_a_prompt_as_transformers_does(name: str) -> None:
    checkpoint = open_embedded(name)
    family = find_family(checkpoint.architecture).load(checkpoint, dtype="float32", device="cpu")
    conversation = Conversation.ask("How many objects are in the image?", noise_image(96, 64))
    layout, prompt = embedded(family, conversation)
    model: Any = family.module
    whole = model(
        inputs_embeds=prompt.embeds[None],
        position_ids=layout.positions[:, None] if family.spec.position_rows == 3 else layout.positions,
        attention_mask=torch.ones(1, len(layout.token_ids), dtype=torch.int64),
    ).logits[0]
    hidden = family.forward(prompt.embeds[None], layout.positions[:, None], causal_mask(len(whole), whole.device), None)
    torch.testing.assert_close(family.logits(hidden[0]), whole, atol=1e-4, rtol=1e-4)
    assert greedy(family, conversation, 8)[0]
