"""Files of a workload, kept outside memory until they are sent.

Contract: a file is written once, before the first request of its block is due, to a scratch file that has no name and
goes with the process; a request holds where it lies, not what it holds. So ten thousand requests take no more memory
than one, drawing never competes with sending, and reading one back is a copy from the page cache.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Callable

from fourways.core.conversation import Image, Pixels, Video
from fourways.core.errors import FourwaysError
from fourways.media import read_image, read_video
from fourways.media.hashing import source_sha256


class Spool:
    """Bytes → a function that reads them back, from any thread."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="fourways-workload-")  # noqa: SIM115  # lives as long as its readers
        self._end = 0
        self._lock = threading.Lock()

    def put(self, content: bytes) -> Callable[[], bytes]:
        """Raises FourwaysError where the disk takes no more."""
        size = len(content)  # what is returned must not hold the content itself
        with self._lock:
            at = self._end
            try:
                self._file.seek(at)
                self._file.write(content)
                self._file.flush()
            except OSError as error:
                raise FourwaysError(
                    f"the workload's pictures cannot be kept in {tempfile.gettempdir()}: {error.strerror or error}",
                    hint="make room there, or set TMPDIR to a folder with more",
                ) from error
            self._end = at + size
        return lambda: os.pread(self._file.fileno(), size, at)


class HeldImage(Image):
    """A picture whose file is read, and decoded, when somebody looks."""

    __slots__ = ("_get", "_name")
    _get: Callable[[], bytes]
    _name: str

    def __init__(self, content: bytes, get: Callable[[], bytes], name: str) -> None:
        _set(self, source_sha256=source_sha256(content), _get=get, _name=name)

    @property
    def source(self) -> bytes:
        return self._get()

    @property
    def pixels(self) -> Pixels:
        return self.decoded().pixels

    @property
    def content_hash(self) -> str:
        return self.decoded().content_hash

    def __repr__(self) -> str:
        return f"HeldImage({self._name!r}, {self.source_sha256!r})"

    def decoded(self) -> Image:
        """Raises MediaError, naming the workload and the item, for a file that is no picture."""
        return read_image(self._get(), name=self._name)


class HeldVideo(Video):
    """A clip whose file is read, and decoded, when somebody looks. frames: how many to decode at most."""

    __slots__ = ("_get", "_most", "_name")
    _get: Callable[[], bytes]
    _most: int
    _name: str

    def __init__(self, content: bytes, get: Callable[[], bytes], name: str, most: int) -> None:
        _set(self, source_sha256=source_sha256(content), _get=get, _name=name, _most=most)

    @property
    def source(self) -> bytes:
        return self._get()

    @property
    def frames(self) -> Pixels:
        return self.decoded().frames

    @property
    def timestamps_s(self) -> tuple[float, ...]:
        return self.decoded().timestamps_s

    @property
    def content_hash(self) -> str:
        return self.decoded().content_hash

    def __repr__(self) -> str:
        return f"HeldVideo({self._name!r}, {self.source_sha256!r})"

    def decoded(self) -> Video:
        """Raises MediaError, naming the workload and the item, for a file that is no clip."""
        return read_video(self._get(), name=self._name, max_frames=self._most)


def _set(part: Image | Video, **values: object) -> None:
    for name, value in values.items():
        object.__setattr__(part, name, value)
