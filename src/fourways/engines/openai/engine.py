"""The engine: requests in, a server's stream out, one failure a request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing, nullcontext
from dataclasses import dataclass, field

import msgspec

from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation, Text, Turn
from fourways.core.engine import Capability, EngineInfo
from fourways.core.errors import CapabilityError, EngineError, FourwaysError, UserError
from fourways.core.events import Done, Event
from fourways.core.request import Generate, Plan, Request
from fourways.engines.openai.address import Address, find_address
from fourways.engines.openai.answer import Answer, failed
from fourways.engines.openai.connection import Connection, Lost, Silent
from fourways.engines.openai.discovery import MAX_ERROR_BYTES, ask_version, beginning, find_model
from fourways.engines.openai.fields import blamed, body, droppable
from fourways.engines.openai.pictures import encode
from fourways.engines.openai.retry import ATTEMPTS, BUSY, Again, pause_s, retry_after_s
from fourways.engines.openai.sse import EventSplitter, EventTooLarge
from fourways.engines.openai.transport import Transport, Unreachable, lift_file_limit
from fourways.engines.openai.waits import Waits
from fourways.engines.openai.wire import UNREADABLE, Chunk, Problem, complaint

_POST = {"Content-Type": "application/json", "Accept": "text/event-stream"}
_DONE = b"[DONE]"
_CHUNKS = msgspec.json.Decoder(Chunk)
_PROBE = Conversation.ask("Hello")


class _Refused(Exception):
    """The server will not answer this body. status: HTTP's."""

    def __init__(self, status: int, complaint: str) -> None:
        super().__init__(complaint)
        self.status, self.complaint = status, complaint


@dataclass(frozen=True, slots=True)
class _Encoded(Request):
    """A request whose `messages` are bytes already."""

    messages: bytes = field(default=b"", repr=False)


class OpenAIEngine:
    """A server by URL. `connect` first; `open_openai_engine` does both.

    concurrency: requests in flight at once; more wait here, and are counted in `held_back`; None: no bound.
    timeout_s: longest silence of the server, before the first token as between two. Redirects are never followed: the
    URL given is the one that is measured. patience_s: events after a reply's first may be handed over so much later
    than they came, several at a time, which costs half as much; their `time_ns` are those of their reads, and the end
    comes at once. For a screen: 0. A plan's adapter is the name under which the server serves it, as a model.
    """

    def __init__(
        self, candidate: Candidate, *, concurrency: int | None = 64, timeout_s: float = 120.0, patience_s: float = 0.05
    ) -> None:
        if candidate.url is None:
            raise UserError(f"candidate {candidate.name!r} names no URL")
        own = {"adapter": candidate.adapter, "quantisation": candidate.quantization, "budget": candidate.visual_budget}
        if chosen := [name for name, value in own.items() if value is not None]:
            raise CapabilityError(
                f"candidate {candidate.name!r}: a server's {' and '.join(chosen)} is its own: undefined, no access",
                hint="start the server with it, and choose among its models with `served_model`",
            )
        self._candidate = candidate
        self._address: Address = find_address(candidate)
        self._model = candidate.served_model
        self._version: str | None = None
        self._refused: frozenset[str] = frozenset()
        self._connected = self._closed = False
        self._slots = asyncio.Semaphore(concurrency) if concurrency is not None else nullcontext()
        self._concurrency, self._timeout_s, self._patience_s = concurrency, timeout_s, patience_s
        self.held_back = 0
        if concurrency is None:
            lift_file_limit()
        self._transport = Transport(self._address)
        self._post = self._transport.head("POST", self._address.path("chat/completions"), _POST)

    @property
    def info(self) -> EngineInfo:
        capabilities: set[Capability] = {"generate"}
        if "logprobs" not in self._refused:
            capabilities.add("logprobs")
        settings = {
            "url": self._address.shown,
            "served_model": self._model or "",
            "server_version": self._version or "unknown",
            "concurrency": "no bound" if self._concurrency is None else str(self._concurrency),
            "timeout_s": f"{self._timeout_s:g}",
            "fields_refused": ", ".join(sorted(self._refused)) or "none",
        }
        dialect = self._candidate.dialect or "generic"
        return EngineInfo("openai", dialect, self._candidate.box_format, frozenset(capabilities), settings)

    async def connect(self) -> None:
        """Find the served model, ask the version, and learn from one short question which fields the server takes.
        Raises EngineError (not reachable, or it cannot answer) and UserError (which model?)."""
        if self._model is None:
            self._model = await find_model(self._transport, self._address, silence_s=self._timeout_s)
        self._version = await ask_version(self._transport, self._address)
        first = Request("connect", _PROBE, Plan(self._candidate.name), Generate(max_tokens=1))
        async with aclosing(self.stream(first)) as items:
            async for item in items:
                if isinstance(item, Done) and item.error is not None:
                    raise EngineError(f"{self._address.shown}: {item.error}", hint=item.hint)
        self._connected = True

    async def stream(self, request: Request) -> AsyncGenerator[Event | Done, None]:
        """Events as text arrives, then one Done. Raises CapabilityError for `Rank`, EngineError before `connect`."""
        output = request.output
        if not isinstance(output, Generate):
            raise CapabilityError("ranking by likelihood is undefined for a server: no access to prompt scores")
        if self._model is None:
            raise EngineError(f"{self._address.shown}: not connected")
        told = _no_access(request)
        if told is not None:
            yield failed(told, time.perf_counter_ns(), hint="give it to the local engine, or leave it out")
            return
        waits = Waits(request.label)
        try:
            messages = await self._messages(request)
        except (FourwaysError, OSError) as error:
            told = error.message if isinstance(error, FourwaysError) else "its pictures can no longer be read"
            yield failed(told, time.perf_counter_ns())
            return
        if isinstance(self._slots, asyncio.Semaphore) and self._slots.locked():
            self.held_back += 1
        async with self._slots, aclosing(self._answered(request, output, messages, waits)) as items:
            waits.until("prepare")
            async for item in items:
                if waits.recorded:
                    waits.item(item)
                yield item

    def encode_ahead(self, request: Request) -> Request:
        """The same request with its pictures encoded, so that `stream` need not do it when it is due. From any
        thread."""
        if _no_access(request) is not None:
            return request
        own = (request.id, request.conversation, request.plan, request.output, request.attempts)
        return _Encoded(*own, encode(_seen(request)))

    async def clear_caches(self) -> None:
        """Nothing: a server's caches are out of reach."""

    async def close(self) -> None:
        self._closed = True
        await self._transport.close()

    # -- one request ---------------------------------------------------------------------------------------------
    async def _messages(self, request: Request) -> bytes:
        """Encoded in another thread where there are pictures: other requests' events must not wait for that."""
        if isinstance(request, _Encoded):
            return request.messages
        seen = _seen(request)
        return await asyncio.to_thread(encode, seen) if seen.visuals else encode(seen)

    async def _answered(
        self, request: Request, output: Generate, messages: bytes, waits: Waits
    ) -> AsyncGenerator[Event | Done, None]:
        """Attempts, until one begins to answer or none may follow."""
        model = request.plan.adapter or self._model or ""
        attempt, attempts = 1, request.attempts or ATTEMPTS
        while True:
            answer, without = Answer(output), self._refused
            try:
                async with aclosing(
                    self._attempt(body(messages, output, model=model, refused=without), answer, waits)
                ) as items:
                    async for item in items:
                        yield item
                return
            except Again as again:
                if answer.began or self._closed or attempt >= attempts:
                    told = again.reason if attempts == 1 else f"{again.reason} (attempt {attempt})"
                    yield failed(told, time.perf_counter_ns())
                    return
                await asyncio.sleep(pause_s(attempt, again.after_s, request.id))
                attempt += 1
            except _Refused as refusal:
                if not self._go_without(refusal, output, without):
                    yield self._refusal(refusal, output)
                    return
            except Silent:
                yield failed(f"no answer for {self._timeout_s:g} s", time.perf_counter_ns())
                return

    async def _attempt(
        self, content: tuple[bytes, ...], answer: Answer, waits: Waits
    ) -> AsyncGenerator[Event | Done, None]:
        length = sum(len(piece) for piece in content)
        message = (self._post, b"Content-Length: %d\r\n\r\n" % length, *content)
        splitter, now_ns = EventSplitter(), 0
        try:
            async with self._transport.exchange(message, silence_s=self._timeout_s) as reply:
                waits.until("first_byte")
                await self._check(reply)
                while not reply.said_all and (pieces := await reply.more()):
                    for data, now_ns in [(data, at) for piece, at in pieces for data in splitter.feed(piece)]:
                        if data == _DONE:
                            reply.said_all = True
                            break
                        chunk = _CHUNKS.decode(data)
                        if chunk.error is not None:
                            told = chunk.error.message if isinstance(chunk.error, Problem) else chunk.error
                            yield failed(f"the server failed: {self._address.hide(told)}", now_ns)
                            return
                        if (event := answer.take(chunk, now_ns)) is not None:
                            yield event
                    now_ns = pieces[-1][1]
                    if answer.began:
                        reply.be_patient(self._patience_s, last_words=_DONE + b"\n\n")
        except (*UNREADABLE, EventTooLarge):
            yield failed("the server sent what is not an event of this API", time.perf_counter_ns())
            return
        except Unreachable as error:
            raise Again(error.reason) from None
        except Lost:
            raise Again("the connection was lost") from None
        if answer.finish is None:
            raise Again("the connection ended before the answer did")
        for ending in (answer.rest(now_ns), answer.done(now_ns)):
            if ending is not None:
                yield ending

    async def _check(self, reply: Connection) -> None:
        """Raises Again or _Refused unless the server began an event stream."""
        status, kind = reply.status, reply.headers.get("content-type", "")
        if reply.headers.get("content-encoding", "identity") != "identity":
            raise _Refused(status, "it compressed its answer, which it was asked not to do")
        if status == 200 and not ("json" in kind or "html" in kind):
            return
        if status == 200:
            raise _Refused(status, f"it answered with {self._address.hide(kind)}, not with a stream of events")
        if 300 <= status < 400:
            raise _Refused(status, "the server sends requests elsewhere; give the URL where it ends up")
        told = self._address.hide(complaint(await beginning(reply, MAX_ERROR_BYTES)))
        if status in BUSY:
            raise Again(f"the server is busy (HTTP {status}): {told}", retry_after_s(reply.headers))
        raise _Refused(status, told)

    def _go_without(self, refusal: _Refused, output: Generate, without: frozenset[str]) -> bool:
        """Whether to ask again with fewer wanted fields than all but `without`; they stay away from then on."""
        if refusal.status not in (400, 422) or blamed(refusal.complaint, output) is not None:
            return False
        left = droppable(output, without)
        named = frozenset(name for name in left if name in refusal.complaint)
        # A complaint about no field in particular is taken as one about all only while connecting: later it is about
        # the request (too long, a bad image).
        dropped = named if named or self._connected else left
        self._refused |= dropped
        return bool(dropped)

    def _refusal(self, refusal: _Refused, output: Generate) -> Done:
        now = time.perf_counter_ns()
        field = blamed(refusal.complaint, output) if refusal.status in (400, 422) else None
        if field is not None:
            return failed(f"undefined: the server does not take {field!r}: {refusal.complaint}", now)
        hint = "name the environment variable of its key with `api_key_env`" if refusal.status in (401, 403) else None
        return failed(f"the server refused (HTTP {refusal.status}): {refusal.complaint}", now, hint=hint)


async def open_openai_engine(candidate: Candidate, *, concurrency: int | None = 64) -> OpenAIEngine:
    """Connect to the server of `candidate.url`. Raises what `OpenAIEngine` and `connect` raise."""
    engine = OpenAIEngine(candidate, concurrency=concurrency)
    try:
        await engine.connect()
    except BaseException:
        await engine.close()
        raise
    return engine


def _no_access(request: Request) -> str | None:
    plan = request.plan
    asked = {
        "a visual budget": plan.visual_budget is not None,
        "the visual path 'projected'": plan.visual_path == "projected",
    }
    wanted = next((what for what, is_asked in asked.items() if is_asked), None)
    return None if wanted is None else f"undefined: {wanted} cannot be chosen for a server: no access"


def _seen(request: Request) -> Conversation:
    if request.plan.visual_path != "text_only":
        return request.conversation
    turns = request.conversation.turns
    return Conversation(tuple(Turn(t.role, tuple(p for p in t.parts if isinstance(p, Text))) for t in turns))
