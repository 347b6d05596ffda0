"""What servers send, as far as it is read. Unknown fields are ignored; a field of another type is an error."""

from __future__ import annotations

import msgspec

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What decoding raises: no JSON, no UTF-8, JSON nested without end."""


class TopLogprob(msgspec.Struct):
    logprob: float


class Logprobs(msgspec.Struct):
    content: list[TopLogprob] | None = None


class Delta(msgspec.Struct):
    content: str | None = None


class Choice(msgspec.Struct):
    """stop_reason and token_ids are vLLM's: the stop string, or the stop token that is not EOS; ids of this delta."""

    index: int = 0
    delta: Delta = msgspec.field(default_factory=Delta)
    finish_reason: str | None = None
    stop_reason: int | str | None = None
    token_ids: list[int] | None = None
    logprobs: Logprobs | None = None


class PromptDetails(msgspec.Struct):
    """multimodal_tokens: vLLM's, by modality."""

    multimodal_tokens: dict[str, int] | None = None


class WireUsage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None


class Problem(msgspec.Struct):
    message: str = ""


class Chunk(msgspec.Struct):
    choices: list[Choice] = []
    usage: WireUsage | None = None
    error: Problem | str | None = None


class Refusal(msgspec.Struct):
    """The body of an error: OpenAI's form, or FastAPI's."""

    error: Problem | str | None = None
    message: str | None = None
    detail: object = None


class Model(msgspec.Struct):
    id: str


class Models(msgspec.Struct):
    data: list[Model]


class Version(msgspec.Struct):
    version: str


def complaint(content: bytes) -> str:
    """What the body of an error says, or its beginning if it is not JSON."""
    try:
        refusal = msgspec.json.decode(content, type=Refusal)
    except UNREADABLE:
        return content[:1000].decode("utf-8", "replace")
    error = refusal.error.message if isinstance(refusal.error, Problem) else refusal.error
    if error or refusal.message:
        return error or refusal.message or ""
    if refusal.detail is not None:
        return refusal.detail if isinstance(refusal.detail, str) else msgspec.json.encode(refusal.detail).decode()
    return content[:1000].decode("utf-8", "replace")
