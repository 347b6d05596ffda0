"""The engine's contract: everything that is measured or served goes through `stream`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Literal, Protocol

import msgspec

from fourways.core.boxes import BoxFormat
from fourways.core.events import Done, Event
from fourways.core.request import Request

Capability = Literal["generate", "rank", "logprobs", "adapters", "visual_features", "memory", "tuning"]


class EngineInfo(msgspec.Struct, frozen=True):
    """What answered: goes into the run's header.

    dialect: how the model likes to be asked ("generic" if unknown). settings: threads, dtype, versions, … as text.
    """

    engine: str
    dialect: str
    box_format: BoxFormat | None
    capabilities: frozenset[Capability]
    settings: dict[str, str]


class Engine(Protocol):
    """One opened candidate. Requests may be streamed concurrently; closing an iterator early cancels its request.

    A request's failure is a `Done` with finish_reason "error"; `stream` itself raises only for misuse.
    """

    @property
    def info(self) -> EngineInfo: ...

    def stream(self, request: Request) -> AsyncIterator[Event | Done]: ...

    async def clear_caches(self) -> None:
        """Forget cached features and prefixes (a cold start); does nothing on an engine without access."""

    async def close(self) -> None: ...
