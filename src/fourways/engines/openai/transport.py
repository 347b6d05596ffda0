"""Requests to one server over connections that are kept while they are fresh.

Written on asyncio and llhttp (httptools) because a client that times streams must cost little for each piece of one,
and must know when its bytes were read; general clients spend several times as much, and stamp late.
Redirects are never followed, certificates always checked.
"""

from __future__ import annotations

import asyncio
import errno
import ssl
import sys
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import httpx

from fourways.core.errors import UserError
from fourways.engines.openai.address import Address
from fourways.engines.openai.connection import Connection, Lost
from fourways.engines.openai.proxies import credentials, find_proxy
from fourways.engines.openai.tunnel import TunnelOpening, TunnelRefused

_CONNECT_S = 10.0
_TOO_MANY = frozenset({errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL})
_MOST_FILES = 65_536
_ENDING_S = 1.0
"""How long the last bytes of an answer may take that has said all."""
_KEPT_S = 3.0
"""Kept connections are dropped before servers drop them (uvicorn: after 5 s), which would cost a retry."""
_GIVEN_UP_S = 1.0
"""No server gives up a connection that rested for less; what ends one sooner is a failure, and shows."""


class Unreachable(Exception):
    """No connection. reason: a fixed text, since a library's own may hold URLs."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def lift_file_limit() -> None:
    """Let this process open as many connections as the system lets it ask for: shells start it with 1,024, and an open
    loop has no bound on what is inside."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Transport:
    """Connections to the server of `address`. Raises UserError for a key or a proxy that cannot be used."""

    def __init__(self, address: Address) -> None:
        self._base = address.base
        self._proxy = None if address.loopback else find_proxy(address.base)  # one cannot reach this machine's servers
        self._tls: ssl.SSLContext | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closed = False
        self._idle: deque[tuple[Connection, float]] = deque()
        self._busy: set[Connection] = set()
        fixed = {
            "Host": address.base.netloc.decode("ascii"),
            "User-Agent": "fourways",
            "Accept-Encoding": "identity",  # a compressed stream arrives in lumps
            "Connection": "keep-alive",
        }
        own = credentials(address.base) or (f"Bearer {address.key}" if address.key is not None else None)
        if own is not None:
            fixed["Authorization"] = own
        if self._proxy is not None and not self._tunnels and (passing := credentials(self._proxy)) is not None:
            fixed["Proxy-Authorization"] = passing
        if not all(value.isascii() and value.isprintable() for value in fixed.values()):
            raise UserError("the server's key holds characters that no HTTP header may hold")
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in fixed.items())

    def head(self, method: str, url: httpx.URL, headers: Mapping[str, str]) -> bytes:
        """A request's head without its end, so that a Content-Length may be added: for `exchange`."""
        target = url.raw_path.decode("ascii")
        if self._proxy is not None and not self._tunnels:
            target = f"{url.scheme}://{url.netloc.decode('ascii')}{target}"
        more = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"{method} {target} HTTP/1.1\r\n{self._fixed}{more}".encode("ascii")

    @asynccontextmanager
    async def exchange(self, message: Sequence[bytes], *, silence_s: float) -> AsyncIterator[Connection]:
        """Sends a whole request, given in pieces; its answer's head has come. On leaving, the connection is kept if the
        answer came whole or has `said_all`, else ended. Raises Unreachable, `Lost` and `Silent`."""
        connection = await self._headed(message, silence_s)
        try:
            yield connection
        finally:
            if connection.said_all and not connection.over:
                connection.let_end(self._put_back, within_s=_ENDING_S)
            else:
                self._put_back(connection)

    async def _headed(self, message: Sequence[bytes], silence_s: float) -> Connection:
        """A connection on which the answer's head has come. One that was kept may have been given up by the server at
        this very moment: then nobody has read the request, and it goes out on a new one."""
        kept = self._kept()
        if kept is not None:
            connection, idle_s = kept
            try:
                return await self._asked(connection, message, silence_s)
            except Lost:
                if idle_s < _GIVEN_UP_S or not connection.left_unanswered:
                    raise
        return await self._asked(await self._connect(), message, silence_s)

    async def _asked(self, connection: Connection, message: Sequence[bytes], silence_s: float) -> Connection:
        if self._closed:
            connection.hang_up()
            raise Unreachable("this client is closed")
        self._busy.add(connection)
        try:
            connection.ask(b"".join(message), silence_s=silence_s)  # megabytes, kept by nobody while it waits
            await connection.head()
        except BaseException:
            self._put_back(connection)
            raise
        return connection

    async def close(self) -> None:
        """Ends every connection; no further one is kept or made use of."""
        self._closed = True
        for connection in (*self._busy, *(kept for kept, _ in self._idle)):
            connection.hang_up()
        self._idle.clear()

    # -- connections ---------------------------------------------------------------------------------------------
    @property
    def _tunnels(self) -> bool:
        """Whether a proxy only passes bytes on: it then sees neither requests nor their key."""
        return self._base.scheme == "https"

    def _kept(self) -> tuple[Connection, float] | None:
        """The one that was used last, so that the others grow old, and for how many seconds nobody used it. Those of
        another event loop are let go."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            self._idle.clear()
        oldest = time.monotonic() - _KEPT_S
        while self._idle and (self._idle[0][1] < oldest or self._idle[0][0].closed):
            self._idle.popleft()[0].hang_up()
        while self._idle:
            connection, since = self._idle.pop()
            if not connection.closed:
                return connection, time.monotonic() - since
        return None

    def _put_back(self, connection: Connection) -> None:
        self._busy.discard(connection)
        if self._closed or not connection.reusable:
            connection.hang_up()
            return
        connection.rest()
        self._idle.append((connection, time.monotonic()))

    async def _connect(self) -> Connection:
        try:
            async with asyncio.timeout(_CONNECT_S):
                return await self._dial()
        except TimeoutError:
            raise Unreachable(f"the server cannot be reached: no connection within {_CONNECT_S:g} s") from None
        except TunnelRefused:
            raise Unreachable("the proxy did not let the connection through") from None
        except (OSError, UnicodeError, ValueError) as error:
            if isinstance(error, OSError) and error.errno in _TOO_MANY:
                raise Unreachable("this machine lets the client open no more connections: raise `ulimit -n`") from None
            raise Unreachable(
                "the server cannot be reached (refused, unknown host, or its certificate is not trusted)"
            ) from None

    async def _dial(self) -> Connection:
        loop = asyncio.get_running_loop()
        first = self._proxy or self._base
        # Names with addresses of both kinds; uvloop's loop does not know the word.
        eyeballs: dict[str, Any] = {"happy_eyeballs_delay": 0.25} if isinstance(loop, asyncio.BaseEventLoop) else {}
        secure = first.scheme == "https"
        protocol_of: Callable[[], asyncio.Protocol] = TunnelOpening if self._proxy and self._tunnels else Connection
        transport, protocol = await loop.create_connection(
            protocol_of,
            first.raw_host.decode("ascii"),
            first.port or (443 if secure else 80),
            ssl=self._checks() if secure else None,
            **eyeballs,
        )
        if self._proxy is None or not isinstance(protocol, TunnelOpening):
            return cast(Connection, protocol)
        try:
            return await protocol.through(self._base, self._proxy, self._checks())
        except BaseException:
            transport.abort()
            raise

    def _checks(self) -> ssl.SSLContext:
        """Certifi's authorities, or those that SSL_CERT_FILE or SSL_CERT_DIR name."""
        if self._tls is None:
            self._tls = httpx.create_ssl_context()
        return self._tls
