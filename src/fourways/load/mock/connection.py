"""One client's connection: requests are read one after the other and handed to the server."""

from __future__ import annotations

import asyncio
import time
from typing import cast

import msgspec

import fourways
from fourways.load.mock import http
from fourways.load.mock.billing import Biller
from fourways.load.mock.server import MockServer, Reply
from fourways.load.mock.wire import BadRequest, error_body, length_of, models_body, read_chat

CHAT = "/v1/chat/completions"
TALLY = "/mock/tally"


class Connection(asyncio.Protocol):
    """busy: an answer is under way, and what comes meanwhile waits."""

    def __init__(self, server: MockServer, biller: Biller, created: int) -> None:
        self._server, self._biller, self._created = server, biller, created
        self._reader = http.RequestReader()
        self._busy = False
        self._keep = self._chunks = True
        self._reply: Reply | None = None
        self._arrival_ns = 0

    # -- asyncio's side ------------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=0)  # so that pause_writing tells of every send that had to wait

    def data_received(self, data: bytes) -> None:
        self._arrival_ns = time.perf_counter_ns()
        self._reader.feed(data)
        if self._busy:
            if self._reader.waiting > http.MAX_HEAD + http.MAX_BODY:
                self._transport.abort()
            return
        self._read()

    def pause_writing(self) -> None:
        if self._reply is not None:
            self._reply.held = True

    def connection_lost(self, error: Exception | None) -> None:
        if self._reply is not None and not self._reply.gone:
            self._server.leave(self._reply)

    # -- the server's side ---------------------------------------------------------------------------------------
    def answer(self, data: bytes) -> None:
        self._transport.write(data)
        self._finished()

    def open_stream(self) -> None:
        self._transport.write(http.CHUNKED_HEAD if self._chunks else http.CLOSING_HEAD)

    def send(self, data: bytes) -> None:
        self._transport.write(http.chunk(data) if self._chunks else data)

    def send_last(self, data: bytes) -> None:
        self._transport.write(http.chunk(data) + http.LAST_CHUNK if self._chunks else data)
        self._finished()

    def cut(self) -> None:
        self._transport.abort()

    # -- requests ------------------------------------------------------------------------------------------------
    def _finished(self) -> None:
        if not self._keep:
            self._transport.close()
            return
        self._busy = False
        if self._reader.waiting:
            asyncio.get_running_loop().call_soon(self._read)

    def _read(self) -> None:
        if self._busy or self._transport.is_closing():
            return
        try:
            request = self._reader.next()
        except http.Malformed as error:
            self._keep = False
            body = error_body(str(error), "BadRequestError", error.status)
            self._server.say(self, http.answer(error.status, body, keep=False))
            self._busy = True
            return
        if request is not None:
            self._busy, self._keep, self._chunks = True, request.keep, request.chunks
            self._handle(request)
        elif self._reader.expects_continue():
            self._transport.write(http.CONTINUE)

    def _handle(self, request: http.HttpRequest) -> None:
        try:
            wanted = "POST" if request.path == CHAT else "GET"
            if request.path == CHAT and request.method == wanted:
                self._chat(request.body)
                return
            body = self._page(request.path)
            if request.method != wanted:
                raise BadRequest(f"{request.method} is not allowed here", status=405, kind="MethodNotAllowed")
            data = http.answer(200, body, keep=request.keep)
        except BadRequest as error:
            data = http.answer(error.status, error.body(), keep=request.keep)
        self._server.say(self, data)

    def _chat(self, body: bytes) -> None:
        """Raises BadRequest."""
        settings = self._server.settings
        chat = read_chat(body, settings.names)
        bill = self._biller.bill(chat)
        length = length_of(chat, settings.tokens, bill[0])
        self._reply = self._server.accept(self, chat, length, bill, self._arrival_ns)

    def _page(self, path: str) -> bytes:
        """Raises BadRequest where there is none."""
        if path in (CHAT, "/health"):
            return b""
        if path == "/v1/models":
            return models_body(self._server.settings.names, self._created)
        if path == "/version":
            return msgspec.json.encode({"version": f"fourways-mock-{fourways.__version__}"})
        if path == TALLY:
            return msgspec.json.encode(self._server.tally)
        raise BadRequest(f"there is nothing at {path[:200]}", status=404, kind="NotFoundError")
