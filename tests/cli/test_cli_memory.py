"""`fourways memory`: what it prints, and what it refuses."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from fourways.axes.prediction import Workload
from fourways.cli.main import app
from fourways.cli.memory import _images, _last_shared, _lora
from fourways.core.errors import FourwaysError, UserError

SMALL = ["memory", "zoo:internvl", "--images", "2x120x90", "--batch", "2", "--new-tokens", "4"]


def test_a_forecast_names_its_parts_its_stages_and_the_cards() -> None:
    found = CliRunner().invoke(app, [*SMALL, "--context", "300"])
    assert found.exit_code == 0, found.output
    for word in ("tower", "connector", "language", "vision encode", "prefill", "decode", "141 GB", "context 300"):
        assert word in found.output


def test_json_holds_bytes_and_the_largest_that_fits() -> None:
    found = CliRunner().invoke(app, [*SMALL, "--card", "8GB", "--json"])
    assert found.exit_code == 0, found.output
    read = json.loads(found.stdout)
    assert read["schema"] == "fourways.memory/v1"
    assert read["batch"] == 2
    assert [stage["stage"] for stage in read["forecast"]["stages"]] == ["vision_encode", "prefill", "decode"]
    assert all(card["fits"] for card in read["cards"])
    assert read["largest"]["card_gigabytes"] == 8
    assert read["largest"]["batch"] == 256, "as far as it looks"
    assert read["largest"]["image_side"] >= 112


@pytest.mark.parametrize(
    ("prompt", "batch", "shorter"), [(3000, 1, 0), (3000, 4, 2048), (5000, 4, 2048), (2048, 4, 1365), (900, 4, 0)]
)
def test_where_one_more_prompt_shares_a_prefill_is_known(prompt: int, batch: int, shorter: int) -> None:
    workload = Workload(((64, 64),), batch, prefill_tokens=4096)
    assert _last_shared(workload, prompt) == shorter
    if shorter:
        assert workload.together(shorter) > workload.together(prompt)
        assert workload.together(shorter + 1) == workload.together(prompt), "the longest of them"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no-such-model"], "no embedded model"),
        (["zoo:qwen", "--context", "999999"], "the model's holds"),
        (["zoo:qwen", "--images", "wide"], "is no size"),
        (["zoo:qwen", "--images", "4000x4"], "too thin"),
        (["zoo:qwen", "--card", "25GB"], "no known size"),
        (["zoo:qwen", "--dtype", "int3"], "--dtype"),
        (["zoo:qwen", "--quant", "int2"], "--quant"),
        (["zoo:qwen", "--lora", "16"], "is no adapter"),
        (["zoo:qwen", "--train", "--lora", "r=4", "--kv-quant", "int8"], "keeps no keys"),
        (["zoo:qwen", "--card", "8GB", "--device", "cpu"], "--card"),
        (["zoo:qwen", "--lora", "r=4,targets=nothing", "--train"], "match no module"),
    ],
)
def test_what_cannot_be_foreseen_is_said_in_one_line(words: list[str], said: str) -> None:
    error = CliRunner().invoke(app, ["memory", *words]).exception
    assert isinstance(error, FourwaysError)
    assert said in error.message


def test_sizes_and_adapters_are_read_as_they_are_written() -> None:
    assert _images("2x1344x1000,64x48") == ((1344, 1000), (1344, 1000), (64, 48))
    assert _lora("r=16,targets=llm+connector", train=False) == (16, "llm+connector")
    assert _lora(None, train=True) == (8, "llm") and _lora(None, train=False) is None
    with pytest.raises(UserError, match="out of range"):
        _images("999x64x64")


def test_a_small_model_is_told_in_a_unit_in_which_it_is_something() -> None:
    found = CliRunner().invoke(app, SMALL)
    assert found.exit_code == 0, found.output
    assert "Peak of each stage, MiB" in found.output
    assert "│ 0.00 │" not in next(line for line in found.output.splitlines() if "all weights" in line)


def test_a_training_step_has_the_recipes_adapter_unless_told_and_no_keys_and_values() -> None:
    found = CliRunner().invoke(app, ["memory", "zoo:internvl", "--train", "--images", "120x90"])
    assert found.exit_code == 0, found.output
    assert "LoRA r=8 on llm" in found.output and "train step" in found.output
    assert "keys and values" not in found.output
