from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from fourways.trace.ceilings import TRIALS, measure
from fourways.trace.work import RequiredWork


def held(module: nn.Module) -> list[torch.Tensor]:
    return [*module.parameters(), *module.buffers()]


def test_a_linear_layer_takes_two_operations_for_each_weight_and_row_and_is_read_once() -> None:
    layer = nn.Linear(10, 7)
    with torch.inference_mode(), RequiredWork(held(layer)) as work:
        layer(torch.zeros(3, 10))
        layer(torch.zeros(2, 10))
    assert work.flops == 2 * 10 * 7 * 5
    assert work.weight_bytes == (70 + 7) * 4


def test_a_convolution_counts_its_kernel_for_each_output() -> None:
    layer = nn.Conv2d(3, 8, kernel_size=4, stride=4)
    with torch.inference_mode(), RequiredWork(held(layer)) as work:
        layer(torch.zeros(1, 3, 16, 16))
    assert work.flops == 2 * (8 * 4 * 4) * (3 * 4 * 4)


@pytest.mark.parametrize("how", ["mask", "float mask", "causal", "none"])
def test_attention_counts_only_the_pairs_that_the_mask_lets_through(how: str) -> None:
    heads, length, width = 2, 6, 5
    query = torch.zeros(1, heads, length, width)
    mask = torch.ones(length, length).tril().bool()
    given = {
        "mask": {"attn_mask": mask[None, None]},
        "float mask": {"attn_mask": torch.zeros(length, length).masked_fill(~mask, float("-inf"))},
        "causal": {"is_causal": True},
        "none": {},
    }[how]
    with torch.inference_mode(), RequiredWork([]) as work:
        F.scaled_dot_product_attention(query, query, query, **given)
    pairs = length * length if how == "none" else length * (length + 1) // 2
    assert work.flops == 2 * pairs * heads * (width + width)


def test_an_embedding_costs_the_rows_that_are_looked_up() -> None:
    table = nn.Embedding(1000, 8)
    with torch.inference_mode(), RequiredWork(held(table)) as work:
        table(torch.tensor([1, 2, 3]))
    assert (work.flops, work.weight_bytes) == (0, 3 * 8 * 4)


def test_quantised_weights_are_read_by_their_small_size() -> None:
    quantization = pytest.importorskip("torchao.quantization")
    layer = nn.Sequential(nn.Linear(64, 32, bias=False))
    quantization.quantize_(layer, quantization.Int8WeightOnlyConfig())
    with torch.inference_mode(), RequiredWork(held(layer)) as work:
        layer(torch.zeros(1, 64))
    assert work.flops == 2 * 64 * 32
    assert 64 * 32 <= work.weight_bytes < 2 * 64 * 32


def test_ceilings_are_positive_and_tried_at_two_sizes() -> None:
    found = list(measure(torch.device("cpu"), torch.float32, 6 << 20))
    assert all(one.value > 0 for one in found)
    sizes = {q: {one.size for one in found if one.quantity == q} for q in ("copy_bytes_per_s", "matmul_flops_per_s")}
    assert {len(of) for of in sizes.values()} == {2}
    assert len(found) == 4 * TRIALS


def test_beside_a_large_model_no_array_of_its_size_is_made() -> None:
    trials = measure(torch.device("cpu"), torch.float32, 64 << 30)
    assert {next(trials).size for _ in range(2)} == {128 << 20, 512}
