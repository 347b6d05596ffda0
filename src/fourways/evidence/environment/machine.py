"""What a knob may look at: files under one root, variables, and NVIDIA's library. Reads; never sets anything.

The root is `/` on a real machine. A test hangs recorded /proc and /sys trees under another one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fourways.core import nvml
from fourways.core.errors import Undefined
from fourways.evidence.environment.cpulist import parse_cpus

_PIECE = 1 << 16
_MOST_BYTES = 4 << 20
"""Of a file: /proc/cpuinfo of a thousand cores is below it."""


class Unread(Exception):
    """A setting cannot be read here; the message says why."""


def load_nvml() -> Any:
    """NVIDIA's management library, started. Raises Unread where its Python package or the driver is missing."""
    try:
        return nvml.load()
    except Undefined as error:
        raise Unread(error.reason) from None


@dataclass(frozen=True, slots=True)
class Machine:
    """root: where /proc and /sys hang. variables: of this process. nvml: gives NVIDIA's library or raises Unread.
    process: this process's id."""

    root: Path = Path("/")
    variables: Mapping[str, str] = field(default_factory=lambda: os.environ)
    nvml: Callable[[], Any] = load_nvml
    process: int = field(default_factory=os.getpid)

    def text(self, path: str) -> str:
        """The file's text without the white space around it; `path` is relative to the root. Raises Unread."""
        try:
            return _start_of(self.root / path).decode("utf-8", "replace").strip()
        except (FileNotFoundError, NotADirectoryError):
            raise Unread(f"there is no /{path}") from None
        except PermissionError:
            raise Unread(f"/{path} is closed to this user") from None
        except (OSError, ValueError) as error:
            raise Unread(f"/{path}: {getattr(error, 'strerror', None) or error}") from None

    def text_or(self, path: str, default: str) -> str:
        """The file's text, or the default where it cannot be read."""
        try:
            return self.text(path)
        except Unread:
            return default

    def number(self, path: str) -> int:
        """The file as a whole number. Raises Unread, also where it holds something else."""
        return as_number(self.text(path), path)

    def paths(self, pattern: str) -> list[str]:
        """The paths below the root that match, in the order of the numbers in their names."""
        found = (path.relative_to(self.root).as_posix() for path in self.root.glob(pattern))
        return sorted(found, key=lambda path: (len(path), path))

    def there(self, path: str) -> bool:
        """Whether something lies there that this process may know of."""
        try:
            return (self.root / path).exists()
        except OSError:
            return False

    def fields(self, path: str) -> dict[str, str]:
        """A file of `name: value` lines; of names that stand there twice, the first."""
        found: dict[str, str] = {}
        for line in self.text(path).splitlines():
            name, colon, value = line.partition(":")
            if colon:
                found.setdefault(name.strip(), value.strip())
        return found

    def affinity(self) -> frozenset[int]:
        """The CPUs that this process may run on. Raises Unread."""
        listed = self.fields("proc/self/status").get("Cpus_allowed_list")
        if listed is None:
            raise Unread("/proc/self/status names no CPUs")
        return cpus(listed)

    def memory_kib(self) -> dict[str, int]:
        """/proc/meminfo: name → KiB, or a count where the line has no unit. Lines that hold no number are left out."""
        found = {}
        for name, value in self.fields("proc/meminfo").items():
            number = value.split(" ")[0]
            if number.isascii() and number.isdigit():
                found[name] = int(number)
        return found


def _start_of(path: Path) -> bytes:
    """At most _MOST_BYTES, piece by piece: the kernel refuses one great read of some of its files."""
    pieces, read = [], 0
    with path.open("rb", buffering=0) as file:
        while read < _MOST_BYTES and (piece := file.read(_PIECE)):
            pieces.append(piece)
            read += len(piece)
    return b"".join(pieces)


def cpus(text: str) -> frozenset[int]:
    """A list of CPUs as the kernel writes it. Raises Unread."""
    try:
        return parse_cpus(text)
    except ValueError as error:
        raise Unread(str(error)) from None


def as_number(text: str, path: str) -> int:
    """Raises Unread where the text is no whole number of at most 20 digits."""
    digits = text.removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 20):
        raise Unread(f"/{path} holds {text[:40]!r}, which is no number")
    return int(text)
