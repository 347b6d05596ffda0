"""Events on their way from the model's thread to the event loops that asked."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from fourways.engines.local.sequence import Item, Outbox


class Delivery:
    """Gathers what a step brought, and wakes each event loop once, however many of its requests have news."""

    def __init__(self) -> None:
        self._out: dict[asyncio.AbstractEventLoop, list[tuple[Outbox, Item]]] = defaultdict(list)

    def add(self, outbox: Outbox, item: Item) -> None:
        self._out[outbox.loop].append((outbox, item))

    def send(self) -> set[int]:
        """The ids of outboxes that nobody will read any more, because their event loop is closed."""
        out, self._out = self._out, defaultdict(list)
        unread: set[int] = set()
        for loop, items in out.items():
            try:
                loop.call_soon_threadsafe(_put, items)
            except RuntimeError:
                unread |= {id(outbox) for outbox, _ in items}
        return unread


def _put(items: list[tuple[Outbox, Item]]) -> None:
    for outbox, item in items:
        outbox.queue.put_nowait(item)
