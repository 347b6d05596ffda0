"""Is what a server sends what the OpenAI API says it sends?

Bodies are taken from the socket by our own transport and read as plain JSON here, because a typed reader that ignores
what it does not need would also ignore what is wrong. Followed: the API reference's objects `chat.completion` and
`chat.completion.chunk`, and server-sent events (WHATWG HTML, 9.2.6).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fourways.engines.openai.sse import EventSplitter, EventTooLarge

_INSTEAD = ("reasoning", "reasoning_content", "refusal", "tool_calls")
_FINISH = ("stop", "length", "tool_calls", "content_filter", "function_call")


@dataclass(frozen=True, slots=True)
class Read:
    """What a reply said, and what is wrong with its form. usage: None where it told none. ended: by [DONE] or by the
    end of a body in one piece."""

    text: str
    finish: str | None
    usage: dict[str, Any] | None
    ended: bool
    problems: tuple[str, ...]


def read_plain(status: int, kind: str, body: bytes) -> Read:
    """A reply in one piece. kind: its content type."""
    problems: list[str] = []
    if "json" not in kind:
        problems.append(f"content type {kind or 'none'!r}, not application/json")
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return Read("", None, None, False, (*problems, f"the body is no JSON (HTTP {status}, {len(body):,} bytes)"))
    if not isinstance(found, dict):
        return Read("", None, None, False, (*problems, "the body is no JSON object"))
    problems += _envelope(found, "chat.completion")
    usage = found.get("usage")
    choice = _choice(found) or {}
    message = choice.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(message, dict):
        problems.append("no message in choices[0]")
    elif message.get("role") != "assistant":
        problems.append(f"the message's role is {message.get('role')!r}, not 'assistant'")
    if isinstance(message, dict) and not isinstance(content, str) and not _told_otherwise(message, content):
        problems.append("the message's content is no text")
    finish = choice.get("finish_reason")
    if finish not in _FINISH:
        problems.append(f"finish_reason is {finish!r}")
    text = content if isinstance(content, str) else ""
    return Read(text, str(finish), usage if isinstance(usage, dict) else None, True, tuple(problems))


def _told_otherwise(message: dict[str, Any], content: object) -> bool:
    """The API allows no content beside a refusal or a call of tools; servers of models that think aloud send what was
    thought apart, and no content where the tokens did not suffice."""
    return content is None and any(message.get(key) for key in _INSTEAD)


class StreamReader:
    """A streamed reply, as its pieces come."""

    def __init__(self, kind: str) -> None:
        self._splitter = EventSplitter()
        self._problems = [] if "text/event-stream" in kind else [f"content type {kind or 'none'!r}, not event-stream"]
        self._texts: list[str] = []
        self._ids: set[str] = set()
        self._finish: str | None = None
        self._usage: dict[str, Any] | None = None
        self._chunks = 0
        self._rest = b""
        self.ended = False

    def feed(self, piece: bytes) -> None:
        self._rest = (self._rest + piece)[-4:]
        try:
            events = self._splitter.feed(piece)
        except EventTooLarge:
            self._problem("an event without end")
            return
        for data in events:
            self._event(data)

    def read(self) -> Read:
        """What it came to. Call once all pieces are fed."""
        if not self._rest.endswith((b"\n\n", b"\r\n\r\n", b"\n\r\n")) and self._chunks:
            self._problem("the last event is not ended by an empty line")
        if self._chunks == 0:
            self._problem("no chunk at all")
        elif self._finish is None:
            self._problem("no chunk has a finish_reason")
        if len(self._ids) > 1:
            self._problem(f"{len(self._ids)} different ids in one reply")
        return Read("".join(self._texts), self._finish, self._usage, self.ended, tuple(self._problems))

    def _problem(self, what: str) -> None:
        if what not in self._problems:
            self._problems.append(what)

    def _event(self, data: bytes) -> None:
        if self.ended:
            self._problem("more events after [DONE]")
            return
        if data == b"[DONE]":
            self.ended = True
            return
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            chunk = None
        if not isinstance(chunk, dict):
            self._problem(f"an event that is no JSON object: {data[:40].decode('utf-8', 'replace')!r}")
            return
        self._chunks += 1
        self._take(chunk)

    def _take(self, chunk: dict[str, Any]) -> None:
        if isinstance(usage := chunk.get("usage"), dict):
            self._usage = usage
        if chunk.get("choices") == []:
            return  # it only brings the usage, or a filter's words before the first chunk of the reply itself
        for problem in _envelope(chunk, "chat.completion.chunk"):
            self._problem(problem)
        self._ids.add(str(chunk.get("id")))
        choice = _choice(chunk)
        delta = choice.get("delta") if choice else None
        if choice is None or not isinstance(delta, dict):
            self._problem("no delta in choices[0]")
            return
        content = delta.get("content")
        if content is not None and not isinstance(content, str):
            self._problem("a delta's content is no text")
        elif content:
            self._texts.append(content)
        finish = choice.get("finish_reason")
        if finish is not None:
            self._finish = str(finish)
            if finish not in _FINISH:
                self._problem(f"finish_reason is {finish!r}")


def usage_problems(usage: dict[str, Any], most: int) -> Iterator[str]:
    """most: the tokens that were asked for; servers may count the end token besides."""
    named = {name: usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
    if wrong := [name for name, value in named.items() if not isinstance(value, int) or isinstance(value, bool)]:
        yield f"usage has no count under {', '.join(wrong)}"
        return
    prompt, completion, total = (int(str(value)) for value in named.values())
    if prompt + completion != total:
        yield f"usage says {prompt} and {completion} tokens, and {total} together"
    if prompt < 1:
        yield f"usage counts {prompt} tokens of a prompt"
    if not 0 <= completion <= most + 1:
        yield f"usage counts {completion} tokens of a reply of at most {most}"


def _envelope(found: dict[str, Any], kind: str) -> Iterator[str]:
    if found.get("object") != kind:
        yield f"object is {found.get('object')!r}, not {kind!r}"
    if not isinstance(found.get("id"), str) or not found["id"]:
        yield "no id"
    if not isinstance(found.get("model"), str):
        yield "no model"
    if not isinstance(found.get("created"), int):
        yield "no time of creation"
    if not isinstance(found.get("choices"), list):
        yield "no list of choices"


def _choice(found: dict[str, Any]) -> dict[str, Any] | None:
    choices = found.get("choices")
    if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
        return None
    return choices[0]
