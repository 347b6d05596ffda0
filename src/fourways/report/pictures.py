"""What stands in the page once and is shown many times: thumbnails and the marks of candidates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from fourways.report.markup import Html, join, tag
from fourways.report.plot import DASHES, SERIES, mark, path, series
from fourways.report.thumbnails import SMALL, Thumbnail, thumbnail

MOST_BYTES = 1_600_000


@dataclass(slots=True)
class Pictures:
    """Thumbnails by source_sha256, within `room` bytes. find: source_sha256 → the file's bytes, or None if it is not at
    hand; find None: pictures are left out of this page."""

    find: Callable[[str], bytes | None] | None
    room: int = MOST_BYTES
    _held: dict[str, Thumbnail | None] = field(default_factory=dict)
    _full: bool = False

    def get(self, sha: str) -> Thumbnail | None:
        """None: `why` says it."""
        if self.find is not None and sha not in self._held and not self._full:
            source = self.find(sha)
            made = None if source is None else thumbnail(source)
            if made is not None and len(made.data_url) > self.room:
                self._full = True
                return None
            self.room -= 0 if made is None else len(made.data_url)
            self._held[sha] = made
        return self._held.get(sha)

    def why(self, sha: str) -> str:
        """Why there is no picture."""
        if self.find is None:
            return "images left out"
        return "image not at hand" if sha in self._held else "left out to keep the page small"

    def show(self, sha: str, *over: Html | None, about: str) -> Html:
        """The picture, with marks over it in its own pixels. Raises KeyError unless `get` gave one."""
        held = self._held[sha]
        if held is None:
            raise KeyError(sha)
        size = f"0 0 {held.width} {held.height}"
        drawn = tag("use", href=f"#{_id(sha)}")
        return tag("svg", drawn, *over, viewBox=size, role="img", aria_label=about, class_="picture")

    def store(self) -> Html:
        """The thumbnails themselves: must stand in the page, and before the first `show`."""
        return join(_image(sha, held) for sha, held in self._held.items() if held is not None)


def store(pictures: Pictures, names: Sequence[str]) -> Html:
    """All that is used by reference, unseen itself."""
    marks = [tag("symbol", _mark(i), id=f"mark-{i}", viewBox="0 0 28 16") for i in range(min(len(names), SERIES))]
    return tag("svg", tag("defs", *marks, pictures.store()), class_="store", aria_hidden="true", width=0, height=0)


def key(index: int) -> Html:
    """The mark of a candidate; as `plot.swatch`, by reference."""
    return tag("svg", tag("use", href=f"#mark-{index % SERIES}"), class_="swatch", aria_hidden="true")


def _mark(index: int) -> Html:
    return series(index, path([(0, 8), (28, 8)], "curve", DASHES[index % SERIES]), mark(index, 14, 8, 4.5))


def _image(sha: str, held: Thumbnail) -> Html:
    small = "small" if max(held.width, held.height) <= SMALL else None
    size = {"width": held.width, "height": held.height}
    return tag("image", id=_id(sha), href=held.data_url, preserveAspectRatio="none", class_=small, **size)


def _id(sha: str) -> str:
    return "picture-" + "".join(c for c in sha if c.isascii() and c.isalnum())
