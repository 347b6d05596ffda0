"""What a workload's file may say. One struct a section; everything that is left out has a default.

An amount is a number, a list of values with weights, or a spread. Weights need not add up to 1.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec

from fourways.core.errors import MediaError
from fourways.media.limits import Limits, check_size

Positive = Annotated[int, msgspec.Meta(ge=1)]
Weight = Annotated[float, msgspec.Meta(gt=0, le=1e9)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
Language = Literal["de", "en", "es", "zh"]
Format = Literal["jpeg", "png"]
Content = Literal["photo", "page"]

_NAME = re.compile(r"[\w.@+-]{1,64}")
_BYTES_PER_PIXEL = 7
"""What `media` counts for decoding a PNG or a baseline JPEG."""
DEFAULT_SIZE = "1024x768"
"""Of pictures whose trace says only how many they are."""
MOST_FRAMES, MOST_WORDS, MOST_VISUALS = 64, 200_000, 64


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the file; a field that is not in it is an error."""


class Value(Section, frozen=True):
    value: Annotated[int, msgspec.Meta(ge=0)]
    weight: Weight = 1.0


class Spread(Section, frozen=True):
    """Log-normal: half lie below `median`, and two thirds within a factor `factor` of it; what would lie outside of
    least and most is put on them."""

    median: Positive
    factor: Annotated[float, msgspec.Meta(gt=1, le=100)]
    least: Positive
    most: Positive


Amount = Annotated[int, msgspec.Meta(ge=0)] | list[Value] | Spread


class SizeChoice(Section, frozen=True):
    size: str
    weight: Weight = 1.0


class AspectChoice(Section, frozen=True):
    aspect: str
    weight: Weight = 1.0


class FormatChoice(Section, frozen=True):
    format: Format
    weight: Weight = 1.0


class LanguageChoice(Section, frozen=True):
    language: Language
    weight: Weight = 1.0


class AdapterChoice(Section, frozen=True):
    """adapter: its name (a folder for the local engine, a served model's name for a server); null: none."""

    adapter: str | None
    weight: Weight = 1.0


class BudgetChoice(Section, frozen=True):
    """visual_tokens: at most so many for each picture; null: the family's own default."""

    visual_tokens: Positive | None
    weight: Weight = 1.0


class Images(Section, frozen=True):
    """count: a request. size: WIDTHxHEIGHT; or pixels (width x height) with aspects. quality: of JPEG. repeated: the
    share of pictures that have been sent before in this workload."""

    count: Amount = 1
    size: str | list[SizeChoice] | None = None
    pixels: Amount | None = None
    aspect: str | list[AspectChoice] = "4x3"
    format: Format | list[FormatChoice] = "jpeg"
    quality: Annotated[int, msgspec.Meta(ge=30, le=98)] = 85
    content: Content = "photo"
    repeated: Share = 0.0


class Videos(Section, frozen=True):
    """count: clips a request. Every frame is a keyframe, so that all readers see the same ones. repeated: the share of
    clips that have been sent before."""

    count: Amount = 1
    size: str | list[SizeChoice] = "448x336"
    frames: Amount = 8
    fps: Annotated[float, msgspec.Meta(gt=0, le=60)] = 2.0
    repeated: Share = 0.0


class System(Section, frozen=True):
    """A system prompt that requests share. share: of the requests that begin with it."""

    words: Positive
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0


class Prompt(Section, frozen=True):
    """The text after the pictures: a fixed one, or so many words, or about so many tokens. repeated: the share of
    prompts that have been sent before, with other pictures or the same."""

    text: str | None = None
    words: Amount | None = None
    tokens: Amount | None = None
    language: Language | list[LanguageChoice] = "en"
    system: System | None = None
    repeated: Share = 0.0


_PROMPT = Prompt(words=16)


class Answer(Section, frozen=True):
    """exact: the end is ignored until `tokens` are there; up_to: the model may end before."""

    tokens: Amount = 64
    length: Literal["exact", "up_to"] = "exact"


class WorkloadSpec(Section, frozen=True):
    """A workload. Its requests follow from this and a seed alone.

    benchmark: take questions and pictures from it in place of made ones; with an answer, its length in place of the
    benchmark's. trace: a file of instants and lengths to be replayed, beside this one; where it says nothing, the other
    sections hold. repeated: the share of requests that are, in everything, one that has been sent before.
    """

    name: str
    note: str = ""
    version: Positive = 1
    benchmark: str | None = None
    trace: str | None = None
    images: Images | None = None
    videos: Videos | None = None
    prompt: Prompt = _PROMPT
    answer: Answer | None = None
    adapters: list[AdapterChoice] = []
    visual_budget: Positive | list[BudgetChoice] | None = None
    repeated: Share = 0.0
    seed: int = 0

    @property
    def label(self) -> str:
        """As it stands in rows and tables: another version is another workload."""
        return self.name if self.version == 1 else f"{self.name}@{self.version}"


def pair(text: str) -> tuple[int, int]:
    """`1024x768` → (1024, 768); for sizes and aspect ratios. Raises ValueError."""
    left, cross, right = text.lower().partition("x")
    if not (cross and left.isdecimal() and right.isdecimal() and int(left) > 0 and int(right) > 0):
        raise ValueError(f"{text!r} is not WIDTHxHEIGHT, such as 1024x768")
    return int(left), int(right)


def check(spec: WorkloadSpec) -> None:
    """What types cannot say. Raises ValueError: `field: what is wrong`."""
    if spec.benchmark is not None and (spec.trace or spec.images or spec.videos or spec.repeated):
        raise ValueError("benchmark: its questions bring their own pictures; leave images, videos, trace, repeated out")
    if spec.benchmark is not None and spec.prompt != _PROMPT:
        raise ValueError("prompt: a benchmark's questions are its prompts; leave it out")
    if spec.trace is not None and spec.repeated:
        raise ValueError("repeated: a trace says itself what is sent; leave it out, or use images.repeated")
    if not _NAME.fullmatch(spec.name):
        raise ValueError("name: 1 to 64 letters, digits or . _ @ + -")
    if spec.images is not None:
        _check_images(spec.images)
    if spec.videos is not None:
        _check_videos(spec.videos)
    _check_prompt(spec.prompt)
    if spec.answer is not None:
        _check_amount(spec.answer.tokens, "answer.tokens", least=1, most=MOST_WORDS)
    if isinstance(spec.visual_budget, list) and not spec.visual_budget:
        raise ValueError("visual_budget: the list is empty")


def bounds(amount: Amount) -> tuple[int, int]:
    """The least and the most that an amount can be."""
    if isinstance(amount, int):
        return amount, amount
    if isinstance(amount, Spread):
        return amount.least, amount.most
    values = [choice.value for choice in amount]
    return min(values), max(values)


def _check_images(images: Images) -> None:
    _check_amount(images.count, "images.count", least=0, most=MOST_VISUALS)
    if (images.size is None) == (images.pixels is None):
        raise ValueError("images: give exactly one of size (1024x768) and pixels (with aspect)")
    for text in _listed(images.size, "images.size"):
        check_size_of(text, "images.size")
    aspects = [_pair(text, "images.aspect") for text in _listed(images.aspect, "images.aspect")]
    if max(max(one) / min(one) for one in aspects) > Limits().aspect:
        raise ValueError(f"images.aspect: one side may be at most {Limits().aspect:g} times the other")
    if isinstance(images.format, list) and not images.format:
        raise ValueError("images.format: the list is empty")
    if images.pixels is not None:
        most = Limits().decode_bytes // _BYTES_PER_PIXEL
        _check_amount(images.pixels, "images.pixels", least=256, most=most)


def _check_videos(videos: Videos) -> None:
    _check_amount(videos.count, "videos.count", least=0, most=MOST_VISUALS)
    _check_amount(videos.frames, "videos.frames", least=1, most=MOST_FRAMES)
    for text in _listed(videos.size, "videos.size"):
        width, height = check_size_of(text, "videos.size")
        if width % 2 or height % 2:
            raise ValueError(f"videos.size: {text} is odd; encoders want even sides")
        if width * height * bounds(videos.frames)[1] > Limits().clip_pixels:
            raise ValueError(f"videos: the frames of one clip have more than {Limits().clip_pixels:,} pixels together")


def _check_prompt(prompt: Prompt) -> None:
    given = [name for name in ("text", "words", "tokens") if getattr(prompt, name) is not None]
    if len(given) != 1:
        raise ValueError(f"prompt: give exactly one of text, words, tokens, not {' and '.join(given) or 'none'}")
    if prompt.text is not None and not prompt.text.strip():
        raise ValueError("prompt.text: it is empty")
    if isinstance(prompt.language, list) and not prompt.language:
        raise ValueError("prompt.language: the list is empty")
    for name, amount in (("words", prompt.words), ("tokens", prompt.tokens)):
        if amount is not None:
            _check_amount(amount, f"prompt.{name}", least=1, most=MOST_WORDS)
    if prompt.system is not None and prompt.system.words > MOST_WORDS:
        raise ValueError(f"prompt.system.words: at most {MOST_WORDS:,}")


def _check_amount(amount: Amount, field: str, *, least: int, most: int) -> None:
    if isinstance(amount, list) and not amount:
        raise ValueError(f"{field}: the list is empty")
    if isinstance(amount, Spread) and not amount.least <= amount.median <= amount.most:
        raise ValueError(f"{field}: median must lie between least and most")
    low, high = bounds(amount)
    if low < least or high > most:
        raise ValueError(f"{field}: {low if low < least else high:,} is not between {least:,} and {most:,}")


def _listed(given: str | list[SizeChoice] | list[AspectChoice] | None, field: str) -> list[str]:
    if given is None:
        return []
    if isinstance(given, str):
        return [given]
    if not given:
        raise ValueError(f"{field}: the list is empty")
    return [choice.size if isinstance(choice, SizeChoice) else choice.aspect for choice in given]


def check_size_of(text: str, field: str) -> tuple[int, int]:
    """Width and height, within what `media` reads. Raises ValueError naming the field."""
    width, height = _pair(text, field)
    try:
        check_size(width, height, name=field, limits=Limits(), bytes_per_pixel=_BYTES_PER_PIXEL)
    except MediaError as error:
        raise ValueError(error.message) from None
    return width, height


def _pair(text: str, field: str) -> tuple[int, int]:
    try:
        return pair(text)
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None
