"""Does an adapter do anything, and nothing where it is not asked for?"""

from __future__ import annotations

from pathlib import Path

from safetensors import safe_open

from fourways.compare.health.asking import Asker
from fourways.compare.health.faults import finding
from fourways.compare.health.outcome import Outcome
from fourways.compare.health.questions import LETTER, SEES, YES_NO, one_picture, square
from fourways.compare.health.sense import LETTERS, YES_WORDS
from fourways.compare.health.steady import same
from fourways.core.conversation import Conversation
from fourways.core.errors import UserError
from fourways.core.health import Finding
from fourways.engines import LocalEngine

_LEAST_EFFECT = _SAME = 1e-4
"""Nats. Adding zeros may round otherwise (4e-6 was seen in float32); training moves some score by far more."""
_TOKENS = 16


async def check_adapter(asker: Asker, engine: LocalEngine, folder: Path) -> Outcome:
    """Canaries with and without it. Raises Unanswered and Refused."""
    name = str(folder)
    try:
        await engine.load_adapter(name, folder)
    except UserError as error:
        return Outcome("it cannot be loaded", (finding("adapter.refused", error.message, error.hint),))
    try:
        return await _effect(asker, name)
    finally:
        await engine.unload_adapter(name)


async def _effect(asker: Asker, name: str) -> Outcome:
    before, said_before = await _canaries(asker, None), await asker.say(one_picture(), _TOKENS)
    under = await _canaries(asker, name)
    after, said_after = await _canaries(asker, None), await asker.say(one_picture(), _TOKENS)
    effect, leak = _apart(before, under), _apart(before, after)
    found: list[Finding] = []
    if _is_blank(Path(name)):
        found.append(
            finding("adapter.idle", f"{name}: the second factor of every pair is all zeros, as before training")
        )
    elif effect < _LEAST_EFFECT:
        found.append(finding("adapter.idle", f"{name}: no score of {len(before)} moved by more than {effect:.1g} nats"))
    if leak > _SAME or not same(said_before, said_after):
        found.append(finding("adapter.leaks", f"{name}: the base's own scores moved by {leak:.3g} nats after it"))
    return Outcome(f"moves a score by up to {effect:.3g} nats; the base is as before to {leak:.1g}", tuple(found))


def _is_blank(folder: Path) -> bool:
    """Whether the weights say so themselves, whatever rounding makes of it."""
    with safe_open(str(folder / "adapter_model.safetensors"), framework="pt") as opened:
        names = list(opened.keys())
        seconds = [name for name in names if ".lora_B." in name]
        return bool(seconds) and not any(bool(opened.get_tensor(name).any()) for name in seconds)


async def _canaries(asker: Asker, adapter: str | None) -> tuple[float, ...]:
    """Scores of texts and of a picture, so that an adapter of the tower alone shows too. Each round begins with empty
    caches: a prompt that is taken up in its middle is rounded otherwise."""
    await asker.engine.clear_caches()
    asked = (
        (Conversation.ask(YES_NO[0]), YES_WORDS),
        (Conversation.ask(LETTER[0]), LETTERS),
        (Conversation.ask(SEES.format("red"), square("red")), YES_WORDS),
    )
    return tuple([score for one, words in asked for score in await asker.rank(one, words, adapter=adapter)])


def _apart(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=True))
