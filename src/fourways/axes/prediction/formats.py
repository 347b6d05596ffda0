"""Bytes of quantised weights and of quantised keys and values, where no code of ours makes them: stated formats.

int4 weights: two weights a byte, and for every 128 of a row a bfloat16 scale and a bfloat16 zero point; the linear
layers of the language model, as with int8 (`families.quantization`). Keys and values: one key or value vector of one
head shares a bfloat16 scale, and with int4 a bfloat16 zero point. The kernels are taken to read them as they are, so
that no copy in full width is counted. The local engine has neither; servers have forms much like them.
"""

from __future__ import annotations

import re
from typing import Literal

from fourways.families.contract import Family, ModelSpec
from fourways.families.quantization import is_quantised

INT4_GROUP = 128
_SCALE = _ZERO = 2


def int4_saving(family: Family) -> int:
    """How many bytes less than `family`'s own the same weights take in int4."""
    language = re.compile(family.card.lora_targets["llm"])
    saved = 0
    for name, module in family.module.named_modules():
        if is_quantised(name, module, language):
            weight = module.weight
            rows, columns = weight.shape
            groups = rows * -(-columns // INT4_GROUP)
            saved += weight.numel() * weight.element_size() - (rows * -(-columns // 2) + groups * (_SCALE + _ZERO))
    return saved


def kv_bytes_per_token(spec: ModelSpec, quantization: Literal["int8", "int4"] | None) -> int:
    """Bytes of the keys and values of one token."""
    if quantization is None:
        return spec.kv_bytes_per_token
    vectors = 2 * spec.layers * spec.kv_heads
    if quantization == "int8":
        return vectors * (spec.head_dim + _SCALE)
    return vectors * (-(-spec.head_dim // 2) + _SCALE + _ZERO)
