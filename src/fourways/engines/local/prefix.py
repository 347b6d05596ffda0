"""Which keys and values may be used again: everything up to the last visual of a prompt, so that many questions about
an image read it once.

The key is the content itself, not a digest of it: adapter, token ids, positions (clips of the same frames may differ in
their times), unit keys. What follows the last visual is not kept: it
is the question, and cheap.
"""

from __future__ import annotations

from fourways.engines.local.adapters import Adapter
from fourways.engines.local.lru import TensorCache
from fourways.families.contract import PromptLayout

PrefixKey = tuple[str | None, bytes, bytes, tuple[str, ...]]
PrefixCache = TensorCache[PrefixKey]


def prefix_length(layout: PromptLayout) -> int:
    """Tokens up to and with the last placeholder; 0 without visuals. Never the whole prompt: the last token's hidden
    state is needed."""
    places = layout.visual_mask.nonzero()
    if len(places) == 0:
        return 0
    return min(int(places[-1]) + 1, layout.token_ids.shape[0] - 1)


def prefix_key(layout: PromptLayout, length: int, adapter: Adapter | None) -> PrefixKey | None:
    """None where there is nothing to share."""
    if length == 0:
        return None
    units = tuple(key for visual in layout.visuals for key in visual.unit_keys)
    identity = adapter.identity if adapter is not None else None
    tokens, positions = layout.token_ids[:length], layout.positions[:, :length]
    return identity, tokens.numpy().tobytes(), positions.numpy().tobytes(), units
