"""The nouns between a layout's rules and the writer: stored tensors, and pieces of them.

Every rule for the layouts that are known here renames a tensor or regroups its rows; none computes. So a conversion
copies byte ranges: bits stay as they are in every dtype, and memory does not grow with the checkpoint.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod

from fourways.core.errors import CheckpointError

ITEM_BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
"""Safetensors' names of dtypes, and the bytes of one number."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor as a file holds it. dtype: safetensors' name."""

    dtype: str
    shape: tuple[int, ...]

    @property
    def rows(self) -> int:
        """Along the first dimension; a tensor without dimensions is one row."""
        return self.shape[0] if self.shape else 1

    @property
    def row_bytes(self) -> int:
        return prod(self.shape[1:]) * item_bytes(self.dtype)


@dataclass(frozen=True, slots=True)
class Piece:
    """A tensor to write. rows: half-open ranges of the stored tensor's first dimension, in this order; a range may come
    again. None: the tensor as it is."""

    name: str
    rows: tuple[tuple[int, int], ...] | None = None

    def of(self, stored: Stored) -> Stored:
        """What is written. Raises CheckpointError where a range lies outside."""
        if self.rows is None:
            return stored
        if not stored.shape or any(not 0 <= start < stop <= stored.rows for start, stop in self.rows):
            raise CheckpointError(
                f"{self.name} cannot be cut from a tensor of shape {list(stored.shape)}",
                hint="config.json and the weights must come from the same checkpoint",
            )
        return Stored(stored.dtype, (sum(stop - start for start, stop in self.rows), *stored.shape[1:]))


Rule = Callable[[str, Stored], "tuple[Piece, ...] | None"]
"""A stored tensor's name → what it becomes; () if it is known as not needed, None if it is not known at all."""


def item_bytes(dtype: str) -> int:
    """Raises CheckpointError for a dtype whose size is not a whole number of bytes, or that is not known."""
    if dtype not in ITEM_BYTES:
        raise CheckpointError(f"tensors of dtype {dtype} cannot be converted", hint=f"known: {', '.join(ITEM_BYTES)}")
    return ITEM_BYTES[dtype]
