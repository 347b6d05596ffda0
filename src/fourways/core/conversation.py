"""What is said to a model: turns of parts, immutable and hashed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:  # the commands that read no picture start without it
    import numpy as np
    from numpy.typing import NDArray

Role = Literal["system", "user", "assistant"]
Pixels: TypeAlias = "NDArray[np.uint8]"


@dataclass(frozen=True, slots=True)
class Text:
    """Plain text. It is never trusted to hold control tokens: families encode it as text."""

    text: str


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """A decoded picture.

    pixels: RGB, shape (height, width, 3), uint8, upright (EXIF applied), alpha composited.
    source: the bytes of the file as they came. source_sha256 identifies the file (data sets, evidence);
    content_hash identifies the decoded pixels, mode and size (caches), and may differ between decoders.
    """

    source: bytes = field(repr=False)
    source_sha256: str
    content_hash: str
    pixels: Pixels = field(repr=False)

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Image) and other.source_sha256 == self.source_sha256

    def __hash__(self) -> int:
        return hash(self.source_sha256)


@dataclass(frozen=True, slots=True, eq=False)
class Video:
    """A few frames of a clip. frames: (count, height, width, 3) uint8 RGB; timestamps_s: seconds, one a frame."""

    source: bytes = field(repr=False)
    source_sha256: str
    content_hash: str
    frames: Pixels = field(repr=False)
    timestamps_s: tuple[float, ...]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Video) and other.source_sha256 == self.source_sha256

    def __hash__(self) -> int:
        return hash(self.source_sha256)


Visual = Image | Video
Part = Text | Image | Video


@dataclass(frozen=True, slots=True)
class Turn:
    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """Turns in order; the last one is the user's, and the engine answers it."""

    turns: tuple[Turn, ...]

    @classmethod
    def ask(cls, text: str, *visuals: Visual, system: str | None = None) -> Conversation:
        """One user turn: the visuals, then the text; with a system turn before it if given."""
        before = () if system is None else (Turn("system", (Text(system),)),)
        return cls((*before, Turn("user", (*visuals, Text(text)))))

    @property
    def visuals(self) -> Sequence[Visual]:
        """Images and videos in the order in which the model sees them."""
        return [p for turn in self.turns for p in turn.parts if not isinstance(p, Text)]
