"""One HTTP/1.1 connection: a request goes out, and what comes back is stamped the moment it is read.

The stamp is taken where the bytes leave the socket, before anything else of the event loop may run; whoever waits for
them wakes later, and once a read, however many events were in it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import cast

import httptools

_MAX_FRAMING_BYTES = 256 << 10
"""What may come in a row that is no body: heads, announcements, the lines between chunks, trailers."""
_MAX_WAITING_BYTES = 1 << 20
"""What may lie here unread before the server is made to wait."""


class Lost(Exception):
    """The connection ended, or was no longer HTTP, before the answer was whole."""


class Silent(Exception):
    """Nothing came for as long as the server was given."""


class Connection(asyncio.Protocol):
    """One exchange at a time: `ask`, then `head`, then `more` until it is empty, or until what came `said_all`."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._silence_ns = 0
        self._later: asyncio.TimerHandle | None = None
        self._closed = self._left = False
        self._afterwards: Callable[[Connection], None] | None = None
        self._reset()

    def _reset(self) -> None:
        self.headers = {}
        self._pieces: list[tuple[bytes, int]] = []
        self._waiting_bytes = self._framing_bytes = self._unsent_bytes = 0
        self.said_all = False
        self._begun = self._whole = self._sized = self._lasts = self._paused = False
        self._fault: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._heard_ns = self._now_ns = 0
        self._patience_s, self._last_words, self._hurry = 0.0, b"", False

    # -- an exchange ---------------------------------------------------------------------------------------------
    def ask(self, message: bytes, *, silence_s: float) -> None:
        """Send a whole request. From now on the server may be silent for `silence_s` at a time; while it takes what was
        sent, it is not."""
        self._reset()
        self._parser = httptools.HttpResponseParser(self)
        self._heard_ns = time.perf_counter_ns()
        if self._transport is None or self._closed:
            self._end(Lost())
            return
        self._silence_ns = round(silence_s * 1e9)
        self._watch = asyncio.get_running_loop().call_later(silence_s, self._look)
        self._transport.write(message)
        self._unsent_bytes = self._transport.get_write_buffer_size()

    async def head(self) -> None:
        """Returns when `status` and `headers` (lower-case names) are known. Raises Lost or Silent."""
        while not self._begun:
            if self._fault is not None:
                raise self._fault
            await self._wait()

    async def more(self) -> list[tuple[bytes, int]]:
        """Pieces of the body, each with the `time.perf_counter_ns()` of its read; none at its end. Raises Lost or
        Silent, after what came before has been given."""
        while not self._pieces:
            if self._whole:
                return []
            if self._fault is not None:
                raise self._fault
            await self._wait()
        pieces, self._pieces = self._pieces, []
        self._waiting_bytes = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._heard_ns = time.perf_counter_ns()
            self._transport.resume_reading()
        return pieces

    def be_patient(self, seconds: float, *, last_words: bytes) -> None:
        """From now on `more` may give pieces up to so much later than they came, several at a time; the answer's end, a
        fault, and a piece that ends with these words come at once. Being woken costs more than reading does."""
        self._patience_s, self._last_words = seconds, last_words

    @property
    def reusable(self) -> bool:
        """Whether the request went out and its answer came, both whole, and another request may follow."""
        if not (self._whole and self._lasts) or self._closed or self._paused or self._transport is None:
            return False
        return self._transport.get_write_buffer_size() == 0

    def rest(self) -> None:
        """Until the next `ask`, whatever comes ends the connection."""
        self._parser = None

    def let_end(self, afterwards: Callable[[Connection], None], *, within_s: float) -> None:
        """All that matters of the answer has come: call `afterwards` when the rest has, or will not."""
        self._afterwards = afterwards
        if self._watch is not None:
            self._watch.cancel()
        self._watch = asyncio.get_running_loop().call_later(within_s, self._end, Silent())

    def hang_up(self) -> None:
        self._closed = True
        if self._transport is not None:
            self._transport.abort()
        self._end(Lost())

    @property
    def over(self) -> bool:
        """Whether nothing more will come of this exchange."""
        return self._whole or self._fault is not None

    @property
    def closed(self) -> bool:
        return self._closed

    @property
    def left_unanswered(self) -> bool:
        """Whether the server closed it in good order without a byte of an answer to the last request."""
        return self._left and self._now_ns == 0

    # -- what asyncio calls --------------------------------------------------------------------------------------
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard_ns = self._now_ns = time.perf_counter_ns()
        if self._parser is None or self._whole:
            self.hang_up()  # it speaks without having been asked
            return
        self._framing_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.hang_up()
            return
        if self._framing_bytes > _MAX_FRAMING_BYTES:
            self.hang_up()
        if self._patience_s and not self._hurry and not self._paused:
            if self._later is None:
                self._later = asyncio.get_running_loop().call_later(self._patience_s, self._wake)
        else:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._left = exc is None and not self._closed
        self._closed = True
        if (
            exc is None and self._begun and not self._sized and self._fault is None
        ):  # the body lasted until the connection's end
            self._end(None)
        self._end(Lost())

    # -- what the parser calls -----------------------------------------------------------------------------------
    def on_message_begin(self) -> None:
        if self._whole:  # a second answer in the same read
            self.hang_up()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._begun:  # afterwards it is a trailer
            self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._whole or self._parser is None:
            return
        self.status = self._parser.get_status_code()
        if self.status < 200:  # only an announcement: the answer's own head follows
            self.headers = {}
            return
        self._sized = "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "").lower()
        self._begun = True

    def on_body(self, body: bytes) -> None:
        if self._whole:
            return
        self._framing_bytes = 0
        self._pieces.append((body, self._now_ns))
        if self._patience_s and body.endswith(self._last_words):
            self._hurry = True
        self._waiting_bytes += len(body)
        if self._waiting_bytes > _MAX_WAITING_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._begun and not self._whole and self._parser is not None:
            self._lasts = self._parser.should_keep_alive()
            self._end(None)

    # -- waiting -------------------------------------------------------------------------------------------------
    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _wake(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _end(self, fault: Exception | None) -> None:
        """The exchange is over, whole or not; only the first word about it counts."""
        if not self._whole and self._fault is None:
            self._whole, self._fault = fault is None, fault
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._wake()
        if self._afterwards is not None:
            afterwards, self._afterwards = self._afterwards, None
            afterwards(self)

    def _look(self) -> None:
        """One timer for an exchange, set again when it finds that something was heard, costs nothing a piece."""
        left_ns = self._heard_ns + self._silence_ns - time.perf_counter_ns()
        before, now = self._unsent_bytes, self._transport.get_write_buffer_size() if self._transport is not None else 0
        self._unsent_bytes = now
        if self._paused or now < before:  # it was made to wait, or is still taking the request
            left_ns = self._silence_ns
        if left_ns > 0:
            self._watch = asyncio.get_running_loop().call_later(left_ns / 1e9, self._look)
        else:
            self._end(Silent())
