"""A small HTTP server that does what a test tells it to: answer, refuse, stall, drop the connection, send garbage."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

Writer = asyncio.StreamWriter


@dataclass
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]


Reply = Callable[[Seen, Writer], Awaitable[None]]


def status(code: int, body: object = None, **headers: str) -> Reply:
    """A complete answer in JSON. Underscores in header names stand for dashes."""

    async def reply(seen: Seen, out: Writer) -> None:
        content = json.dumps(body if body is not None else {"error": {"message": f"status {code}"}}).encode()
        lines = [f"HTTP/1.1 {code} X", "Content-Type: application/json", f"Content-Length: {len(content)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        out.write("\r\n".join([*lines, "Connection: close", "", ""]).encode() + content)

    return reply


def raw(*parts: bytes, gap_s: float = 0.0, kind: str = "text/event-stream") -> Reply:
    """These bytes as the body, a pause before each part; then the connection is closed."""

    async def reply(seen: Seen, out: Writer) -> None:
        out.write(f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nConnection: close\r\n\r\n".encode())
        await out.drain()
        for part in parts:
            await asyncio.sleep(gap_s)
            out.write(part)
            await out.drain()

    return reply


def drop(*parts: bytes) -> Reply:
    """The connection breaks after these bytes of a body that was announced longer."""

    async def reply(seen: Seen, out: Writer) -> None:
        out.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 1000000\r\n\r\n")
        for part in parts:
            out.write(part)
        await out.drain()

    return reply


def stall(seconds: float, *parts: bytes) -> Reply:
    return raw(*parts, b"", gap_s=seconds)


def event(**chunk: object) -> bytes:
    return f"data: {json.dumps(chunk)}\n\n".encode()


def delta(
    text: str | None = None,
    *,
    ids: list[int] | None = None,
    logprobs: list[float] | None = None,
    finish: str | None = None,
    stop_reason: str | int | None = None,
) -> bytes:
    """A chunk with one choice, as vLLM writes it."""
    choice: dict[str, object] = {"index": 0, "delta": {} if text is None else {"content": text}}
    choice |= {"finish_reason": finish, "stop_reason": stop_reason}
    if ids is not None:
        choice["token_ids"] = ids
    if logprobs is not None:
        choice["logprobs"] = {"content": [{"token": "x", "logprob": value} for value in logprobs]}
    return event(choices=[choice])


def usage(prompt: int, completion: int, **more: object) -> bytes:
    return event(choices=[], usage={"prompt_tokens": prompt, "completion_tokens": completion, **more})


END = b"data: [DONE]\n\n"


def words(*texts: str, gap_s: float = 0.0) -> Reply:
    """A good reply: one token a text, ended by its length."""
    parts = [delta(text, ids=[index], logprobs=[-1.0]) for index, text in enumerate(texts[:-1])]
    last = delta(texts[-1], ids=[len(texts) - 1], logprobs=[-1.0], finish="length")
    return raw(delta(""), *parts, last, usage(5, len(texts)) + END, gap_s=gap_s)


@dataclass
class ScriptedServer:
    """Listens on 127.0.0.1. Each chat request takes the next of `replies`; the last one stays. `other`: by path."""

    replies: list[Reply] = field(default_factory=lambda: [words("ok")])
    other: dict[str, Reply] = field(
        default_factory=lambda: {"/v1/models": status(200, {"object": "list", "data": [{"id": "served"}]})}
    )
    tls: ssl.SSLContext | None = None
    seen: list[Seen] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    hung_up: int = 0
    port: int = 0

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def chats(self) -> list[Seen]:
        return [seen for seen in self.seen if seen.path == "/v1/chat/completions"]

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: Writer) -> None:
        try:
            seen = await _read(reader)
            self.seen.append(seen)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
            if seen.path == "/v1/chat/completions":
                reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
            else:
                reply = self.other.get(seen.path, status(404))
            await reply(seen, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            self.hung_up += 1
        finally:
            self.in_flight -= 1
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Seen:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    content = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, path, headers, json.loads(content) if content else {})
