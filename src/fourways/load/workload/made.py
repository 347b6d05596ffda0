"""Requests made from a description and a seed; with a trace, of the lengths and at the instants that it recorded."""

from __future__ import annotations

from functools import partial

from fourways.load.workload.chance import Chance, amount_at, choose
from fourways.load.workload.drafts import Draft, Medium, generate, planner
from fourways.load.workload.pictures import picture
from fourways.load.workload.spec import (
    DEFAULT_SIZE,
    Amount,
    Answer,
    Content,
    Format,
    Images,
    Language,
    Prompt,
    SizeChoice,
    Videos,
    WorkloadSpec,
    pair,
)
from fourways.load.workload.text import text, words_of
from fourways.load.workload.trace_file import TraceLine

_NOTHING = TraceLine(at_s=0.0)


class Made:
    """stream: another one shares no picture and no text with this one. seed: of every draw."""

    def __init__(self, spec: WorkloadSpec, seed: int, stream: str, trace: tuple[TraceLine, ...] = ()) -> None:
        self.limit = len(trace) or None
        self.repeats = any(section.repeated > 0 for section in (spec, spec.images, spec.videos) if section is not None)
        named = {line.adapter for line in trace} | {choice.adapter for choice in spec.adapters}
        self.adapters = frozenset(name for name in named if name is not None)
        self._spec, self._stream, self._trace = spec, stream, trace
        self._images = spec.images
        if self._images is None and any(line.images for line in trace):
            self._images = Images(size=DEFAULT_SIZE, count=0)
        self._answer = spec.answer or Answer()
        self._chance = Chance(seed, stream)
        self._starts: dict[str, list[int]] = {"image": [0], "video": [0]}

    def draft(self, item: int) -> Draft:
        again = self._chance.again("request", item, self._spec.repeated)
        number = self._chance.new_before("request", item, self._spec.repeated) if again is None else again
        line = self._line(number)
        tokens = line.answer_tokens or max(1, self._amount("answer", self._answer.tokens, number))
        return Draft(
            original=f"{self._stream}/{number}",
            media=[*self._pictures(number), *self._clips(number)],
            prompt=self._prompt(number, line),
            system=self._system(number),
            output=generate(self._answer, tokens),
            planned=planner(self._spec, self._chance, number, line.adapter),
            at_s=line.at_s if self._trace else None,
        )

    def _line(self, number: int) -> TraceLine:
        """The warm-up may be longer than a trace; then it begins again, with other pictures."""
        return self._trace[number % len(self._trace)] if self._trace else _NOTHING

    # -- lengths, and what is chosen among ------------------------------------------------------------------------
    def _amount(self, name: str, amount: Amount, number: int) -> int:
        return amount if isinstance(amount, int) else amount_at(amount, self._chance.even(name, number))

    def _chosen(self, name: str, weights: list[float], number: int) -> int:
        return choose(weights, self._chance.even(name, number))

    # -- text -----------------------------------------------------------------------------------------------------
    def _prompt(self, number: int, line: TraceLine) -> partial[str]:
        prompt = self._spec.prompt
        again = self._chance.again("prompt", number, prompt.repeated)
        new = self._chance.new_before("prompt", number, prompt.repeated) if again is None else again
        language = self._language(prompt, new)
        given = line.prompt_words or (line.prompt_tokens and words_of(language, line.prompt_tokens))
        if given is None and prompt.text is not None:
            return partial(_same, prompt.text)
        return partial(_worded, self._chance, new, language, given or self._words(prompt, language, new))

    def _words(self, prompt: Prompt, language: Language, new: int) -> int:
        if prompt.words is not None:
            return self._amount("words", prompt.words, new)
        return words_of(language, self._amount("tokens", prompt.tokens or 1, new))

    def _language(self, prompt: Prompt, new: int) -> Language:
        if not isinstance(prompt.language, list):
            return prompt.language
        weights = [choice.weight for choice in prompt.language]
        return prompt.language[self._chosen("language", weights, new)].language

    def _system(self, number: int) -> str | None:
        """One text for the whole workload, the warm-up included: it is what a server has always seen."""
        system = self._spec.prompt.system
        if system is None or self._chance.even("system", number) >= system.share:
            return None
        spoken = self._spec.prompt.language
        language = spoken[0].language if isinstance(spoken, list) else spoken
        return text(Chance(0, "system"), (self._spec.name,), language, system.words)

    # -- pictures and clips ---------------------------------------------------------------------------------------
    def _pictures(self, number: int) -> list[Medium]:
        images = self._images
        if images is None:
            return []
        line = self._line(number)
        sizes = line.images if isinstance(line.images, list) else None
        slots = self._slots("image", images.count, number)
        return [self._picture(images, slot, sizes[n] if sizes else None) for n, slot in enumerate(slots)]

    def _picture(self, images: Images, slot: int, size: str | None) -> Medium:
        again = self._chance.again("image", slot, images.repeated)
        new = self._chance.new_before("image", slot, images.repeated) if again is None else again
        width, height = pair(size) if size else self._size(images, new)
        content, form = images.content, self._format(images, new)
        make = partial(_drawn, width, height, self._chance.number("pixels", new), content, form, images.quality)
        return Medium(f"image/{new}/{width}x{height}", "image", make)

    def _size(self, images: Images, new: int) -> tuple[int, int]:
        if images.pixels is None:
            return self._sized("size", images.size or DEFAULT_SIZE, new)
        aspect = images.aspect
        if isinstance(aspect, list):
            aspect = aspect[self._chosen("aspect", [choice.weight for choice in aspect], new)].aspect
        across, high = pair(aspect)
        pixels = self._amount("pixels", images.pixels, new)
        width = max(1, round((pixels * across / high) ** 0.5))
        return width, max(1, round(pixels / width))

    def _sized(self, name: str, given: str | list[SizeChoice], new: int) -> tuple[int, int]:
        if isinstance(given, list):
            given = given[self._chosen(name, [choice.weight for choice in given], new)].size
        return pair(given)

    def _format(self, images: Images, new: int) -> Format:
        if not isinstance(images.format, list):
            return images.format
        return images.format[self._chosen("format", [choice.weight for choice in images.format], new)].format

    def _clips(self, number: int) -> list[Medium]:
        videos = self._spec.videos
        if videos is None:
            return []
        return [self._clip(videos, slot) for slot in self._slots("video", videos.count, number)]

    def _clip(self, videos: Videos, slot: int) -> Medium:
        again = self._chance.again("video", slot, videos.repeated)
        new = self._chance.new_before("video", slot, videos.repeated) if again is None else again
        width, height = self._sized("clip", videos.size, new)
        frames = self._amount("frames", videos.frames, new)
        from fourways.load.workload.clips import clip  # needs FFmpeg

        make = partial(clip, width, height, frames, videos.fps, self._chance.number("frames", new))
        return Medium(f"video/{new}", "video", make, frames)

    def _slots(self, kind: str, count: Amount, number: int) -> range:
        """Which of the workload's pictures (or clips), counted over all requests, are this request's."""
        if isinstance(count, int) and not self._trace:
            return range(number * count, (number + 1) * count)
        starts = self._starts[kind]
        while len(starts) <= number + 1:
            starts.append(starts[-1] + self._count(kind, count, len(starts) - 1))
        return range(starts[number], starts[number + 1])

    def _count(self, kind: str, count: Amount, number: int) -> int:
        told = self._line(number).images if kind == "image" else None
        if told is not None:
            return len(told) if isinstance(told, list) else told
        return self._amount(f"{kind}s", count, number)


def _same(text: str, dialect: str) -> str:
    return text


def _worded(chance: Chance, new: int, language: Language, words: int, dialect: str) -> str:
    return text(chance, ("prompt", new), language, words)


def _drawn(width: int, height: int, number: int, content: Content, form: Format, quality: int) -> bytes:
    return picture(width, height, number, content=content, format=form, quality=quality)
