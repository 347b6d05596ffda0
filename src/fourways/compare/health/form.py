"""Has a reply of an engine the right form: its events, its tokens, its one end?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from fourways.compare.health.asking import Reply
from fourways.core.events import Done, Event

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_BROKEN = "\ufffd"


def form_problems(reply: Reply, most: int, tokenizer: PreTrainedTokenizerBase | None) -> Iterator[str]:
    """What breaks the contract of `core.engine`. most: the tokens that were asked for. tokenizer: None where there is
    none here."""
    ends = [item for item in reply.items if isinstance(item, Done)]
    if len(ends) != 1 or not isinstance(reply.items[-1], Done):
        yield f"{len(ends)} ends in the stream, not one as its last item"
        return
    done, ids = reply.done, reply.ids
    if done.finish_reason not in ("stop", "length"):
        yield f"it ended by {done.finish_reason!r}"
    times = [item.time_ns for item in reply.items]
    if times != sorted(times):
        yield "its times run backwards"
    if done.mean_logprob is not None and not (math.isfinite(done.mean_logprob) and done.mean_logprob <= 1e-3):
        yield f"a mean log-probability of {done.mean_logprob:g}"
    if ids is not None:
        yield from _tokens(reply, ids, most, tokenizer)
    elif any(not isinstance(item, Event) for item in reply.items[:-1]):
        yield "something that is no event in the stream"


def _tokens(reply: Reply, ids: tuple[int, ...], most: int, tokenizer: PreTrainedTokenizerBase | None) -> Iterator[str]:
    done = reply.done
    counted = done.usage.completion_tokens
    if counted != len(ids):
        yield f"usage counts {counted} tokens, the events hold {len(ids)}"
    if len(ids) > most:
        yield f"{len(ids)} tokens where at most {most} were asked for"
    if done.finish_reason == "length" and len(ids) < most:
        yield f"it ended by its length after {len(ids)} of {most} tokens"
    if tokenizer is None:
        return
    whole = tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)
    text = whole if isinstance(whole, str) else "".join(whole)
    if _BROKEN not in text.rstrip(_BROKEN) and text.rstrip(_BROKEN) != reply.text.rstrip(_BROKEN):
        yield f"its events add up to {reply.text[:60]!r}, its tokens to {text[:60]!r}"
