"""The raw bodies of a server: one question, streamed and in one piece, by the client's own transport."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from fourways.compare.health.asking import Busy, Refused, Unanswered
from fourways.compare.health.wire import Read, StreamReader, read_plain
from fourways.core.conversation import Conversation
from fourways.engines.openai.address import Address
from fourways.engines.openai.connection import Connection, Lost, Silent
from fourways.engines.openai.discovery import MAX_ERROR_BYTES, beginning
from fourways.engines.openai.pictures import encode
from fourways.engines.openai.retry import BUSY
from fourways.engines.openai.transport import Transport, Unreachable
from fourways.engines.openai.wire import complaint

_MAX_BYTES = 8 << 20


class Exchanges:
    """Questions to `model` at an address. timeout_s: of each."""

    def __init__(self, address: Address, model: str, timeout_s: float) -> None:
        self._address, self._model, self._timeout_s = address, model, timeout_s
        self._transport = Transport(address)

    async def close(self) -> None:
        await self._transport.close()

    async def plain(self, asked: Conversation, tokens: int) -> Read:
        """`stream: false`. Raises Refused and Unanswered."""
        status, kind, body = await self._ask(asked, {"max_tokens": tokens, "stream": False})
        return read_plain(status, kind, body)

    async def streamed(self, asked: Conversation, tokens: int) -> Read:
        """`stream: true`, with usage asked for; without it where the server refuses that. Raises as `plain`."""
        fields: dict[str, object] = {"max_tokens": tokens, "stream": True}
        try:
            _, kind, body = await self._ask(asked, {**fields, "stream_options": {"include_usage": True}})
        except Refused as refused:
            if "stream_options" not in refused.message:
                raise
            _, kind, body = await self._ask(asked, fields)
        reader = StreamReader(kind)
        reader.feed(body)
        return reader.read()

    async def _ask(self, asked: Conversation, fields: dict[str, object]) -> tuple[int, str, bytes]:
        rest = msgspec.json.encode({"model": self._model, "temperature": 0, **fields})
        content = b'{"messages":' + encode(asked) + b"," + rest[1:]
        kind = "text/event-stream" if fields["stream"] else "application/json"
        head = self._transport.head(
            "POST", self._address.path("chat/completions"), {"Content-Type": "application/json", "Accept": kind}
        )
        message = (head, b"Content-Length: %d\r\n\r\n" % len(content), content)
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._transport.exchange(message, silence_s=self._timeout_s) as reply,
            ):
                if reply.status != 200:
                    told = self._address.hide(complaint(await beginning(reply, MAX_ERROR_BYTES)))
                    raise (Busy if reply.status in BUSY else Refused)(f"HTTP {reply.status}: {told}")
                return reply.status, reply.headers.get("content-type", ""), await _whole(reply)
        except (TimeoutError, Silent):
            raise Unanswered(self._timeout_s, "") from None
        except Unreachable as error:
            raise Refused(error.reason) from None


async def _whole(reply: Connection) -> bytes:
    """The body up to its end, or up to where the connection broke: the reader says what is missing."""
    body = bytearray()
    with suppress(Lost):
        while len(body) < _MAX_BYTES and (more := await reply.more()):
            body += b"".join(piece for piece, _ in more)
    return bytes(body)
