"""A request as the body of `POST /v1/chat/completions`, and what to do when a server refuses a field.

Three kinds of fields: OpenAI's own, sent where they say anything; those of vLLM and SGLang that this request *needs* (a
server without them cannot answer it); and those that are merely *wanted*: log-probabilities, token ids, and filters at
their neutral value, because servers take other defaults from a checkpoint's generation_config.json.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from fourways.core.request import Generate

WANTED: dict[str, object] = {
    "stream_options": {"include_usage": True},
    "logprobs": True,
    "return_token_ids": True,
    "top_k": -1,
    "repetition_penalty": 1.0,
}


def needed(output: Generate) -> dict[str, object]:
    """Fields beyond OpenAI's own without which this request cannot be answered."""
    fields: dict[str, object] = {}
    if output.min_tokens:
        fields["min_tokens"] = output.min_tokens
    if output.ignore_eos:
        fields["ignore_eos"] = True
    if output.top_k:
        fields["top_k"] = output.top_k
    if output.repetition_penalty != 1.0:
        fields["repetition_penalty"] = output.repetition_penalty
    return fields


def body(messages: bytes, output: Generate, *, model: str, refused: Collection[str]) -> tuple[bytes, ...]:
    """The whole body in pieces, without the wanted fields that are in `refused`. messages: as `pictures.encode` made
    them; they are by far the longest piece, and are not copied."""
    wanted = {name: value for name, value in WANTED.items() if name not in refused}
    own: dict[str, object] = {}
    if output.temperature > 0:
        own["seed"] = output.seed
    if output.stop:
        own["stop"] = list(output.stop)
    if output.presence_penalty or output.frequency_penalty:
        own["presence_penalty"] = output.presence_penalty
        own["frequency_penalty"] = output.frequency_penalty
    others = {
        "model": model,
        "stream": True,
        "max_tokens": output.max_tokens,
        "temperature": output.temperature,
        "top_p": output.top_p,
        **own,
        **wanted,
        **needed(output),
    }
    return b'{"messages":', messages, b",", msgspec.json.encode(others)[1:]


def droppable(output: Generate, refused: Collection[str]) -> frozenset[str]:
    """The wanted fields that a request with this output could still go without."""
    return frozenset(WANTED) - frozenset(refused) - frozenset(needed(output))


def blamed(complaint: str, output: Generate) -> str | None:
    """The needed field that the complaint names."""
    return next((name for name in needed(output) if name in complaint), None)
