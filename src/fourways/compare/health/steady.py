"""The same question twice at temperature 0: alone, and while others are answered."""

from __future__ import annotations

import asyncio

from fourways.compare.health.asking import Asker, Reply
from fourways.compare.health.faults import finding
from fourways.compare.health.outcome import Outcome
from fourways.compare.health.questions import LETTER, TEXT
from fourways.core.conversation import Conversation
from fourways.core.health import Finding

_TOKENS = 16


async def check_steady(asker: Asker, asked: Conversation) -> Outcome:
    """Five requests, with caches cleared before each round. Raises Unanswered and Refused."""
    await asker.engine.clear_caches()
    first = await asker.say(asked, _TOKENS)
    await asker.engine.clear_caches()
    again = await asker.say(asked, _TOKENS)
    await asker.engine.clear_caches()
    company, *_ = await asyncio.gather(
        asker.say(asked, _TOKENS),
        asker.say(Conversation.ask(TEXT), _TOKENS),
        asker.say(Conversation.ask(LETTER[0]), _TOKENS),
    )
    found: list[Finding] = []
    for other, where in ((again, "asked again"), (company, "asked in company of two others")):
        if not same(first, other):
            found.append(finding("answer.unsteady", f"{where}: {other.text[:60]!r} instead of {first.text[:60]!r}"))
    return Outcome("the same reply alone, again and in company" if not found else "replies differ", tuple(found))


def same(one: Reply, other: Reply) -> bool:
    """The same tokens, or the same text where the engine tells no tokens."""
    if one.ids is not None and other.ids is not None:
        return one.ids == other.ids
    return one.text == other.text
