"""A way through a proxy by CONNECT (RFC 9110, 9.3.6), with TLS to the server inside it."""

from __future__ import annotations

import asyncio
import ssl
from typing import cast

import httpx

from fourways.engines.openai.connection import Connection
from fourways.engines.openai.proxies import credentials

_MAX_HEAD_BYTES = 16 << 10


class TunnelRefused(Exception):
    """The proxy would not, or its answer could not be read."""


class TunnelOpening(asyncio.Protocol):
    """A fresh connection to a proxy."""

    def __init__(self) -> None:
        self._answer = b""
        self._answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def through(self, server: httpx.URL, proxy: httpx.URL, checks: ssl.SSLContext) -> Connection:
        """A connection to `server`, its certificate checked. Raises TunnelRefused, and OSError of the handshake."""
        host = server.raw_host.decode("ascii")
        where = f"{f'[{host}]' if ':' in host else host}:{server.port or 443}"
        lines = [f"CONNECT {where} HTTP/1.1", f"Host: {where}"]
        if (passing := credentials(proxy)) is not None:
            lines.append(f"Proxy-Authorization: {passing}")
        self._transport.write("\r\n".join([*lines, "", ""]).encode("ascii"))
        await self._answered
        status = self._answer.split(b"\r\n", 1)[0].split(b" ")
        if len(status) < 2 or not status[0].startswith(b"HTTP/1.") or not status[1].startswith(b"2"):
            raise TunnelRefused
        connection = Connection()
        secured = await asyncio.get_running_loop().start_tls(self._transport, connection, checks, server_hostname=host)
        if secured is None:
            raise TunnelRefused
        connection.connection_made(secured)
        return connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._answer += data
        if (b"\r\n\r\n" in self._answer or len(self._answer) > _MAX_HEAD_BYTES) and not self._answered.done():
            self._answered.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answered.done():
            self._answered.set_exception(TunnelRefused())
