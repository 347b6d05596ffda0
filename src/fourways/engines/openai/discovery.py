"""What a server tells about itself before it is asked anything."""

from __future__ import annotations

import httpx
import msgspec

from fourways.core.errors import EngineError, UserError
from fourways.engines.openai.address import Address
from fourways.engines.openai.connection import Connection, Lost, Silent
from fourways.engines.openai.transport import Transport, Unreachable
from fourways.engines.openai.wire import UNREADABLE, Models, Version, complaint

MAX_ERROR_BYTES = 64 << 10
_MAX_MODELS_BYTES = 4 << 20
_VERSION_S = 5.0


async def find_model(transport: Transport, address: Address, *, silence_s: float) -> str:
    """The only model that is served. Raises EngineError (not reachable) and UserError (several, or none told)."""
    hint = "say which with `served_model`"
    try:
        status, content = await _get(transport, address.path("models"), silence_s=silence_s)
    except (Unreachable, Lost, Silent) as error:
        raise EngineError(
            f"{address.shown}: {_lost(error)}", hint="is the server running, and is this its URL?"
        ) from None
    if status != 200:
        told = address.hide(complaint(content[:MAX_ERROR_BYTES]))
        raise EngineError(f"{address.shown}: the server said HTTP {status}: {told}")
    try:
        names = [model.id for model in msgspec.json.decode(content, type=Models).data]
    except UNREADABLE:
        raise UserError(f"{address.shown}: the server does not list its models", hint=hint) from None
    if len(names) != 1:
        told = address.hide(", ".join(names))
        raise UserError(f"{address.shown}: the server has {len(names)} models: {told}", hint=hint)
    return names[0]


async def ask_version(transport: Transport, address: Address) -> str | None:
    """vLLM tells it beside /v1; nobody needs to."""
    try:
        status, content = await _get(transport, address.beside("version"), silence_s=_VERSION_S)
        return address.hide(msgspec.json.decode(content, type=Version).version) if status == 200 else None
    except (Unreachable, Lost, Silent, *UNREADABLE):
        return None


async def beginning(reply: Connection, most: int) -> bytes:
    """The body, or its first `most` bytes and a few more."""
    content = b""
    while len(content) < most and (pieces := await reply.more()):
        content += b"".join(piece for piece, _ in pieces)
    return content


async def _get(transport: Transport, url: httpx.URL, *, silence_s: float) -> tuple[int, bytes]:
    message = (transport.head("GET", url, {"Accept": "application/json"}), b"\r\n")
    async with transport.exchange(message, silence_s=silence_s) as reply:
        return reply.status, await beginning(reply, _MAX_MODELS_BYTES)


def _lost(error: Unreachable | Lost | Silent) -> str:
    if isinstance(error, Unreachable):
        return error.reason
    return "the connection was lost" if isinstance(error, Lost) else "the server did not answer in time"
