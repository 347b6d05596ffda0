"""The health of a checkpoint, run in this process: cheap looks at its files first, then how it behaves."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import msgspec
from transformers.utils import logging as hf_logging

from fourways.compare.health.adapted import check_adapter
from fourways.compare.health.asking import Asker
from fourways.compare.health.examination import Examination
from fourways.compare.health.faults import finding
from fourways.compare.health.files import check_files
from fourways.compare.health.fit import LEAST_P, Fit, measure_fit
from fourways.compare.health.form import form_problems
from fourways.compare.health.outcome import Outcome, passed_over
from fourways.compare.health.pace import check_pace, forced
from fourways.compare.health.questions import PAIRS, TEXT, a_clip, one_picture, two_pictures
from fourways.compare.health.reading import in_thread
from fourways.compare.health.sense import LEAST_ORDERED, count_ordered, feel_sense
from fourways.compare.health.settings import check_settings
from fourways.compare.health.sight import feel_sight
from fourways.compare.health.steady import check_steady
from fourways.compare.health.target import LocalTarget
from fourways.compare.health.values import check_values
from fourways.compare.room import check_room
from fourways.core.candidate import Checkpoint
from fourways.core.conversation import Conversation
from fourways.core.errors import CheckpointError, UserError
from fourways.core.health import Finding, Limits, ModelHealth
from fourways.engines import LocalEngine, open_engine
from fourways.families.registry import find_family
from fourways.hub import look
from fourways.hub.manifest.settings import inner

_TOKENS = 16
_BEHAVIOUR = ("text", "image", "images", "video", "sense", "sight", "determinism", "pace")
_WIDER = {"float16": "bfloat16 or float32", "bfloat16": "float32"}
"""Dtypes in which scores may be finite that are not in this one."""
_HARMLESS = frozenset({"files.changed", "files.missing", "manifest.invalid", "template.missing"})
"""What is broken by these can still be asked: other bytes may be harmless, a file that is needed is
missed later, and families have a template of their own."""


async def check_local(target: LocalTarget, limits: Limits, examination: Examination) -> ModelHealth:
    """All probes that make sense; what one breaks, the later ones that rest on it are not made."""
    checkpoint, found = await _files(target, examination)
    fatal = [one for one in found if one.grade == "broken" and one.code not in _HARMLESS]
    if checkpoint is None or fatal:
        _leave(examination, target, f"first mend {', '.join(dict.fromkeys(one.code for one in fatal))}", "load")
        return examination.concluded()
    opened: list[LocalEngine] = []
    broken = await examination.look("load", partial(_load, target, checkpoint, opened), otherwise="load.failed")
    if not opened:
        _leave(examination, target, f"first mend {', '.join(one.code for one in broken)}")
        return examination.concluded()
    if wider := _WIDER.get(str(opened[0].info.settings["dtype"])):
        examination.hints["scores.not-finite"] = f"try --dtype {wider}"
    try:
        await _behaviour(target, limits, opened[0], examination)
    finally:
        await opened[0].close()
    return examination.concluded()


def _leave(examination: Examination, target: LocalTarget, why: str, *before: str) -> None:
    examination.skip(passed_over("not run", why), *before, *_BEHAVIOUR, *(f"adapter {one}" for one in target.adapters))


# -- files -----------------------------------------------------------------------------------------------------------
async def _files(target: LocalTarget, examination: Examination) -> tuple[Checkpoint | None, list[Finding]]:
    folder, say = target.folder, examination.say
    found: list[Finding] = []
    held: list[Checkpoint] = []

    async def hashes() -> Outcome:
        return await in_thread(lambda reading: check_files(folder, target.manifest, reading), say)

    async def whole() -> Outcome:
        held.append(await asyncio.to_thread(look, folder))
        find_family(held[0].architecture, folder)
        return Outcome(f"{held[0].architecture}, whole by its headers")

    async def settings() -> Outcome:
        return await asyncio.to_thread(check_settings, held[0])

    async def values() -> Outcome:
        return await in_thread(lambda reading: check_values(folder, reading), say)

    found += await examination.look("files", hashes, otherwise="manifest.invalid")
    if not folder.is_dir():
        examination.skip(passed_over("not run", "first mend folder.missing"), "checkpoint", "settings", "weights")
        return None, found
    broken = await examination.look("checkpoint", whole, otherwise="load.failed")
    if broken:
        examination.skip(passed_over("not run", f"first mend {broken[0].code}"), "settings", "weights")
        return None, [*found, *broken]
    found += await examination.look("settings", settings, otherwise="config.invalid")
    found += await examination.look("weights", values, otherwise="weights.damaged")
    return held[0], found


# -- behaviour -------------------------------------------------------------------------------------------------------
async def _load(target: LocalTarget, checkpoint: Checkpoint, opened: list[LocalEngine]) -> Outcome:
    candidate = msgspec.structs.replace(target.candidate, adapter=None)
    check_room(candidate, checkpoint)
    try:
        with _quiet():
            engine = await open_engine(candidate, checkpoint)
    except (CheckpointError, ImportError, RuntimeError, ValueError) as error:
        method = inner(checkpoint.config, "quantization_config").get("quant_method")
        if method is None or getattr(error, "fault", None) is not None:
            raise
        told = f"its weights are stored as {method}, which cannot be loaded here: {error}"
        return Outcome(told, (finding("load.unsupported", told),))
    assert isinstance(engine, LocalEngine)
    opened.append(engine)
    settings = engine.info.settings
    return Outcome(f"{settings['dtype']} on {settings['device']}, {settings['threads']} threads")


async def _behaviour(target: LocalTarget, limits: Limits, engine: LocalEngine, examination: Examination) -> None:
    asker = Asker(engine, target.candidate.name, limits.timeout_s)
    answers = partial(_answers, asker, engine)
    failed = await examination.look("text", partial(answers, Conversation.ask(TEXT)))
    if failed and failed[0].code in ("unanswered", "scores.not-finite"):
        rest = tuple(name for name in _BEHAVIOUR if name != "text")
        examination.skip(passed_over("not run", f"not even a text was answered: {failed[0].code}"), *rest)
        return
    await examination.look("image", lambda: answers(one_picture()))
    await examination.look("images", lambda: answers(two_pictures()))
    await _claimed(target, engine, examination, answers)
    senseless = await examination.look("sense", partial(_sense, asker, engine))
    if any(one.grade == "broken" for one in senseless):
        examination.skip(passed_over("not run", f"it makes no sense of text: {senseless[0].code}"), "sight")
    else:
        await examination.look("sight", partial(_sight, asker))
    await examination.look("determinism", partial(check_steady, asker, one_picture()))
    await examination.look("pace", lambda: check_pace(asker, Conversation.ask(TEXT), forced(), limits))
    for folder in target.adapters:
        await examination.look(f"adapter {folder}", partial(check_adapter, asker, engine, folder))


async def _claimed(target: LocalTarget, engine: LocalEngine, examination: Examination, answers: Any) -> None:
    if not engine.family.card.video:
        examination.skip(passed_over("not claimed", "its family takes no clips"), "video")
    else:
        try:
            clip = a_clip()
        except UserError as error:  # no fault of the model
            examination.skip(passed_over("not run", error.message), "video")
        else:
            await examination.look("video", lambda: answers(clip))
    if target.manifest is not None and "audio" in target.manifest.modalities:
        examination.skip(passed_over("no access", "the manifest claims audio; the local engine takes none"), "audio")


async def _answers(asker: Asker, engine: LocalEngine, asked: Conversation) -> Outcome:
    reply = await asker.say(asked, _TOKENS)
    problems = tuple(finding("reply.format", one) for one in form_problems(reply, _TOKENS, engine.family.tokenizer))
    usage = reply.done.usage
    return Outcome(
        f"{usage.prompt_tokens} tokens in ({usage.visual_tokens or 0} visual), {usage.completion_tokens} out: "
        f"{reply.text[:40]!r}",
        problems,
    )


async def _sense(asker: Asker, engine: LocalEngine) -> Outcome:
    sense = await feel_sense(asker)
    if sense.firm:
        return Outcome(str(sense))
    told = str(sense)
    if sense.none:  # as one that thinks aloud may be, or one that was never taught to answer
        ordered = await count_ordered(asker)
        told += f"; of {len(PAIRS)} sentences, {ordered} are likelier than their words in disorder"
    if not sense.none or ordered >= LEAST_ORDERED:
        return Outcome(told, (finding("answer.unexpected", told),))
    async with engine.borrow() as family:
        table: Any = family.module.get_input_embeddings()  # type: ignore[operator]  # transformers' models have it
        fit = await asyncio.to_thread(measure_fit, table.weight, family.tokenizer)
    return Outcome(told, (_why_senseless(fit, told),))


def _why_senseless(fit: Fit, told: str) -> Finding:
    """A trained embedding in which the tokenizer's words do not lie where they belong is another tokenizer's."""
    if fit.p is None:
        told += "; too few of the test's words are one token, so it may be the tokenizer as well"
        return finding("weights.garbage", told)
    told += f"; related words lie {'close' if fit.p < LEAST_P else 'no closer than others'} (p {fit.p:.3f})"
    told += f" in {'a trained' if fit.trained else 'an untrained'} embedding"
    if fit.fits or not fit.trained:
        return finding("weights.garbage", told)
    return finding("tokenizer.wrong", f"{told}{f'; its ids are off by {fit.offset}' if fit.offset else ''}")


async def _sight(asker: Asker) -> Outcome:
    sight = await feel_sight(asker)
    if sight.blind:
        return Outcome(str(sight), (finding("vision.blind", str(sight)),))
    return Outcome(str(sight), (finding("vision.weak", str(sight)),) if sight.weak else ())


@contextmanager
def _quiet() -> Iterator[None]:
    """transformers draws a table of what it could not load; the finding says it in a line."""
    switch: Any = hf_logging
    level = switch.get_verbosity()
    switch.set_verbosity_error()
    try:
        yield
    finally:
        switch.set_verbosity(level)
