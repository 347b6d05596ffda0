"""The health of a server by URL: only what can be seen from outside. Its files and weights are out of reach."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from functools import partial

from fourways.compare.health.asking import Asker, Refused, Reply, is_busy
from fourways.compare.health.examination import Examination
from fourways.compare.health.exchange import Exchanges
from fourways.compare.health.faults import finding
from fourways.compare.health.form import form_problems
from fourways.compare.health.outcome import Outcome, passed_over
from fourways.compare.health.pace import check_pace, forced, natural
from fourways.compare.health.questions import (
    COLOURS,
    COUNT,
    DESCRIBE,
    SEES,
    TEXT,
    YES_NO,
    one_picture,
    square,
    two_pictures,
)
from fourways.compare.health.steady import check_steady
from fourways.compare.health.wire import Read, usage_problems
from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation
from fourways.core.errors import EngineError, UserError
from fourways.core.health import Finding, Limits, ModelHealth
from fourways.engines.openai.address import find_address
from fourways.engines.openai.engine import OpenAIEngine

_TOKENS = 16
_UNSEEN = ("files", "settings", "weights")
_BEHAVIOUR = ("plain", "stream", "text", "image", "images", "video", "sense", "sight", "determinism", "pace")
_SAID = frozenset({"yes", "no", "hot", "fire", "sky", "ground", "above", "below"})
_WORD = re.compile(r"[a-z]+")


async def check_server(
    candidate: Candidate, adapters: Sequence[str], limits: Limits, examination: Examination
) -> ModelHealth:
    """adapters: names under which the server serves them. Raises UserError for a URL, a key or a model name that cannot
    be used at all."""
    examination.hide = find_address(candidate).hide
    examination.skip(passed_over("no access", "a server shows only what it answers"), *_UNSEEN)
    engine = OpenAIEngine(candidate, timeout_s=2 * limits.timeout_s)  # the check's own time runs out first
    try:
        if await examination.look("reach", partial(_reach, engine, limits), otherwise="server.unreachable"):
            rest = (*_BEHAVIOUR, *(f"adapter {name}" for name in adapters))
            examination.skip(passed_over("not run", "it cannot be asked"), *rest)
        else:
            await _behaviour(candidate, engine, adapters, limits, examination)
    finally:
        await engine.close()
    return examination.concluded()


async def _reach(engine: OpenAIEngine, limits: Limits) -> Outcome:
    try:
        async with asyncio.timeout(limits.timeout_s):
            await engine.connect()
    except TimeoutError:
        told = f"no answer to a first question within {limits.timeout_s:g} s"
        return Outcome(told, (finding("unanswered", told),))
    except UserError as error:
        if "has 0 models" not in error.message:
            raise
        return Outcome(error.message, (finding("server.unreachable", error.message),))
    except EngineError as error:
        return Outcome(error.message, (finding(_why_unreached(error.message), error.message, error.hint),))
    settings = engine.info.settings
    return Outcome(f"serves {settings['served_model']}, version {settings['server_version']}")


def _why_unreached(told: str) -> str:
    """The code for what the engine says of a server that it cannot use."""
    if is_busy(told):
        return "server.busy"
    if "(HTTP 200)" in told:  # an answer, and no stream
        return "stream.format"
    return "server.refused" if "HTTP" in told else "server.unreachable"


async def _behaviour(
    candidate: Candidate, engine: OpenAIEngine, adapters: Sequence[str], limits: Limits, examination: Examination
) -> None:
    asker = Asker(engine, candidate.name, limits.timeout_s)
    answers = partial(_answers, asker)
    if await _forms(candidate, engine, limits, examination):
        rest = (*_BEHAVIOUR[2:], *(f"adapter {name}" for name in adapters))
        examination.skip(passed_over("not run", "neither form of a reply can be read"), *rest)
        return
    await examination.look("text", partial(answers, Conversation.ask(TEXT)), otherwise="server.refused")
    blind = await examination.look("image", lambda: answers(one_picture()), otherwise="image.refused")
    if blind:
        examination.skip(passed_over("not run", f"not even one picture was answered: {blind[0].code}"), "images")
    else:
        await examination.look("images", lambda: answers(two_pictures()), otherwise="images.refused")
    examination.skip(passed_over("not claimed", "a server does not say whether it takes clips"), "video")
    await examination.look("sense", partial(_sense, asker))
    if blind:
        examination.skip(passed_over("not run", f"not even one picture was answered: {blind[0].code}"), "sight")
    else:
        await examination.look("sight", partial(_sight, asker))
    steady = Conversation.ask(DESCRIBE) if blind else one_picture()
    await examination.look("determinism", partial(check_steady, asker, steady))
    await examination.look("pace", partial(_pace, asker, limits))
    for name in adapters:
        await examination.look(f"adapter {name}", partial(_adapter, asker, name), otherwise="adapter.refused")


# -- the form of replies ---------------------------------------------------------------------------------------------
async def _forms(candidate: Candidate, engine: OpenAIEngine, limits: Limits, examination: Examination) -> bool:
    """Whether neither form could be read at all, so that everything else would only say so again."""
    exchanges = Exchanges(find_address(candidate), engine.info.settings["served_model"], limits.timeout_s)
    read: dict[str, Read] = {}

    async def plain() -> Outcome:
        read["plain"] = await exchanges.plain(Conversation.ask(TEXT), _TOKENS)
        return _formed(read["plain"], "plain.format")

    async def stream() -> Outcome:
        read["stream"] = await exchanges.streamed(Conversation.ask(TEXT), _TOKENS)
        outcome = _formed(read["stream"], "stream.format")
        found = list(outcome.findings)
        if not read["stream"].ended:
            found.append(finding("stream.unfinished", "the stream ends without [DONE]"))
        whole = read.get("plain")
        if not found and whole is not None and not whole.problems and whole.text != read["stream"].text:
            told = f"{read['stream'].text[:60]!r} streamed, {whole.text[:60]!r} in one piece"
            found.append(finding("stream.differs", told))
        return Outcome(outcome.detail, tuple(found))

    try:
        first = await examination.look("plain", plain, otherwise="server.refused")
        second = await examination.look("stream", stream, otherwise="server.refused")
    finally:
        await exchanges.close()
    return _hopeless(first) and _hopeless(second)


def _hopeless(found: Sequence[Finding]) -> bool:
    return any(one.grade in ("broken", "unanswered") and one.code != "usage.wrong" for one in found)


def _formed(read: Read, code: str) -> Outcome:
    found = [finding(code, "; ".join(read.problems))] if read.problems else []
    if read.usage is None:
        found.append(finding("usage.missing", "no usage, so its tokens cannot be counted"))
    elif wrong := list(usage_problems(read.usage, _TOKENS)):
        found.append(finding("usage.wrong", "; ".join(wrong)))
    return Outcome(f"{read.text[:40]!r}, ended by {read.finish}", tuple(found))


# -- what replies say ------------------------------------------------------------------------------------------------
async def _answers(asker: Asker, asked: Conversation) -> Outcome:
    reply = await asker.say(asked, _TOKENS)
    problems = tuple(finding("reply.format", one) for one in form_problems(reply, _TOKENS, None))
    usage = reply.done.usage
    return Outcome(f"{usage.prompt_tokens} tokens in, {usage.completion_tokens} out: {reply.text[:40]!r}", problems)


async def _sense(asker: Asker) -> Outcome:
    """A word of those that were asked for, or that the question is about, in any reply."""
    replies = [await asker.say(Conversation.ask(question), 2 * _TOKENS) for question in YES_NO]
    met = [reply for reply in replies if _SAID & set(_WORD.findall(reply.text.lower()))]
    told = f"{len(met)} of {len(replies)} replies to yes-or-no questions say yes, no, or a word of the question"
    if met:
        return Outcome(told)
    return Outcome(told, (finding("answer.senseless", f"{told}: {replies[0].text[:60]!r}"),))


async def _sight(asker: Asker) -> Outcome:
    """Replies about two unlike pictures; the log-probabilities too, where they are told."""
    asked = (DESCRIBE, SEES.format("red"))
    pairs = [
        [await asker.say(Conversation.ask(question, square(colour)), _TOKENS) for colour in COLOURS]
        for question in asked
    ]
    if any(_unlike(one, other) for one, other in pairs):
        return Outcome("replies differ with the picture")
    told = f"a red and a blue square got the same replies to {len(pairs)} questions"
    return Outcome(told, (finding("vision.unmoved", told),))


async def _adapter(asker: Asker, name: str) -> Outcome:
    canaries = [*(Conversation.ask(question) for question in YES_NO), one_picture()]
    pairs = [(await asker.say(one, _TOKENS), await asker.say(one, _TOKENS, adapter=name)) for one in canaries]
    again = [await asker.say(one, _TOKENS) for one in canaries]
    found: list[Finding] = []
    if not any(_unlike(base, under) for base, under in pairs):
        found.append(finding("adapter.unmoved", f"{name}: the same replies to {len(pairs)} canaries"))
    if any(base.text != after.text for (base, _), after in zip(pairs, again, strict=True)):
        found.append(finding("answer.unsteady", f"the base's own replies changed after {name} was asked"))
    return Outcome(f"{sum(_unlike(*pair) for pair in pairs)} of {len(pairs)} canaries differ", tuple(found))


async def _pace(asker: Asker, limits: Limits) -> Outcome:
    """A reply of a known length where the server knows vLLM's `ignore_eos`, else one that should be long."""
    asked = Conversation.ask(COUNT)
    try:
        return await check_pace(asker, asked, forced(), limits)
    except Refused:
        return await check_pace(asker, asked, natural(), limits)


def _unlike(one: Reply, other: Reply) -> bool:
    return (one.text, one.done.mean_logprob) != (other.text, other.done.mean_logprob)
