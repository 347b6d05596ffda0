"""A reply from its first event to its end: for axes that time nothing in between."""

from __future__ import annotations

from contextlib import aclosing

from fourways.core.engine import Engine
from fourways.core.events import Done, Event, Usage
from fourways.core.request import Request


async def listen(engine: Engine, request: Request, texts: list[str]) -> Done:
    """The end of the reply; its text is added to `texts` as it comes, so that a caller has what came before an error.
    A stream that stops without an end is one with an error. Raises what the engine raises."""
    async with aclosing(engine.stream(request)) as events:  # type: ignore[type-var]  # a stream is a generator
        async for event in events:
            if isinstance(event, Event):
                texts.append(event.text)
            else:
                return event
    return Done("error", Usage(None, None, None), 0, error="the engine's reply stopped without an end")
