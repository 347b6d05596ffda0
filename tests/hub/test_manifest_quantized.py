"""Packed weights count as what they unpack to, and the language model's layers decide the dtype."""

from __future__ import annotations

from math import prod
from typing import Any

import pytest

from fourways.core.manifest import Quantized
from fourways.hub.manifest.architectures import ANY_PARTS
from fourways.hub.manifest.quantized import quantization_of
from fourways.hub.manifest.topology import Topology, topology_of
from fourways.hub.weights import Header

LAYER = "model.layers.0.mlp.up_proj"
IN, OUT = 256, 128
_BYTES = {"I32": 4, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "U8": 1, "I8": 1, "F8_E4M3": 1, "F64": 8}


def header(**tensors: tuple[str, tuple[int, ...]]) -> Header:
    """Tensor name, with __ for a dot → (dtype, shape)."""
    found: Header = {}
    at = 0
    for name, (dtype, shape) in tensors.items():
        end = at + prod(shape) * _BYTES[dtype]
        found[name.replace("__", ".")] = {"dtype": dtype, "shape": list(shape), "data_offsets": (at, end)}
        at = end
    return found


def topology(config: dict[str, Any], tensors: dict[str, tuple[str, tuple[int, ...]]]) -> Topology:
    whole = {f"{LAYER}.{name}": what for name, what in tensors.items()}
    return topology_of([header(**whole)], ANY_PARTS, quantization_of({"quantization_config": config}))


GPTQ = {"quant_method": "gptq", "bits": 4, "group_size": 128}
AWQ = {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"}
COMPRESSED = {
    "quant_method": "compressed-tensors",
    "format": "pack-quantized",
    "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 128, "type": "int"}}},
}
FP8 = {"quant_method": "fp8", "weight_block_size": [128, 128], "activation_scheme": "dynamic"}
NF4 = {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"}
INT8 = {"quant_method": "bitsandbytes", "load_in_8bit": True, "_load_in_8bit": True}

STORED = {
    "gptq": (GPTQ, "int4", {
        "qweight": ("I32", (IN // 8, OUT)), "qzeros": ("I32", (IN // 128, OUT // 8)),
        "scales": ("F16", (IN // 128, OUT)), "g_idx": ("I32", (IN,)),
    }),
    "gptq of 8 bits": ({**GPTQ, "bits": 8}, "int8", {
        "qweight": ("I32", (IN // 4, OUT)), "scales": ("F16", (IN // 128, OUT)),
    }),
    "gptq of 3 bits": ({**GPTQ, "bits": 3}, "int4", {"qweight": ("I32", (IN * 3 // 32, OUT))}),
    "awq": (AWQ, "int4", {
        "qweight": ("I32", (IN, OUT // 8)), "qzeros": ("I32", (IN // 128, OUT // 8)),
        "scales": ("F16", (IN // 128, OUT)),
    }),
    "compressed-tensors": (COMPRESSED, "int4", {
        "weight_packed": ("I32", (OUT, IN // 8)), "weight_scale": ("BF16", (OUT, IN // 128)),
        "weight_shape": ("I64", (2,)),
    }),
    "fp8 in blocks": (FP8, "fp8", {
        "weight": ("F8_E4M3", (OUT, IN)), "weight_scale_inv": ("F32", (OUT // 128, IN // 128)),
    }),
    "nf4": (NF4, "int4", {
        "weight": ("U8", (OUT * IN // 2, 1)), "weight.absmax": ("U8", (OUT * IN // 64,)),
        "weight.quant_map": ("F32", (16,)), "weight.nested_absmax": ("F32", (2,)),
        "weight.nested_quant_map": ("F32", (256,)), "weight.quant_state.bitsandbytes__nf4": ("U8", (82,)),
    }),
    "int8": (INT8, "int8", {"weight": ("I8", (OUT, IN)), "SCB": ("F32", (OUT,)), "weight_format": ("U8", ())}),
    "mxfp4": ({"quant_method": "mxfp4"}, "int4", {
        "up_proj_blocks": ("U8", (OUT, IN // 32, 16)), "up_proj_scales": ("U8", (OUT, IN // 32)),
    }),
}  # fmt: skip
"""Method → its configuration, the dtype it is, and one linear layer of 256 x 128 as it stores it."""


@pytest.mark.parametrize("method", STORED)
def test_a_packed_layer_counts_as_the_numbers_that_it_unpacks_to(method: str) -> None:
    config, dtype, tensors = STORED[method]
    found = topology(config, tensors)
    assert found.parts["language_model"].parameters == IN * OUT
    assert found.weight_dtype == dtype
    assert found.tensors == len(tensors)
    assert found.parts["language_model"].bytes == sum(prod(shape) * _BYTES[kind] for kind, shape in tensors.values())


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (GPTQ, Quantized("gptq", 4, 128)),
        ({**GPTQ, "group_size": -1}, Quantized("gptq", 4, None)),
        ({"quant_method": "awq", "w_bit": 4, "q_group_size": 64}, Quantized("awq", 4, 64)),
        (COMPRESSED, Quantized("compressed-tensors", 4, 128)),
        (FP8, Quantized("fp8", 8, 128)),
        (NF4, Quantized("bitsandbytes", 4)),
        (INT8, Quantized("bitsandbytes", 8)),
        ({"quant_method": "torchao", "quant_type": "int8_weight_only"}, Quantized("torchao", 8)),
        ({"quant_method": "torchao",
          "quant_type": {"default": {"_type": "Int4WeightOnlyConfig", "_data": {"group_size": 32}}}},
         Quantized("torchao", 4, 32)),
        ({"quant_method": "torchao",
          "quant_type": {"default": {"_type": "Float8DynamicActivationFloat8WeightConfig", "_data": {}}}},
         Quantized("torchao", 8)),
        ({"quant_method": "fbgemm_fp8"}, Quantized("fbgemm_fp8", 8)),
        ({"quant_method": "mxfp4"}, Quantized("mxfp4", 4, 32)),
        ({"quant_method": "modelopt", "quant_algo": "NVFP4"}, Quantized("modelopt", 4)),
        ({"quant_method": "quanto", "weights": "int8"}, Quantized("quanto", 8)),
        ({"quant_method": "hqq", "quant_config": {"weight_quant_params": {"nbits": 4, "group_size": 64}}},
         Quantized("hqq", 4, 64)),
        ({"quant_method": "of tomorrow"}, Quantized("of tomorrow", None)),
        ({"bits": 4}, Quantized("unknown", 4)),
        ({"quant_method": 7, "bits": "4", "group_size": True}, Quantized("unknown", None)),
        ({}, None),
        (None, None),
        ("gptq", None),
    ],
)  # fmt: skip
def test_the_method_its_bits_and_its_groups_are_read_as_each_method_writes_them(
    config: Any, expected: Quantized | None
) -> None:
    assert quantization_of({"quantization_config": config}) == expected
    assert quantization_of({"text_config": {"quantization_config": config}}) == expected


def test_words_of_32_bits_are_numbers_of_their_own_where_nothing_is_quantised() -> None:
    found = topology_of([header(**{f"{LAYER}.weight": ("I32", (8, 8))})], ANY_PARTS, None)
    assert (found.parameters, found.weight_dtype) == (64, "mixed")


def test_embeddings_left_as_they_were_do_not_decide_the_dtype() -> None:
    tensors = {
        "model.embed_tokens.weight": ("BF16", (1000, 100)),
        f"{LAYER}.weight": ("F8_E4M3", (100, 100)),
        f"{LAYER}.weight_scale": ("F32", (100, 100)),
        "visual.blocks.0.weight": ("F32", (1000, 1000)),
    }
    found = topology_of([header(**tensors)], ANY_PARTS, Quantized("fp8", 8))
    assert found.weight_dtype == "fp8"
    assert found.parts["language_model"].parameters == 110_000


@pytest.mark.parametrize(
    ("stored", "dtype"),
    [
        ({"a": ("F32", (10,))}, "fp32"),
        ({"a": ("BF16", (10,)), "b": ("F32", (4,))}, "bf16"),
        ({"a": ("BF16", (10,)), "b": ("F32", (5,))}, "mixed"),
        ({"a": ("F16", (10,)), "b": ("BF16", (9,)), "c": ("F32", (5,))}, "mixed"),
        ({"a": ("F64", (10,))}, "mixed"),
    ],
)
def test_a_dtype_decides_with_more_than_half_of_the_bytes(
    stored: dict[str, tuple[str, tuple[int, ...]]], dtype: str
) -> None:
    tensors = {f"model.layers.{name}.weight": what for name, what in stored.items()}
    assert topology_of([header(**tensors)], ANY_PARTS, None).weight_dtype == dtype


def test_a_model_of_embeddings_alone_has_their_dtype() -> None:
    tensors = {"model.embed_tokens.weight": ("BF16", (10, 10))}
    assert topology_of([header(**tensors)], ANY_PARTS, None).weight_dtype == "bf16"
