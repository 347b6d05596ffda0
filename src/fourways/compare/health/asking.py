"""One request, asked and listened to until its end or until the patience is out."""

from __future__ import annotations

import asyncio
import itertools
import time
from contextlib import aclosing
from dataclasses import dataclass

from fourways.core.conversation import Conversation
from fourways.core.engine import Engine
from fourways.core.errors import FourwaysError
from fourways.core.events import Done, Event
from fourways.core.request import Generate, Output, Plan, Rank, Request


class Unanswered(Exception):
    """No end within the time. text: what had come by then."""

    def __init__(self, after_s: float, text: str) -> None:
        super().__init__(f"no end of the reply within {after_s:g} s")
        self.after_s, self.text = after_s, text


class Refused(FourwaysError):
    """The engine failed this request."""


class Busy(Refused):
    """The server took no request now."""


@dataclass(frozen=True, slots=True)
class Reply:
    """items: all that came, in order. began_ns: when it was asked."""

    items: tuple[Event | Done, ...]
    began_ns: int

    @property
    def events(self) -> tuple[Event, ...]:
        return tuple(item for item in self.items if isinstance(item, Event))

    @property
    def done(self) -> Done:
        return next(item for item in reversed(self.items) if isinstance(item, Done))

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events)

    @property
    def ids(self) -> tuple[int, ...] | None:
        """None where the engine does not tell."""
        if any(event.token_ids is None for event in self.events):
            return None
        return tuple(token for event in self.events for token in event.token_ids or ())

    @property
    def first_ms(self) -> float | None:
        first = next((event for event in self.events if event.text), None)
        return None if first is None else (first.time_ns - self.began_ns) / 1e6


def is_busy(told: str) -> bool:
    """Whether this is the engine's word of a server that takes no request now (HTTP 429, 503 and their like)."""
    return "the server is busy (HTTP" in told


class Asker:
    """Asks one engine. timeout_s: of each request, from the asking to the end."""

    def __init__(self, engine: Engine, name: str, timeout_s: float) -> None:
        self.engine, self.timeout_s = engine, timeout_s
        self._name = name
        self._numbers = itertools.count(1)

    async def ask(self, conversation: Conversation, output: Output, *, adapter: str | None = None) -> Reply:
        """Raises Unanswered, and Refused where the reply is an error."""
        request = Request(
            f"check-{next(self._numbers)}", conversation, Plan(self._name, adapter=adapter), output, attempts=1
        )
        items: list[Event | Done] = []
        began = time.perf_counter_ns()
        try:
            async with asyncio.timeout(self.timeout_s), aclosing(self.engine.stream(request)) as stream:  # type: ignore[type-var]  # every engine's stream is an async generator
                async for item in stream:
                    items.append(item)
        except TimeoutError:
            text = "".join(item.text for item in items if isinstance(item, Event))
            raise Unanswered(self.timeout_s, text) from None
        ends = [item for item in items if isinstance(item, Done)]
        if ends and ends[-1].error is not None:
            kind = Busy if is_busy(ends[-1].error) else Refused
            raise kind(ends[-1].error, hint=ends[-1].hint)
        return Reply(tuple(items), began)

    async def say(self, conversation: Conversation, tokens: int, *, adapter: str | None = None) -> Reply:
        """A reply of at most so many tokens, at temperature 0."""
        return await self.ask(conversation, Generate(max_tokens=tokens), adapter=adapter)

    async def rank(
        self, conversation: Conversation, words: tuple[str, ...], *, adapter: str | None = None
    ) -> tuple[float, ...]:
        """The log-probability of each continuation."""
        reply = await self.ask(conversation, Rank(words), adapter=adapter)
        scores = reply.done.rank_logprobs
        if scores is None:
            raise Refused("the engine ranked nothing")
        return scores
