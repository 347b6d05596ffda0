"""Files that a benchmark's data names: found below its folder, or not at all."""

from __future__ import annotations

from functools import partial
from pathlib import Path, PurePosixPath

from fourways.benchmarks.reading.records import shown
from fourways.core.errors import BenchmarkFormatError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".JPG", ".JPEG", ".PNG")
_LONGEST = 1024


def inside(root: Path, relative: str, where: str) -> Path:
    """The path below `root`. Raises BenchmarkFormatError for an absolute path or one that climbs out: data is not
    trusted to name files elsewhere on the machine."""
    pure = PurePosixPath(relative.replace("\\", "/"))
    outside = pure.is_absolute() or ".." in pure.parts or not pure.parts or ":" in pure.parts[0]
    if outside or len(relative) > _LONGEST or "\0" in relative:
        raise BenchmarkFormatError(
            f"{where}: path {shown(relative)} does not stay below {root}",
            hint="Use a path relative to the benchmark's folder.",
        )
    return root / pure


def find_below(roots: tuple[Path, ...], relative: str, where: str) -> Path:
    """The first of the roots that holds the file. Raises BenchmarkFormatError, naming all that was tried."""
    tried = [inside(root, relative, where) for root in roots]
    for candidate in tried:
        if _is_file(candidate):
            return candidate
    raise BenchmarkFormatError(
        f"{where}: image {shown(relative)} not found in {', '.join(str(root) for root in roots)}",
        hint="Put the images beside the annotations, or link their folder there.",
    )


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that no file system takes
        return False


def reader(file: Path) -> partial[bytes]:
    """Reads the file when called. Holds its name alone: a Path is four times as large, and a set holds one a sample."""
    return partial(_read, str(file))


def _read(name: str) -> bytes:
    return Path(name).read_bytes()


def read_text(file: Path) -> str:
    """UTF-8 text. Raises BenchmarkFormatError where it is something else or cannot be read."""
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BenchmarkFormatError(
            f"{file}: not UTF-8 at byte {error.start}", hint="Save the file as UTF-8."
        ) from error
    except OSError as error:
        raise BenchmarkFormatError(
            f"{file}: {error.strerror or error}", hint="Check the path and its rights."
        ) from error


def data_names(path: Path) -> tuple[str, ...]:
    """The names of the file, or of the files in the folder and in its `data`; none where nothing is there."""
    if path.is_file():
        return (path.name,)
    return tuple(sorted(file.name for folder in (path, path / "data") if folder.is_dir() for file in folder.iterdir()))
