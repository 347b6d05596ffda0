"""Start the server on a port, and run it until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from fourways.core.errors import EngineError, UserError
from fourways.load.mock.billing import Biller
from fourways.load.mock.connection import Connection
from fourways.load.mock.log import LogWriter
from fourways.load.mock.server import MockServer, Tally
from fourways.load.mock.settings import MockSettings


async def serve(
    settings: MockSettings,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    log: Path | None = None,
    ready: Callable[[str], None],
    until: Callable[[], Awaitable[object]] | None = None,
) -> Tally:
    """Serve until `until` returns, or until SIGINT or SIGTERM (which is asked of the main thread only).

    port: 0 takes a free one. log: a file to append `Served` lines to. ready: called once with the server's URL.
    Raises UserError where the port cannot be had or the log not be opened, EngineError where the log could not be
    written to its end."""
    loop = asyncio.get_running_loop()
    try:
        writer = LogWriter(log)
    except OSError as error:
        raise UserError(f"{log}: the log cannot be written: {error.strerror}") from None
    server, biller, created = MockServer(settings, writer, loop), Biller(settings), int(time.time())
    try:
        try:
            listening = await loop.create_server(lambda: Connection(server, biller, created), host, port, backlog=1024)
        except OSError as error:
            raise UserError(
                f"{host}:{port} cannot be listened on: {error.strerror or error}",
                hint="another server may have the port; --port 0 takes a free one",
            ) from None
        gc.freeze()  # what is loaded by now stays; later collections need not look at it
        ready(_url(listening.sockets[0].getsockname()))
        await (until or _signalled)()
        listening.close()
    finally:
        gc.unfreeze()
        server.close()
        try:
            writer.close()
        except OSError as error:
            raise EngineError(f"{log}: the log is not whole: {error.strerror or error}") from None
    return server.tally


async def _signalled() -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for which in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(which, stop.set)
    await stop.wait()


def _url(name: tuple[object, ...]) -> str:
    host, port = str(name[0]), name[1]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
