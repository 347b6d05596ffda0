"""One sample, one request, one row: what the accuracy axis asks, however many engines it asks with."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, replace

import msgspec

from fourways.axes.contract import Opened
from fourways.axes.listening import listen
from fourways.benchmarks.answered import FAILED, OPTION, reading_of
from fourways.benchmarks.contract import Benchmark, ReplyContext, Sample
from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation, Image
from fourways.core.errors import EngineError, FourwaysError, MediaError
from fourways.core.events import Done, Usage
from fourways.core.request import Output, Plan, Rank, Request, derive_seed
from fourways.core.rows import AnswerRow
from fourways.media import read_image


@dataclass(frozen=True, slots=True)
class Picture:
    """The image of a sample, or why there is none: a MediaError if it will never be read, another error if that may
    pass (a file system that hiccups, too many open files). sha256: of the file's bytes, or the image's key if
    unreadable."""

    sha256: str
    image: Image | None
    error: FourwaysError | None = None


_STAYS_SO = (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError)


def read_picture(sample: Sample) -> Picture:
    """Never raises: what cannot be read is a picture with its error."""
    try:
        source = sample.image()
    except Exception as error:
        kind = FourwaysError if isinstance(error, OSError) and not isinstance(error, _STAYS_SO) else MediaError
        return Picture(sample.image_key, None, kind(f"{sample.id}: the image cannot be read: {_why(error)}"))
    try:
        image = read_image(source, name=sample.id)
    except MediaError as error:
        return Picture(hashlib.sha256(source).hexdigest(), None, error)
    except Exception as error:
        told = MediaError(f"{sample.id}: the image cannot be decoded: {_why(error)}")
        return Picture(hashlib.sha256(source).hexdigest(), None, told)
    return Picture(image.source_sha256, image)


def _why(error: Exception) -> str:
    if isinstance(error, FourwaysError):
        return error.message
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return f"{type(error).__name__}: {error}"


async def ask(one: Opened, benchmark: Benchmark, sample: Sample, picture: Picture, run_seed: int) -> AnswerRow:
    """Never raises for what a sample or an engine does: a failure is its row."""
    info = one.engine.info
    prompt = benchmark.prompt(sample, one.candidate.dialect or info.dialect)
    seed = derive_seed(run_seed, f"{benchmark.key}/{sample.id}")
    if picture.image is None:
        assert picture.error is not None
        reply, done = "", _failed(picture.error)
    else:
        request = Request(
            id=f"{one.candidate.name}/{benchmark.key}/{sample.id}",
            conversation=Conversation.ask(prompt, picture.image),
            plan=Plan(one.candidate.name, one.candidate.adapter, visual_budget=one.candidate.visual_budget),
            output=_sampled(benchmark.output(sample), one.candidate, seed),
        )
        reply, done = _ranked(request.output, *await _reply(one, request))
    failed = done.finish_reason in ("error", "cancelled")
    context = ReplyContext(info.box_format, done.visuals)
    reading = FAILED if failed else reading_of(benchmark, sample, reply, context)
    return AnswerRow(
        candidate=one.candidate.name,
        benchmark=benchmark.key,
        sample=sample.id,
        group=sample.group,
        image=picture.sha256,
        category=sample.category,
        question=sample.question,
        gold=sample.gold,
        reply=reply,
        parsed=reading.parsed,
        score=reading.score,
        status=reading.status,
        finish_reason=done.finish_reason,
        mean_logprob=done.mean_logprob,
        output_tokens=done.usage.completion_tokens,
        visuals=done.visuals,
        prompt_sha256=hashlib.sha256(prompt.encode()).hexdigest(),
        seed=seed,
        extra=_extra(sample, done),
        rank_logprobs=done.rank_logprobs,
    )


def _extra(sample: Sample, done: Done) -> dict[str, str]:
    """The sample's own, with what a reader needs to follow the question: the options as they stood, and the error."""
    options = {f"{OPTION}{letter}": text for letter, text in sample.options.items()}
    return {**sample.extra, **options, **({} if done.error is None else {"error": done.error})}


async def _reply(one: Opened, request: Request) -> tuple[str, Done]:
    """The whole text and its end. Whatever an engine raises is this request's failure, and no other's."""
    texts: list[str] = []
    try:
        done = await listen(one.engine, request, texts)
    except FourwaysError as error:
        done = _failed(error)
    except Exception as error:
        done = _failed(EngineError(f"the engine failed: {type(error).__name__}: {error}"))
    return "".join(texts), done


def _failed(error: FourwaysError) -> Done:
    return Done("error", Usage(None, None, None), 0, error=error.message, hint=error.hint)


def _ranked(output: Output, reply: str, done: Done) -> tuple[str, Done]:
    """Of a ranking: the likeliest continuation as the reply, and its probability among those offered as confidence."""
    sums = done.rank_logprobs
    if not isinstance(output, Rank) or sums is None:
        return reply, done
    best = max(range(len(sums)), key=sums.__getitem__)
    total = sums[best] + math.log(sum(math.exp(value - sums[best]) for value in sums))
    return output.continuations[best], msgspec.structs.replace(done, mean_logprob=sums[best] - total)


def _sampled(output: Output, candidate: Candidate, seed: int) -> Output:
    """The benchmark's output under the candidate's own sampling, with the request's seed. Nothing is drawn in a
    ranking."""
    if isinstance(output, Rank):
        return output
    asked = candidate.sampling
    return replace(
        output,
        temperature=asked.temperature,
        top_p=asked.top_p,
        top_k=asked.top_k,
        presence_penalty=asked.presence_penalty,
        repetition_penalty=asked.repetition_penalty,
        seed=seed,
    )
