"""What the embedded models learned to answer is what the benchmarks ask."""

import hashlib
import json
import random

import pytest

from fourways import zoo
from fourways.benchmarks import registry
from fourways.zoo.batches import ALL_ASKERS, prompt_text
from fourways.zoo.prompts import DIALECTS, FAMILIES
from fourways.zoo.scenes import sample_scene
from fourways.zoo.tokens import build

LEARNED = "5ff5b949d92d4bb37437d8fd752c187484594b89b795bddbb92932240e374497"
"""Of 200 drawn questions of each kind, as each family is asked them, when the shipped checkpoints were trained."""


def test_the_training_text_is_what_the_shipped_checkpoints_learned() -> None:
    digest = hashlib.sha256()
    for name, ask in ALL_ASKERS.items():
        rng = random.Random("digest " + name)
        for _ in range(200):
            asked = ask(sample_scene(rng, "train"), rng)
            for family in FAMILIES:
                digest.update(prompt_text(asked, family).encode() + b"\0")
    assert digest.hexdigest() == LEARNED, "a benchmark's prompt changed: train the embedded models again (make zoo)"


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_vocabulary_is_that_of_the_shipped_checkpoints(name: str) -> None:
    shipped = json.loads((zoo.checkpoint(name) / "tokenizer.json").read_text(encoding="utf-8"))
    assert json.loads(build().to_str())["model"] == shipped["model"]


def test_every_benchmark_of_the_suite_is_a_kind_of_training_question() -> None:
    assert set(zoo.BENCHMARKS) == set(registry.keys()) & set(ALL_ASKERS)
    assert set(DIALECTS) == set(zoo.NAMES)
