"""Which requests run next. Read top to bottom, this is the policy.

Between any two decode steps at most two prefill batches start (the second only behind a prefix that the first has
computed), so a long answer never blocks a short one, nor a crowd of new requests the running ones. Oldest first; one
adapter at a time.
"""

from __future__ import annotations

from collections import deque

from fourways.engines.local.adapters import Adapter
from fourways.engines.local.kv import KVStore
from fourways.engines.local.prefix import PrefixCache, PrefixKey
from fourways.engines.local.sequence import Sequence

MAX_PREFILL_TOKENS = 4096
"""Of one padded batch, unless the engine is told otherwise. A single request may be longer."""

_PADDING = 64
"""Tokens of padding that cost about as much as a forward pass of their own would."""

_WORTH = 4
"""Tokens of a beginning that are worth waiting one batch for."""


class Scheduler:
    """waiting: planned and preprocessed, in order of arrival. running: one a row of the KV store, in row order."""

    def __init__(self, store: KVStore, prefixes: PrefixCache, *, max_rows: int, max_prefill_tokens: int) -> None:
        self._store = store
        self._prefixes = prefixes
        self._max_rows = max_rows
        self._max_prefill_tokens = max_prefill_tokens
        self.waiting: deque[Sequence] = deque()
        self.running: list[Sequence] = []
        self.adapter: Adapter | None = None
        self.followed = False
        """Whether some that wait share a prefix which the last batch computed."""

    def next_prefill(self) -> list[Sequence]:
        """Takes from `waiting` what is to be started now; may be empty."""
        self.followed = False
        if not self.waiting:
            return []
        head = self.waiting[0]
        if head.adapter is not self.adapter:
            # Newer requests of the active adapter wait behind the head, else it might wait for ever.
            if self.running:
                return []
            self.adapter = head.adapter
        batch = self._together()
        chosen = set(map(id, batch))
        self.waiting = deque(sequence for sequence in self.waiting if id(sequence) not in chosen)
        return batch

    def _together(self) -> list[Sequence]:
        """The head and those behind it that fit beside it in one padded batch."""
        batch: list[Sequence] = []
        leading: dict[PrefixKey, list[Sequence]] = {}
        rows = len(self.running)
        reserve = max((s.reserve for s in self.running), default=0)
        longest = tokens = 0
        for sequence in self.waiting:
            reserve = max(reserve, sequence.reserve)
            if sequence.adapter is not self.adapter or len(self.running) + len(batch) >= self._max_rows:
                break
            if not self._store.fits(rows + sequence.rows, reserve):
                break
            sequence.look_up(self._prefixes)
            if self._follows(sequence, leading):
                self.followed = True  # the next batch finds what this one computes
                continue
            padded, real = max(longest, sequence.query) * (len(batch) + 1), tokens + sequence.query
            if batch and (padded > self._max_prefill_tokens or padded - real > _PADDING + real // 8):
                continue
            batch.append(sequence)
            rows += sequence.rows
            longest, tokens = max(longest, sequence.query), real
            if sequence.prefix_key is not None:
                leading.setdefault(sequence.prefix_key, []).append(sequence)
        return batch

    def _follows(self, sequence: Sequence, leading: dict[PrefixKey, list[Sequence]]) -> bool:
        """Whether one of the batch is about to compute more of this prompt's beginning than is known of it."""
        if sequence.prefix_key is None:
            return False
        for leader in leading.get(sequence.prefix_key, ()):
            alike = sequence.alike(leader)
            if alike - sequence.start >= _WORTH:
                leader.shared = max(leader.shared, alike)
                return True
        return False

    def start(self, sequence: Sequence, row: int) -> None:
        """A sequence takes a row at the end of the store."""
        assert row == len(self.running)
        sequence.row = row
        self.running.append(sequence)

    def finish(self, sequence: Sequence) -> None:
        """A running sequence leaves; the last one takes its row."""
        last = self.running.pop()
        self._store.free(sequence.row, last.length)
        if last is not sequence:
            last.row = sequence.row
            self.running[last.row] = last
        sequence.row = -1
