"""How long it takes: a warning where it is beyond the limits, never a fault.

The limits are a person's: who reads takes five words or so a second, and after ten seconds of nothing looks elsewhere.
A candidate that must meet an SLO is measured by `fourways load`; this is one request.
"""

from __future__ import annotations

from fourways.compare.health.asking import Asker, Reply
from fourways.compare.health.faults import finding
from fourways.compare.health.outcome import Outcome
from fourways.core.conversation import Conversation
from fourways.core.health import Finding, Limits
from fourways.core.request import Generate

_LEAST_TOKENS = 4
_TOKENS = 16


async def check_pace(asker: Asker, asked: Conversation, output: Generate, limits: Limits) -> Outcome:
    """Raises Unanswered and Refused."""
    reply = await asker.ask(asked, output)
    first, each = reply.first_ms, token_ms(reply)
    found: list[Finding] = []
    if first is not None and first > limits.slow_first_ms:
        found.append(finding("slow", f"{first:,.0f} ms to the first text; the limit is {limits.slow_first_ms:,.0f}"))
    if each is not None and each > limits.slow_token_ms:
        found.append(finding("slow", f"{each:,.0f} ms a token; the limit is {limits.slow_token_ms:,.0f}"))
    begun = "no text" if first is None else f"{first:,.1f} ms to the first text"
    return Outcome(f"{begun}, {'too few tokens to time' if each is None else f'{each:,.2f} ms a token'}", tuple(found))


def forced() -> Generate:
    """So many tokens whatever the model wants to say: for an engine that keeps to it."""
    return Generate(max_tokens=_TOKENS, ignore_eos=True)


def natural() -> Generate:
    """For a server that may not know `ignore_eos`."""
    return Generate(max_tokens=4 * _TOKENS)


def token_ms(reply: Reply) -> float | None:
    """From the first text to the last, for each token after the first event; None if there are too few."""
    told = [event for event in reply.events if event.text]
    counted = reply.done.usage.completion_tokens
    if counted is None or counted < _LEAST_TOKENS or len(told) < 2:
        return None
    return (told[-1].time_ns - told[0].time_ns) / 1e6 / (counted - 1)
