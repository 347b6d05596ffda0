"""What else is read while a block of requests is answered: the client's own health, what the device draws, …

An observer is told of a block and watches it from just before its first request to just after its last. It must cost
the block nothing that could be seen in its times: samplers run in threads of their own, and read seldom.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from fourways.axes.contract import Opened
from fourways.core.load import Load
from fourways.core.rows import Cache, RequestRow, Row


@dataclass(frozen=True, slots=True)
class Block:
    """The requests that one candidate answers before the next has its turn."""

    one: Opened
    workload: str
    load: Load
    cache: Cache
    number: int
    restart: int = 0


Tell = Callable[[Sequence[RequestRow]], Sequence[Row]]
"""A block's requests → what was seen of it; called once, after the block."""
Observer = Callable[[Block], AbstractAsyncContextManager[Tell]]
