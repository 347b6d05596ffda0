"""Weights of any bits: numbers that are not finite, and finite ones whose squares are not."""

from __future__ import annotations

import asyncio
import random
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from fourways import zoo
from fourways.compare.health import Limits, ModelHealth
from fourways.compare.health.examination import Examination
from fourways.compare.health.fit import measure_fit, structure_of
from fourways.compare.health.local import check_local
from fourways.compare.health.target import LocalTarget
from fourways.core.candidate import Candidate

WEIGHTS = "model.safetensors"


def check(folder: Path, dtype: str = "float32") -> ModelHealth:
    one = LocalTarget(Candidate("model", model=str(folder), threads=1, dtype=dtype), folder)  # type: ignore[arg-type]
    examination = Examination("model", str(folder), "local", lambda _: None)
    return asyncio.run(check_local(one, Limits(slow_first_ms=1e6, slow_token_ms=1e6), examination))


@pytest.mark.parametrize("name", ["qwen", "internvl"])
def test_random_bytes_in_place_of_the_weights_are_numbers_that_are_not_finite(name: str, tmp_path: Path) -> None:
    folder = shutil.copytree(zoo.checkpoint(name), tmp_path / "model")
    whole = (folder / WEIGHTS).read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    (folder / WEIGHTS).write_bytes(whole[:header] + random.Random(0).randbytes(len(whole) - header))
    assert check(folder).findings[0].code == "weights.nan"


@settings(max_examples=40, deadline=None)
@given(exponent=st.integers(-37, 38), seed=st.integers(0, 99))
def test_the_structure_of_a_matrix_does_not_depend_on_its_scale(exponent: int, seed: int) -> None:
    rows = torch.rand(64, 32, generator=torch.Generator().manual_seed(seed)) + 1
    assert structure_of(rows * 10.0**exponent) == pytest.approx(structure_of(rows), rel=1e-3)


def test_a_matrix_that_float32_cannot_hold_ends_nothing() -> None:
    assert structure_of(torch.full((16, 16), 1e300, dtype=torch.float64)) == 0.0
    assert structure_of(torch.zeros(16, 16)) == 0.0


def test_a_tokenizer_fits_its_embedding_at_the_end_of_float32_too() -> None:
    folder = zoo.checkpoint("qwen")
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"))  # type: ignore[no-untyped-call]
    rows = load_file(folder / WEIGHTS)["model.embed_tokens.weight"]
    plain, large = (measure_fit(one, tokenizer) for one in (rows, rows / rows.abs().max() * 3e38))
    assert plain.fits and plain.trained
    assert (large.p, large.offset, large.trained) == (plain.p, plain.offset, plain.trained)


@pytest.mark.parametrize(("dtype", "hint"), [("float32", "copy or download"), ("bfloat16", "try --dtype float32")])
def test_another_dtype_is_advised_only_where_it_is_wider(dtype: str, hint: str, tmp_path: Path) -> None:
    folder = shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "model")
    held = load_file(folder / WEIGHTS)
    for name in held:
        if name.startswith("model.layers.") and held[name].ndim > 1:
            held[name] *= 1e37
    save_file(held, folder / WEIGHTS, {"format": "pt"})
    (found,) = check(folder, dtype).findings
    assert found.code == "scores.not-finite" and found.hint.startswith(hint)
