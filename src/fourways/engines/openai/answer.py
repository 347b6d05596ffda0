"""The deltas of one reply, added up to events and to the Done that ends them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from fourways.core.events import Done, Event, FinishReason, Usage
from fourways.core.request import Generate
from fourways.engines.openai.wire import Choice, Chunk, WireUsage

_REASONS: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


@dataclass(slots=True)
class Answer:
    """Grows by `take`; `done` says how it ended.

    The EOS token is taken out of ids, counts and log-probabilities where the server shows ids (vLLM: a "stop" without a
    stop reason ended on it). Where it does not, its usage stands as it said, which may count EOS.
    """

    output: Generate
    pending: list[int] = field(default_factory=list)
    ids: int | None = None
    logprobs: list[float] = field(default_factory=list)
    usage: WireUsage | None = None
    finish: str | None = None
    on_eos: bool = False
    began: bool = False

    def take(self, chunk: Chunk, now_ns: int) -> Event | None:
        """The text that this chunk made visible, with the ids of all tokens since the last text (None: not told)."""
        if chunk.usage is not None:
            self.usage = chunk.usage
        for choice in chunk.choices:
            if choice.index == 0:
                self._count(choice)
                text = choice.delta.content
                return self._event(text, now_ns) if text else None
        return None

    def rest(self, now_ns: int) -> Event | None:
        """Tokens that never became text, so that the events' ids together are the whole reply."""
        return self._event("", now_ns) if self.pending else None

    def done(self, now_ns: int) -> Done:
        """The end of a reply whose finish reason has come. An error where the server did not keep to the request."""
        usage = self._usage()
        count, output = usage.completion_tokens, self.output
        forced = output.max_tokens if output.ignore_eos else output.min_tokens
        if self.finish == "stop" and count is not None and count < forced:
            name = "ignore_eos" if output.ignore_eos else "min_tokens"
            return failed(
                f"the server ended after {count} of {forced} tokens: it does not keep to {name}", now_ns, usage=usage,
                hint="this needs a server with vLLM's extra fields",
            )  # fmt: skip
        reason = _REASONS.get(self.finish or "")
        if reason is None:
            return failed(f"the server ended the reply with {self.finish!r}", now_ns, usage=usage)
        mean = sum(self.logprobs) / len(self.logprobs) if self.logprobs else None
        return Done(reason, usage, now_ns, mean_logprob=mean)

    def _count(self, choice: Choice) -> None:
        scores = [entry.logprob for entry in (choice.logprobs.content or [])] if choice.logprobs else []
        ids = choice.token_ids
        self.finish = choice.finish_reason or self.finish
        if ids is not None:
            self.on_eos = choice.finish_reason == "stop" and choice.stop_reason is None and bool(ids)
            if self.on_eos:
                scores = scores[:-1] if len(scores) == len(ids) else scores
                ids = ids[:-1]
            self.pending.extend(ids)
            self.ids = (self.ids or 0) + len(ids)
        self.logprobs.extend(scores)
        self.began = self.began or bool(choice.delta.content) or bool(ids) or choice.finish_reason is not None

    def _event(self, text: str, now_ns: int) -> Event:
        ids = None if self.ids is None else tuple(self.pending)
        self.pending.clear()
        return Event(text, ids, now_ns)

    def _usage(self) -> Usage:
        said = self.usage or WireUsage()
        completion = self.ids if self.ids is not None else said.completion_tokens
        details = said.prompt_tokens_details
        visual = sum(details.multimodal_tokens.values()) if details and details.multimodal_tokens else None
        return Usage(said.prompt_tokens, visual, completion)


def failed(
    message: str,
    now_ns: int,
    *,
    usage: Usage | None = None,
    hint: str | None = None,
    reason: Literal["error"] = "error",
) -> Done:
    """The end of a request that was not answered."""
    return Done(reason, usage or Usage(None, None, None), now_ns, error=message, hint=hint)
