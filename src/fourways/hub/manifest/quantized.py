"""How a checkpoint was quantised, by config.json, and what its packed tensors stand for, by their headers.

Packed: bytes or 32-bit words that hold several narrow numbers (GPTQ, AWQ, compressed-tensors, bitsandbytes). Beside
them stand scales, zero points and orders, which are the method's own and no parameters of the model.
"""

from __future__ import annotations

import re
from math import prod

from fourways.core.manifest import Quantized
from fourways.hub.manifest.settings import Settings, count, inner
from fourways.hub.small_files import words
from fourways.hub.weights import Tensor

REQUIRES: dict[str, dict[str, str]] = {
    "gptq": {"gptqmodel": "1.4.3", "optimum": "1.24.0"},
    "awq": {"gptqmodel": ""},
    "bitsandbytes": {"bitsandbytes": "0.46.1"},
    "compressed-tensors": {"compressed-tensors": "0.15.0"},
    "torchao": {"torchao": "0.15.0"},
    "auto-round": {"auto-round": "0.5.0"},
    "hqq": {"hqq": "0.2.1"},
    "vptq": {"vptq": "0.0.4"},
    "quark": {"amd-quark": "0.12"},
    "quanto": {"optimum-quanto": ""},
    "aqlm": {"aqlm": ""},
    "spqr": {"spqr_quant": ""},
}
"""Method → packages without which transformers 5.23 does not load it, and their least versions; "" where it asks for
none. Methods that need none, or a kernel of the very card, are not here."""

_OWN = (
    "qzeros", "scales", "g_idx", "weight_scale", "weight_scale_2", "weight_scale_inv", "weight_zero_point",
    "weight_g_idx", "weight_shape", "weight_global_scale", "input_scale", "input_global_scale", "input_zero_point",
    "activation_scale_inv", "k_scale", "v_scale", "absmax", "quant_map", "nested_absmax", "nested_quant_map", "SCB",
    "weight_format",
)  # fmt: skip
_CONTAINER_BITS = {"U8": 8, "I32": 32, "U32": 32}


def quantization_of(config: Settings) -> Quantized | None:
    """What `quantization_config` says, of the whole model or of its language model."""
    places = (config, inner(config, "text_config"), inner(config, "llm_config"))
    said = [inner(place, key) for place in places for key in ("quantization_config", "compression_config")]
    found = next((one for one in said if one), None)
    if found is None:
        return None
    group = next((size for size in map(count, _groups(found)) if size is not None), None)
    return Quantized(words(found.get("quant_method")) or "unknown", _bits(found), group)


def is_own(name: str) -> bool:
    """Whether a tensor of a quantised checkpoint is the method's and no weight of the model."""
    return name.rpartition(".")[2] in _OWN or name.endswith("_scales") or ".quant_state." in name


def unpacked(tensor: Tensor, quantization: Quantized | None) -> int:
    """How many numbers of the model a tensor holds: those of its shape, or those that it packs."""
    numbers = prod(tensor["shape"])
    container = _CONTAINER_BITS.get(tensor["dtype"])
    if quantization is None or quantization.bits is None or container is None or quantization.bits >= container:
        return numbers
    return numbers * container // quantization.bits


def is_packed(tensor: Tensor) -> bool:
    """Whether its numbers are narrower than its type says, if the checkpoint is quantised at all."""
    return tensor["dtype"] in _CONTAINER_BITS


def _groups(found: Settings) -> list[object]:
    """Where the methods keep the size of a group."""
    block = found.get("weight_block_size")
    return [
        found.get("group_size"),
        found.get("q_group_size"),
        block[-1] if isinstance(block, list) and block else None,
        *(inner(one, "weights").get("group_size") for one in _config_groups(found)),
        inner(found, "weight_quant_params").get("group_size"),
        inner(found, "quant_config", "weight_quant_params").get("group_size"),
        inner(found, "quant_type", "default", "_data").get("group_size"),
        32 if found.get("quant_method") == "mxfp4" else None,
    ]


def _bits(found: Settings) -> int | None:
    told = (
        found.get("bits"),
        found.get("w_bit"),
        4 if found.get("load_in_4bit") is True or found.get("_load_in_4bit") is True else None,
        8 if found.get("load_in_8bit") is True or found.get("_load_in_8bit") is True else None,
        *(inner(one, "weights").get("num_bits") for one in _config_groups(found)),
        inner(found, "weight_quant_params").get("nbits"),
        inner(found, "quant_config", "weight_quant_params").get("nbits"),
        _in_words(found),
    )
    return next((bits for bits in map(count, told) if bits is not None), None)


def _in_words(found: Settings) -> int | None:
    """Of methods that name a type: `int4_weight_only`, `Float8…Config`, `NVFP4`, `fbgemm_fp8`, `qint8`."""
    kind = inner(found, "quant_type", "default").get("_type")
    words = (kind, found.get("quant_type"), found.get("quant_algo"), found.get("weights"), found.get("quant_method"))
    for word in words:
        if isinstance(word, str) and (named := re.search(r"(?:fp|int|float|uint|nf)(\d{1,2})(?!\d)", word.lower())):
            return int(named[1])
    return None


def _config_groups(found: Settings) -> list[Settings]:
    groups = inner(found, "config_groups")
    return [inner(groups, name) for name in sorted(groups)]
