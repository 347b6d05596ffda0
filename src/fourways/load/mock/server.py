"""The server: slots, one heap of deadlines, and the sends."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections import deque
from typing import Protocol

import msgspec

from fourways.load.mock import http
from fourways.load.mock.alarm import best_alarm
from fourways.load.mock.log import LogWriter, Served
from fourways.load.mock.script import Script, WorkingTime, script
from fourways.load.mock.settings import MockSettings
from fourways.load.mock.wire import Bill, Chat, Length, Spelling, error_body

_SENDS_AT_ONCE = 64
"""Sends before the event loop may read from sockets again."""


class Line(Protocol):
    """The connection of a reply."""

    def answer(self, data: bytes) -> None:
        """A whole answer, head included."""

    def open_stream(self) -> None: ...
    def send(self, data: bytes) -> None: ...
    def send_last(self, data: bytes) -> None:
        """The end of the stream too."""

    def cut(self) -> None:
        """Break it, whatever is still under way."""


class Tally(msgspec.Struct):
    """What has been done so far. requests: ended ones, which are in the log; refused, broken, left, stopped: of these.
    active: accepted and not yet ended. sends: of tokens. worst_late_ns, sum_late_ns: how long after its deadline a
    token had been sent."""

    requests: int = 0
    refused: int = 0
    broken: int = 0
    left: int = 0
    stopped: int = 0
    active: int = 0
    sends: int = 0
    worst_late_ns: int = 0
    sum_late_ns: int = 0


class Reply:
    """One request in service or waiting for it. at: the next of `due_ns` to be sent; -1 before a stream's head."""

    __slots__ = (
        "arrival_ns", "at", "breaks_at", "due_ns", "gone", "held", "line", "play", "sent_ns", "spelling", "started_ns",
    )  # fmt: skip

    def __init__(self, line: Line, spelling: Spelling, play: Script, arrival_ns: int) -> None:
        self.line, self.spelling, self.play, self.arrival_ns = line, spelling, play, arrival_ns
        self.started_ns: int | None = None
        self.due_ns: list[int] = []
        self.sent_ns: list[int] = []
        self.held, self.gone = False, False
        streamed = spelling.chat.stream
        self.at = -1 if streamed else 0
        self.breaks_at = play.breaks_after if streamed or play.breaks_after is None else 0


class Plain:
    """An answer that is ready, held back only while the server stalls."""

    __slots__ = ("data", "line")

    def __init__(self, line: Line, data: bytes) -> None:
        self.line, self.data = line, data


class MockServer:
    """Answers on an event loop. Every send has an absolute deadline, so nothing drifts: a token's follows from the
    start of its service, and the start of a request that waited is the deadline of the last token before it."""

    def __init__(self, settings: MockSettings, log: LogWriter, loop: asyncio.AbstractEventLoop) -> None:
        self.settings, self.tally = settings, Tally()
        self._log, self._loop = log, loop
        self._alarm = best_alarm(loop, self._pump)
        self._heap: list[tuple[int, int, Reply | Plain]] = []
        self._order = 0
        self._numbers = 0
        self._waiting: deque[Reply] = deque()
        self._in_service = 0
        self._time = WorkingTime((), 0)
        self._epoch_ns: int | None = None
        self._pumping = False

    # -- requests ------------------------------------------------------------------------------------------------
    def say(self, line: Line, data: bytes) -> None:
        """Send an answer as soon as the server is not stalled."""
        self._push(self._time.after(time.perf_counter_ns(), 0), Plain(line, data))

    def accept(self, line: Line, chat: Chat, length: Length, bill: Bill, arrival_ns: int) -> Reply | None:
        """Take a chat request into service, or behind those that wait; None where its script says to refuse it."""
        if self._epoch_ns is None:
            self._epoch_ns = arrival_ns
            self._time = WorkingTime(self.settings.stalls, arrival_ns)
        number, self._numbers = self._numbers, self._numbers + 1
        play = script(self.settings, number, length.tokens, factor=self._factor(number, arrival_ns))
        spelling = Spelling(chat, length, number, int(time.time()), bill)
        reply = Reply(line, spelling, play, arrival_ns)
        if play.refused is not None:
            self._refuse(reply, play.refused)
            return None
        self.tally.active += 1
        if chat.stream:
            self._push(self._time.after(arrival_ns, 0), reply)
        slots = self.settings.slots
        if slots is None or self._in_service < slots:
            self._start(reply, arrival_ns)
        else:
            self._waiting.append(reply)
        return reply

    def leave(self, reply: Reply) -> None:
        """The client of an unfinished reply has gone."""
        self.tally.left += 1
        self._end(reply, "left", time.perf_counter_ns())

    def close(self) -> None:
        """Sends nothing more; what was under way is in the log as far as it came."""
        self._alarm.close()
        under_way = {item for _, _, item in self._heap if isinstance(item, Reply)} | set(self._waiting)
        for reply in sorted(under_way, key=lambda one: one.spelling.number):
            if not reply.gone:
                reply.gone = True
                self.tally.active -= 1
                self.tally.stopped += 1
                self._record(reply, "stopped", 200)

    def _factor(self, number: int, arrival_ns: int) -> float:
        settings = self.settings
        since_s = (arrival_ns - (self._epoch_ns or arrival_ns)) / 1e9
        slow = number < settings.slow_requests or since_s < settings.slow_s
        return settings.slow_factor if slow else 1.0

    def _refuse(self, reply: Reply, status: int) -> None:
        kind = "RateLimitError" if status == 429 else "InternalServerError" if status >= 500 else "BadRequestError"
        number = reply.spelling.number
        self.say(reply.line, http.answer(status, error_body(f"request {number} is refused, as told", kind, status)))
        self.tally.refused += 1
        self._record(reply, "refused", status)

    # -- service -------------------------------------------------------------------------------------------------
    def _start(self, reply: Reply, at_ns: int) -> None:
        reply.started_ns = self._time.after(at_ns, 0)
        offsets = reply.play.offsets_ns
        if not reply.spelling.chat.stream:
            offsets = offsets[-1:]
        reply.due_ns = self._time.all_after(at_ns, offsets)
        self._in_service += 1
        if reply.at >= 0:
            self._push(reply.due_ns[reply.at], reply)

    def _end(self, reply: Reply, outcome: str, at_ns: int) -> None:
        """at_ns: when its slot is free again."""
        reply.gone = True
        self.tally.active -= 1
        self._record(reply, outcome, 200)
        if reply.started_ns is None:
            self._waiting.remove(reply)
            return
        self._in_service -= 1
        if self._waiting:
            following = self._waiting.popleft()
            self._start(following, max(at_ns, following.arrival_ns))

    def _record(self, reply: Reply, outcome: str, status: int) -> None:
        self.tally.requests += 1
        spelling = reply.spelling
        served = Served(
            number=spelling.number,
            model=spelling.chat.model or "",
            streamed=bool(spelling.chat.stream),
            outcome=outcome,
            status=status,
            arrival_ns=reply.arrival_ns,
            started_ns=reply.started_ns,
            due_ns=reply.due_ns[: len(reply.sent_ns)],
            sent_ns=reply.sent_ns,
            prompt_tokens=spelling.prompt_tokens,
            visual_tokens=sum(spelling.visual.values()),
            output_tokens=spelling.length.billed,
            held=reply.held,
        )
        self._log.add(served)

    # -- sends ---------------------------------------------------------------------------------------------------
    def _push(self, due_ns: int, item: Reply | Plain) -> None:
        self._order += 1
        first = not self._heap or due_ns < self._heap[0][0]
        heapq.heappush(self._heap, (due_ns, self._order, item))
        if first and not self._pumping:
            self._alarm.set(due_ns)

    def _pump(self) -> None:
        """Send what is due."""
        heap, self._pumping = self._heap, True
        for _ in range(_SENDS_AT_ONCE):
            if not heap or heap[0][0] > time.perf_counter_ns():
                break
            _, _, item = heapq.heappop(heap)
            if isinstance(item, Plain):
                item.line.answer(item.data)
            elif not item.gone:
                self._send(item)
        self._pumping = False
        self._alarm.set(heap[0][0] if heap else None)

    def _send(self, reply: Reply) -> None:
        k = reply.at
        if k == reply.breaks_at:
            self.tally.broken += 1
            self._end(reply, "broken", reply.due_ns[k])
            reply.line.cut()
            return
        reply.at = k + 1
        if k < 0:
            reply.line.open_stream()
        elif k + 1 == len(reply.due_ns):
            self._send_last(reply, k)
            return
        else:
            reply.line.send(reply.spelling.events(k))
            self._note(reply, k)
        if reply.due_ns:
            self._push(reply.due_ns[k + 1], reply)

    def _send_last(self, reply: Reply, k: int) -> None:
        if reply.spelling.chat.stream:
            data, send = reply.spelling.events(k), reply.line.send_last
        else:
            data, send = http.answer(200, reply.spelling.whole()), reply.line.answer
        send(data)
        self._note(reply, k)
        self._end(reply, "ok", reply.due_ns[k])

    def _note(self, reply: Reply, k: int) -> None:
        now_ns, tally = time.perf_counter_ns(), self.tally
        reply.sent_ns.append(now_ns)
        late_ns = now_ns - reply.due_ns[k]
        tally.sends += 1
        tally.sum_late_ns += late_ns
        tally.worst_late_ns = max(tally.worst_late_ns, late_ns)
