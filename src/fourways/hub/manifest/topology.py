"""What the weights are, by the headers of their files: the parts of the model, their sizes, and the dtype."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import get_args

from fourways.core.manifest import Part, PartSize, Quantized, WeightDtype
from fourways.hub.manifest.architectures import Prefixes
from fourways.hub.manifest.quantized import is_own, is_packed, unpacked
from fourways.hub.weights import Header, Tensor

_DTYPES: Mapping[str, WeightDtype] = {
    "F32": "fp32", "F16": "fp16", "BF16": "bf16", "F8_E4M3": "fp8", "F8_E5M2": "fp8", "I8": "int8", "U8": "int8",
    "F4": "int4",
}  # fmt: skip
_ENDS = ("embed_tokens", "lm_head", "tok_embeddings", "output", "wte", "embed_positions", "proj_out")
"""The first and the last matrix: most methods leave them as they were, and of a small model they are half."""


@dataclass(frozen=True, slots=True)
class Topology:
    """What the headers tell."""

    shards: int
    tensors: int
    parts: dict[Part, PartSize]
    weight_dtype: WeightDtype

    @property
    def parameters(self) -> int:
        return sum(part.parameters for part in self.parts.values())


def topology_of(headers: Iterable[Header], prefixes: Prefixes, quantization: Quantized | None) -> Topology:
    """prefixes: of the architecture; a tensor that none fits is of the part "other"."""
    files = list(headers)
    placed = [(part_of(name, prefixes), name, tensor) for header in files for name, tensor in header.items()]
    parts: dict[Part, PartSize] = {}
    for part in get_args(Part):
        if mine := [(name, tensor) for owner, name, tensor in placed if owner == part]:
            parts[part] = PartSize(
                tensors=len(mine),
                parameters=sum(_parameters(name, tensor, quantization) for name, tensor in mine),
                bytes=sum(_bytes(tensor) for _, tensor in mine),
            )
    language = [(name, tensor) for owner, name, tensor in placed if owner == "language_model"]
    chosen = language or [(name, tensor) for _, name, tensor in placed]
    return Topology(len(files), len(placed), parts, _dtype(chosen, quantization))


def part_of(name: str, prefixes: Prefixes) -> Part:
    """By the longest beginning that fits."""
    fitting = [prefix for prefix in prefixes if name.startswith(prefix)]
    return prefixes[max(fitting, key=len)] if fitting else "other"


def _parameters(name: str, tensor: Tensor, quantization: Quantized | None) -> int:
    return 0 if quantization is not None and is_own(name) else unpacked(tensor, quantization)


def _bytes(tensor: Tensor) -> int:
    begin, end = tensor["data_offsets"]
    return end - begin


def _dtype(tensors: list[tuple[str, Tensor]], quantization: Quantized | None) -> WeightDtype:
    """That of more than half of the bytes between the first and the last matrix; "mixed" where none has so many."""
    inside = [(name, tensor) for name, tensor in tensors if not any(end in name.split(".") for end in _ENDS)]
    weights: Counter[WeightDtype] = Counter()
    for name, tensor in inside or tensors:
        if quantization is None or not is_own(name):
            weights[_stored(tensor, quantization)] += _bytes(tensor)
    [(dtype, most)] = weights.most_common(1) or [("mixed", 0)]
    return dtype if 2 * most > weights.total() else "mixed"


def _stored(tensor: Tensor, quantization: Quantized | None) -> WeightDtype:
    """Of one tensor. What is packed is as narrow as the method says; other types than those with a name are mixed."""
    if quantization is not None and quantization.bits is not None and is_packed(tensor):
        return "int4" if quantization.bits <= 4 else "int8"
    return _DTYPES.get(tensor["dtype"], "mixed")
