"""Keys and values of the running requests: one row each, packed so that the running batch is a slice.

Contract: rows 0 … used-1 belong to running requests, in the scheduler's order; a freed row is filled by the last one.
A row's content beyond its request's length is garbage, always finite (so that a masked position adds exactly zero),
and is overwritten before anything looks at it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from fourways.families.contract import ModelSpec


class KVStore:
    """One tensor (2, layers, rows, kv_heads, tokens, head_dim) that doubles as needed, up to max_bytes; beyond them
    only for rows that `fits` did not allow. While it grows, the old one lies beside the new."""

    def __init__(
        self, spec: ModelSpec, *, max_rows: int, max_bytes: int, changed: Callable[[int], None] = lambda _: None
    ) -> None:
        """changed(bytes): is told how much it holds, after each change."""
        self._spec = spec
        self._changed = changed
        self._max_rows = max_rows
        self._max_tokens = max_bytes // spec.kv_bytes_per_token
        self._store = self._zeros(0, 0)
        self._lengths: list[int] = []  # of each used row, as far as it was ever filled
        self.used = 0

    @property
    def bytes(self) -> int:
        return self._store.numel() * self._store.element_size()

    def fits(self, rows: int, tokens: int) -> bool:
        """Whether `rows` requests of at most `tokens` tokens each have room together."""
        return rows <= self._max_rows and rows * tokens <= self._max_tokens

    def add(self, count: int, tokens: int) -> int:
        """Take `count` rows at the end, with room for `tokens` in every row; the first one's index."""
        self.reserve(self.used + count, tokens)
        first, self.used = self.used, self.used + count
        self._lengths += [0] * count
        return first

    def drop_last(self, count: int) -> None:
        self.used -= count
        del self._lengths[self.used :]

    def free(self, row: int, length_of_last: int) -> None:
        """Give a row back; the last row, `length_of_last` tokens long, moves into its place."""
        self.used -= 1
        length = self._lengths.pop()
        if row != self.used:
            self._lengths[row] = length
            self._store[:, :, row, :, :length_of_last] = self._store[:, :, self.used, :, :length_of_last]

    def clean(self, row: int) -> None:
        """Erase a row that may hold infinities."""
        self._store[:, :, row].zero_()

    def read(self, row: int, length: int) -> Tensor:
        """A copy of a row's first `length` tokens: (2, layers, kv_heads, length, head_dim)."""
        return self._store[:, :, row, :, :length].clone()

    def write(self, row: int, content: Tensor) -> None:
        """Fill a row from its beginning with what `read` gave."""
        self._store[:, :, row, :, : content.shape[3]] = content
        self._filled(row, content.shape[3])

    def fork(self, row: int, length: int, first: int, count: int) -> None:
        """Copy a row's first `length` tokens into rows first … first+count-1."""
        self._store[:, :, first : first + count, :, :length] = self._store[:, :, row : row + 1, :, :length]
        for copy in range(first, first + count):
            self._filled(copy, length)

    def window(self, first: int, starts: Sequence[int], query: int) -> Window:
        """Rows first …, each about to take `query` tokens from its own start."""
        part = self._store[:, :, first : first + len(starts), :, : max(starts) + query]
        for row, start in enumerate(starts, first):
            self._filled(row, start + query)
        return Window(part, starts, query)

    def reserve(self, rows: int, tokens: int) -> None:
        """Make room for so many rows and tokens. Shrinks a store that is empty and far too long."""
        _, _, have_rows, _, have_tokens, _ = self._store.shape
        if self.used == 0 and have_tokens > 4 * max(tokens, 64):
            have_rows = have_tokens = 0
            self._store = self._zeros(0, 0)
            self._changed(0)
        if rows <= have_rows and tokens <= have_tokens:
            return
        least = max(tokens, *self._lengths, 1)
        spare = min(max(have_rows, _power_of_two(rows)), self._max_rows)
        new_rows = spare if spare >= rows and spare * least <= self._max_tokens else rows
        spare = min(max(have_tokens, _power_of_two(max(least, 64))), self._max_tokens // new_rows)
        new_tokens = max(least, spare)
        kept = min(have_tokens, new_tokens)
        old, self._store = self._store, self._zeros(new_rows, new_tokens)
        self._store[:, :, : self.used, :, :kept] = old[:, :, : self.used, :, :kept]
        self._changed(self.bytes)

    def reset(self) -> None:
        """Give all rows back, and their memory, whatever was in them."""
        self.used = 0
        self._lengths.clear()
        self._store = self._zeros(0, 0)
        self._changed(0)

    def _filled(self, row: int, length: int) -> None:
        if row < self.used:
            self._lengths[row] = max(self._lengths[row], length)

    def _zeros(self, rows: int, tokens: int) -> Tensor:
        spec = self._spec
        shape = (2, spec.layers, rows, spec.kv_heads, tokens, spec.head_dim)
        return torch.zeros(shape, dtype=spec.dtype, device=spec.device)


class Window(Cache):
    """transformers' cache for one forward pass over some rows: writes where each row stands, returns all up to
    `keys`."""

    def __init__(self, part: Tensor, starts: Sequence[int], query: int) -> None:
        super().__init__(layers=[])
        self._keys = part[0].unbind(0)
        self._values = part[1].unbind(0)
        self._length = part.shape[4]
        self._query = query
        self._columns = torch.tensor(starts, device=part.device)[:, None] + torch.arange(query, device=part.device)
        self._rows = torch.arange(len(starts), device=part.device)[:, None]
        self._block = slice(starts[0], starts[0] + query) if min(starts) == max(starts) else None

    def mask(self) -> Tensor:
        """(rows, 1, query, keys) bool: a query sees its own row up to itself."""
        columns = torch.arange(self._length, device=self._columns.device)
        return (columns <= self._columns[:, :, None])[:, None]

    def update(
        self, key_states: Tensor, value_states: Tensor, layer_idx: int, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        keys, values = self._keys[layer_idx], self._values[layer_idx]
        if self._block is not None:  # several times faster than by index
            keys[:, :, self._block] = key_states
            values[:, :, self._block] = value_states
        else:
            keys[self._rows, :, self._columns] = key_states.transpose(1, 2)
            values[self._rows, :, self._columns] = value_states.transpose(1, 2)
        return keys, values

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return int(self._length - self._query)

    def get_mask_sizes(self, query_length: int, layer_idx: int) -> tuple[int, int]:
        return int(self._length), 0

    def __len__(self) -> int:
        return len(self._keys)


def _power_of_two(number: int) -> int:
    return 1 << max(0, number - 1).bit_length()
