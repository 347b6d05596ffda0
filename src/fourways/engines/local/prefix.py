"""Which keys and values may be used again: those of a prompt's beginning, when other prompts begin alike.

Every beginning holds all visuals of its prompt, so that many questions about an image read it once. It goes on into
the text as far as others that waited at the same time had it in common (the rotations of one question differ only in
their options). What nobody waited for is kept up to the last visual: the rest is the question, and cheap.

What is compared is the content itself, not a digest of it: adapter, token ids, positions (clips of the same frames may
differ in their times), unit keys.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from fourways.engines.local.adapters import Adapter
from fourways.engines.local.lru import TensorCache
from fourways.families.contract import PromptLayout

PrefixKey = tuple[str | None, bytes, bytes, tuple[str, ...]]
Tail = NDArray[np.int64]
"""(1 + P, n): token ids and positions of a prompt's text after its last visual."""
_Beginning = tuple[PrefixKey, bytes]


class PrefixCache(TensorCache[_Beginning]):
    """Keys and values (2, layers, kv_heads, tokens, head_dim) of beginnings. `key` stands for all up to the last
    visual, `tail` for the text that follows."""

    def __init__(
        self, max_bytes: int, max_items: int | None = None, changed: Callable[[int], None] = lambda _: None
    ) -> None:
        super().__init__(max_bytes, max_items, changed)
        self._tails: defaultdict[PrefixKey, dict[bytes, Tail]] = defaultdict(dict)

    def longest(self, key: PrefixKey, length: int, tail: Tail) -> Tensor | None:
        """The most that is known of a prompt's beginning: at least its first `length` tokens, those of `key`."""
        with self._lock:
            known = self._tails.get(key)
            if not known:
                return None
            name, other = max(known.items(), key=lambda one: common(one[1], tail))
            self._items.move_to_end((key, name))
            return self._items[key, name][:, :, :, : length + common(other, tail)]

    def keep(self, key: PrefixKey, tail: Tail, content: Tensor) -> None:
        """content: of the tokens of `key` and `tail` together."""
        self.put((key, tail.tobytes()), content)
        with self._lock:
            if (key, tail.tobytes()) in self._items:
                self._tails[key][tail.tobytes()] = tail

    def clear(self) -> None:
        with self._lock:
            self._tails.clear()
            self._items.clear()
            self._bytes = 0
            self._changed(0)

    def _gone(self, key: _Beginning) -> None:
        known = self._tails[key[0]]
        known.pop(key[1], None)
        if not known:
            del self._tails[key[0]]


def common(one: Tail, other: Tail) -> int:
    """How many tokens two texts have in common before they part."""
    count = min(one.shape[1], other.shape[1])
    same = (one[:, :count] == other[:, :count]).all(axis=0)
    return count if same.all() else int(same.argmin())


def prefix_length(layout: PromptLayout) -> int:
    """Tokens up to and with the last placeholder; 0 without visuals. Never the whole prompt: the last token's hidden
    state is needed."""
    mask = layout.visual_mask.numpy()
    if not mask.any():
        return 0
    return min(len(mask) - int(mask[::-1].argmax()), len(mask) - 1)


def prefix_key(layout: PromptLayout, length: int, adapter: Adapter | None) -> PrefixKey | None:
    """None where there is nothing to share."""
    if length == 0:
        return None
    units = tuple(key for visual in layout.visuals for key in visual.unit_keys)
    identity = adapter.identity if adapter is not None else None
    tokens, positions = layout.token_ids.numpy(), layout.positions.numpy()
    return identity, tokens[:length].tobytes(), positions[:, :length].tobytes(), units


def tail(layout: PromptLayout, length: int) -> Tail:
    """The text after the first `length` tokens, without the last token."""
    tokens, positions = layout.token_ids.numpy(), layout.positions.numpy()
    return np.concatenate([tokens[None, length:-1], positions[:, length:-1]])
