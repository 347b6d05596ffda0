"""A checkpoint in an original layout, rewritten beside it: all of the new folder or nothing.

Order: rules over the files' headers (every unknown tensor is named before a byte is written), room on the disk, the
hashes of what is read, the weights, the small files, the check; all in a hidden folder that then takes its name.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from fourways.core.errors import CheckpointError, FourwaysError, UserError
from fourways.core.manifest import Conversion
from fourways.hub.convert import internvl_chat, llava_v16, transformers_layout
from fourways.hub.convert.check import check_written
from fourways.hub.convert.conversation_file import CONVERSATION_FILE
from fourways.hub.convert.recipe import Options, Recipe
from fourways.hub.convert.writing import Cut, plan_cuts, write_weights
from fourways.hub.hashing import hash_files
from fourways.hub.look import architecture, read_config
from fourways.hub.weights import INDEX, SINGLE


class Layout(Protocol):
    """A file of rules. ARCHITECTURES: the class names in config.json that it is for."""

    ARCHITECTURES: tuple[str, ...]

    def recipe(self, folder: Path, config: Mapping[str, Any], options: Options) -> Recipe: ...


Stage = Literal["hash", "write", "check"]
Tell = Callable[[Stage, int, int], None]
"""Told the stage, its bytes done and its bytes in all."""

LAYOUTS: tuple[Layout, ...] = (internvl_chat, llava_v16)
_SPARE = 1 << 26


@dataclass(frozen=True, slots=True)
class Converted:
    """folder: where the checkpoint is, in the layout that transformers loads. conversion: None if it already was."""

    folder: Path
    conversion: Conversion | None


def beside(folder: Path) -> Path:
    """Where a converted checkpoint goes unless told: the name with `-hf`, in the same folder."""
    whole = folder.resolve()
    return whole.with_name(f"{whole.name}-hf")


def needs_conversion(folder: Path) -> bool:
    """Whether transformers cannot load it as it is, for its layout or its pickled weights. Raises CheckpointError."""
    named = architecture(folder, read_config(folder))
    if any(named in layout.ARCHITECTURES for layout in LAYOUTS):
        return True
    return not any((folder / name).is_file() for name in (SINGLE, INDEX))


def convert(folder: Path, out: Path | None, options: Options, tell: Tell) -> Converted:
    """Raises CheckpointError for what cannot be converted, UserError for a place that is taken, FourwaysError where the
    disk has no room. After an error, or Ctrl-C, nothing is left behind."""
    if not folder.is_dir():
        what = "not a folder" if folder.exists() else "no such folder"
        raise UserError(f"{folder}: {what}", hint="name the folder that holds config.json and the weights")
    config = read_config(folder)
    if not needs_conversion(folder):
        if out is not None:
            raise UserError(
                f"{folder} needs no conversion: transformers loads it as it is", hint="without --out: its manifest only"
            )
        return Converted(folder, None)
    place = _free_place(folder, out)
    recipe = make_recipe(folder, config, options)
    planned = plan_cuts(recipe.shards)
    _check_room(place.parent, sum(cut.bytes for cuts in planned for cut in cuts))
    files = _read_files(folder, recipe)
    before = _stamps(files)
    source = _digests(folder, files, tell)
    with _whole_or_nothing(place) as partial:
        _write(partial, recipe, planned, tell)
        after = _stamps(files)
        if changed := [file for file, stamp in before.items() if after.get(file) != stamp]:
            raise FourwaysError(f"{changed[0]} changed while it was read", hint="nothing was left behind; run it again")
    return Converted(place, Conversion(recipe.converter, recipe.layout, source))


def make_recipe(folder: Path, config: Mapping[str, Any], options: Options) -> Recipe:
    """By the layout that config.json names. Raises CheckpointError, also for values that are of no fitting kind."""
    named = architecture(folder, dict(config))
    rules = next((layout.recipe for layout in LAYOUTS if named in layout.ARCHITECTURES), transformers_layout.recipe)
    try:
        return rules(folder, config, options)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError, ArithmeticError) as error:
        raise CheckpointError(
            f"config.json in {folder} cannot be read as {named}'s: {type(error).__name__}: {error}",
            hint="use the config.json that the model was published with",
        ) from error


def _free_place(folder: Path, out: Path | None) -> Path:
    if out is None and folder.resolve().parent.name == "snapshots":
        raise UserError(
            f"{folder} lies in a cache of downloads, where nothing else belongs", hint="say where: --out DIR"
        )
    place = (out.expanduser() if out is not None else beside(folder)).absolute()
    if place.is_symlink() or (place.exists() and (not place.is_dir() or any(place.iterdir()))):
        raise UserError(f"{place} is there already", hint="name another folder: --out DIR")
    if place.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{place} lies inside the checkpoint that is read", hint="name another folder: --out DIR")
    with _disk_errors(place):
        place.parent.mkdir(parents=True, exist_ok=True)
    return place


def _check_room(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + _SPARE > free:
        raise FourwaysError(
            f"{needed / 2**30:.1f} GiB are needed, and {folder} has {free / 2**30:.1f} GiB free",
            hint="free some space, or name a folder on another disk: --out DIR",
        )


def _read_files(folder: Path, recipe: Recipe) -> list[Path]:
    """The weight files, and the small files that say how to read them."""
    small = [
        file
        for file in sorted(folder.iterdir())
        if (file.suffix in (".json", ".model", ".txt") or file.name == CONVERSATION_FILE) and file.is_file()
    ]
    return [*small, *(shard.file for shard, _ in recipe.shards)]


def _stamps(files: Sequence[Path]) -> dict[Path, tuple[int, int, int]]:
    """File → its inode, size and time of change, of those that are there."""
    seen = {file: file.stat() for file in files if file.is_file()}
    return {file: (stat.st_ino, stat.st_size, stat.st_mtime_ns) for file, stat in seen.items()}


def _digests(folder: Path, files: Sequence[Path], tell: Tell) -> dict[str, str]:
    """Name → SHA-256. Files of another folder (a vision tower) go by the folder's name and theirs."""
    digests = hash_files(files, lambda done, total: tell("hash", done, total))
    return {
        file.name if file.parent == folder else f"{file.parent.name}/{file.name}": digest
        for file, digest in digests.items()
    }


def _write(partial: Path, recipe: Recipe, planned: Sequence[Sequence[Cut]], tell: Tell) -> None:
    total, done = sum(cut.bytes for cuts in planned for cut in cuts), 0

    def written(count: int) -> None:
        nonlocal done
        done += count
        tell("write", done, total)

    tell("write", 0, total)
    write_weights(partial, planned, written)
    recipe.write_small_files(partial)
    tell("check", 0, 0)
    check_written(partial, recipe.image_token)


@contextmanager
def _whole_or_nothing(place: Path) -> Iterator[Path]:
    """A hidden folder beside `place` that becomes it at the end; removed if anything goes wrong."""
    with _disk_errors(place):
        partial = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".partial", dir=place.parent))
        try:
            yield partial
            partial.chmod(0o755)
            partial.rename(place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _disk_errors(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        raise FourwaysError(
            f"{place}: {'the disk is full' if full else error.strerror or error}",
            hint="nothing was left behind; name a folder elsewhere: --out DIR",
        ) from error
