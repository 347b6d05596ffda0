"""Whatever becomes of a request, the next one on its connection gets its own answer and never another's."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager

import pytest

from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation
from fourways.core.events import Done
from fourways.core.request import Generate, Plan, Request
from fourways.engines.openai import OpenAIEngine

STRANGER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 70\r\n\r\n"
    b'data: {"choices":[{"delta":{"content":"!"},"finish_reason":"stop"}]}\n\n'
)


def piece(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


class Echo:
    """Answers each question with the question, a letter an event, its bytes cut and delayed as its own luck wills; now
    and then it closes the connection, or says more than it was asked."""

    def __init__(self, seed: int, kinds: tuple[str, ...]) -> None:
        self._luck, self._kinds = random.Random(seed), kinds
        self.connections = self.answered = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                self.answered += 1
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line.split(":")[1]) for line in head.split("\r\n") if line.startswith("Content-Length"))
        text = json.loads(await reader.readexactly(length))["messages"][0]["content"]
        kind = self._luck.choice(self._kinds)
        data = self._answer(text, kind)
        while data:
            size = self._luck.choice((1, 7, 60, 400, 5000))
            writer.write(data[:size])
            data = data[size:]
            await writer.drain()
            if self._luck.random() < 0.3:
                await asyncio.sleep(self._luck.choice((0, 0, 0.001, 0.003)))
        return kind != "close"

    def _answer(self, text: str, kind: str) -> bytes:
        deltas = [{"index": 0, "delta": {"content": letter}, "finish_reason": None} for letter in text]
        deltas[-1]["finish_reason"] = "length"
        events = [f"data: {json.dumps({'choices': [delta]})}\n\n".encode() for delta in deltas] + [b"data: [DONE]\n\n"]
        before = b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" if kind == "announced" else b""
        start = before + b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
        if kind == "counted":
            body = b"".join(events)
            return start + b"Content-Length: %d\r\n\r\n" % len(body) + body
        end = b"0\r\nContent-Type: text/html\r\n\r\n" if kind == "trailed" else b"0\r\n\r\n"
        whole = start + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(map(piece, events)) + end
        return whole + STRANGER if kind == "talks on" else whole


@asynccontextmanager
async def engine_of(echo: Echo, patience_s: float) -> AsyncIterator[OpenAIEngine]:
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    candidate = Candidate("c", url=f"http://127.0.0.1:{port}", served_model="m")
    engine = OpenAIEngine(candidate, patience_s=patience_s)
    try:
        yield engine
    finally:
        await engine.close()
        server.close()


async def heard(engine: OpenAIEngine, text: str, most: int | None, said: list[str]) -> Done | None:
    """The Done; None where it was left after so many events."""
    request = Request(text, Conversation.ask(text), Plan("c"), Generate(len(text)))
    async with aclosing(engine.stream(request)) as items:
        async for item in items:
            if isinstance(item, Done):
                return item
            said.append(item.text)
            if most is not None and len(said) >= most:
                return None
    raise AssertionError("a stream without a Done")


async def one_after_another(engine: OpenAIEngine, place: int, count: int, luck: random.Random) -> int:
    """Requests, many of them cancelled or left at some moment. How many were answered to their ends."""
    ended = 0
    for number in range(count):
        text = f"<{place}.{number}>" + "abcdefghij"[: luck.randrange(10)]
        said: list[str] = []
        most = luck.randrange(1, 6) if luck.random() < 0.2 else None
        asking = asyncio.create_task(heard(engine, text, most, said))
        if luck.random() < 0.5:
            await asyncio.sleep(luck.choice((0, 0, 0.0005, 0.002, 0.005, 0.01)))
            asking.cancel()
        done = (await asyncio.gather(asking, return_exceptions=True))[0]
        assert text.startswith("".join(said)), f"{text!r} was answered with {''.join(said)!r}"
        if isinstance(done, Done):
            assert done.error is None and "".join(said) == text
            ended += 1
        else:
            assert done is None or isinstance(done, asyncio.CancelledError), done
    return ended


@pytest.mark.parametrize("patience_s", [0.0, 0.004])
@pytest.mark.parametrize("seed", range(3))
async def test_requests_cancelled_at_any_moment_never_leave_their_answer_to_another(
    seed: int, patience_s: float
) -> None:
    echo = Echo(seed, ("plain", "plain", "counted", "trailed", "announced", "close"))
    async with engine_of(echo, patience_s) as engine, asyncio.timeout(60):
        lucks = [random.Random(f"{seed} {place}") for place in range(4)]
        ended = await asyncio.gather(*(one_after_another(engine, p, 60, luck) for p, luck in enumerate(lucks)))
    assert sum(ended) > 60
    assert echo.connections < echo.answered, "connections were used again"


@pytest.mark.parametrize("patience_s", [0.0, 0.004])
async def test_what_a_server_says_beyond_its_answer_is_in_no_answer(patience_s: float) -> None:
    echo = Echo(5, ("plain", "talks on", "talks on"))
    async with engine_of(echo, patience_s) as engine, asyncio.timeout(60):
        lucks = [random.Random(place) for place in range(4)]
        await asyncio.gather(*(one_after_another(engine, p, 40, luck) for p, luck in enumerate(lucks)))
