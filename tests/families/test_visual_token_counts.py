"""Counts before anything runs: the golden file, transformers' own arithmetic, and what a budget may do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers.image_processing_utils import select_best_resolution
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas
from transformers.models.llava_next.modeling_llava_next import unpad_image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize as transformers_resize

from fourways.core.errors import MediaError
from fourways.families.visual_tokens import InternVLCounter, LlavaNextCounter, PixelBounds, Qwen3Counter, QwenCounter

GOLDEN = json.loads((Path(__file__).parents[1] / "data" / "visual_tokens_golden.json").read_text())["rows"]
PINPOINTS = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))

QWEN2 = QwenCounter(28, PixelBounds(56 * 56, 16384 * 28**2), PixelBounds(128 * 28**2, 768 * 28**2))
QWEN3 = Qwen3Counter(32, PixelBounds(65536, 16384 * 32**2), PixelBounds(4096, 25165824))
LLAVA = LlavaNextCounter(PINPOINTS, 336, 14)
INTERNVL = InternVLCounter((448, 448), 256, 1, 12)

SIDES = st.integers(1, 4096)
BUDGETS = st.none() | st.integers(1, 20_000)


@pytest.mark.parametrize("row", GOLDEN, ids=lambda r: f"{r['w']}x{r['h']}")
def test_counts_equal_the_golden_file(row: dict[str, Any]) -> None:
    width, height = row["w"], row["h"]
    for name, counter in (("qwen2", QWEN2), ("qwen3", QWEN3)):
        for budget in (None, 1280, 256, 64):
            expected = row[f"{name}_{budget or 'default'}"]
            got = counter.image(width, height, budget)
            assert (got.seen[1], got.seen[0]) == tuple(expected["hf_hw"])
            assert got.visual_tokens == expected["hf_tokens"]

    expected = row["llava_next_336"]
    pinpoint = LLAVA.pinpoint(width, height)
    assert pinpoint == tuple(expected["best_hw"])
    assert LLAVA.unpadded(width, height, pinpoint) == tuple(expected["unpadded_hw"])
    assert LLAVA.image(width, height).visual_tokens == expected["tokens"]

    for most in (12, 6, 2, 1):
        counter = InternVLCounter((448, 448), 256, 1, most)
        assert counter.grid(width, height) == tuple(row[f"internvl_max{most}"]["tiles_wh"])
        assert counter.image(width, height).visual_tokens == row[f"internvl_max{most}"]["tokens"]


def test_an_ordinary_photograph_costs_what_the_families_say() -> None:
    assert [c.image(640, 480).visual_tokens for c in (QWEN2, QWEN3, LLAVA, INTERNVL)] == [391, 300, 2340, 3328]
    assert [c.image(640, 480, 256).visual_tokens for c in (QWEN2, QWEN3, LLAVA, INTERNVL)] == [234, 234, 577, 256]


@given(SIDES, SIDES, BUDGETS)
def test_qwen_resizes_as_transformers_does(width: int, height: int, budget: int | None) -> None:
    most = 16384 * 28**2 if budget is None else min(budget, 16384) * 28**2
    try:
        expected = transformers_resize(height, width, 28, min(56 * 56, most), most)
    except ValueError:
        with pytest.raises(MediaError, match="too thin"):
            QWEN2.image(width, height, budget)
        return
    assert QWEN2.resize_image(width, height, budget) == expected[::-1]


@given(SIDES, SIDES)
def test_llava_chooses_and_unpads_as_transformers_does(width: int, height: int) -> None:
    expected = select_best_resolution((height, width), [list(p) for p in PINPOINTS])
    assert LLAVA.pinpoint(width, height) == expected
    rows, columns = expected[0] // 14, expected[1] // 14
    unpadded = unpad_image(torch.empty(1, rows, columns, device="meta"), (height, width))
    assert LLAVA.unpadded(width, height, expected) == tuple(unpadded.shape[1:])


@given(SIDES, SIDES, st.integers(1, 24))
def test_internvl_tiles_as_transformers_does(width: int, height: int, most: int) -> None:
    assert InternVLCounter((448, 448), 256, 1, most).grid(width, height) == get_optimal_tiled_canvas(
        (height, width), (448, 448), 1, most
    )


@given(SIDES, SIDES, st.integers(1, 20_000))
def test_llava_and_internvl_keep_to_a_budget_or_take_the_least(width: int, height: int, budget: int) -> None:
    assert LLAVA.image(width, height, budget).visual_tokens <= max(budget, 577)
    assert INTERNVL.image(width, height, budget).visual_tokens <= max(budget, 256)


@given(st.integers(56, 4096), st.integers(56, 4096), st.integers(16, 20_000))
def test_qwen_keeps_to_a_budget_unless_rounding_passes_it(width: int, height: int, budget: int) -> None:
    aspect = max(width, height) / min(width, height)
    cost = QWEN2.image(width, height, budget).visual_tokens
    assert cost <= budget or aspect > budget / 4 or cost * 784 < 1.5 * 56 * 56


@given(SIDES, SIDES, st.integers(1, 64), BUDGETS)
@settings(max_examples=50)
def test_a_clip_costs_as_much_as_its_steps(width: int, height: int, frames: int, budget: int | None) -> None:
    if max(width, height) > 200 * min(width, height):
        return
    for counter, steps in ((QWEN2, -(-frames // 2)), (QWEN3, -(-frames // 2)), (INTERNVL, frames)):
        clip = counter.video(width, height, frames, budget)
        assert clip.tiles == steps
        assert clip.visual_tokens % steps == 0
    assert LLAVA.video(width, height, frames).visual_tokens == frames * LLAVA.image(width, height).visual_tokens


@pytest.mark.parametrize("counter", [QWEN2, QWEN3, LLAVA, INTERNVL])
def test_a_visual_without_area_is_refused(counter: QwenCounter | LlavaNextCounter | InternVLCounter) -> None:
    with pytest.raises(MediaError):
        counter.image(0, 10)
    with pytest.raises(MediaError):
        counter.video(10, 10, 0)
