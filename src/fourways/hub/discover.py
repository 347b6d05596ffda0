"""Finds checkpoints and adapters below folders, and says where each was downloaded from, where its place tells.

Places that tell (docs/registry.md has them as a table):

- Hugging Face's cache: `models--ORG--NAME/snapshots/COMMIT/`, where `refs/BRANCH` holds the commit that a branch was.
- ModelScope's: `models/ORG--NAME/snapshots/REVISION/`; before that `ORG/NAME/` below `hub/`, `hub/models/` or
  `models/`, marked by a hidden file of its client, with dots of the name written `___`. The client's own hidden files
  are pickles and are never opened, but for `.mv`, which is text.

Links to folders are followed, each folder is looked at once however many lead to it, and the depth is bounded. No
weight is read, only the headers of safetensors.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from fourways.core.errors import CheckpointError
from fourways.hub.look import architecture, read_config
from fourways.hub.registry.adapters import CONFIG as ADAPTER_CONFIG
from fourways.hub.registry.adapters import look_at_adapter
from fourways.hub.weights import weight_files

DEPTH = 8
Layout = Literal["folder", "huggingface", "modelscope"]

_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_MODELSCOPE_MARKS = frozenset({".msc", ".mdl", ".mv"})
_SKIPPED = re.compile(r"\.(?!cache$).*|(datasets|spaces)--.*|__pycache__|node_modules")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_MV = re.compile(r"Revision:([\w.-]{1,100})")


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a folder's place says that it came from. source: `org/name` on the Hugging Face Hub, `modelscope:org/name`
    on ModelScope. refs: branches and tags that were this revision when they were last asked."""

    layout: Layout = "folder"
    source: str | None = None
    revision: str | None = None
    refs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Finding:
    """A model or adapter that was found. what: its architecture's class, or the kind of adapter. bytes: of its weights
    as they are here. trouble: why it cannot be used as it is."""

    kind: Literal["model", "adapter"]
    folder: Path
    origin: Origin
    what: str
    bytes: int
    trouble: str | None = None


@dataclass(slots=True)
class Search:
    """One search. note: told what was left out, a line each. configs_only: models' configurations without weights."""

    note: Callable[[str], None]
    depth: int = DEPTH
    configs_only: int = 0
    _seen: set[tuple[int, int]] = field(default_factory=set)
    _too_deep: int = 0

    def below(self, tops: Iterable[Path]) -> Iterator[Finding]:
        """What is in these folders and below them, by path."""
        for top in tops:
            for folder, names in self._walk(top):
                found = self._look(folder.resolve(), names)
                if found is not None:
                    yield found
        if self._too_deep:
            self.note(f"{self._too_deep} folders lie deeper than {self.depth} and were not looked at: --depth")

    def _walk(self, top: Path) -> Iterator[tuple[Path, frozenset[str]]]:
        """Folders and the names in them, parents first; by their real places before links."""
        waiting = [(top, 0)]
        while waiting:
            folder, depth = waiting.pop()
            try:
                stat = folder.stat()
                if (stat.st_dev, stat.st_ino) in self._seen:
                    continue
                self._seen.add((stat.st_dev, stat.st_ino))
                with os.scandir(folder) as scanned:
                    entries = sorted(scanned, key=lambda entry: (entry.is_symlink(), entry.name), reverse=True)
                    below = [folder / entry.name for entry in entries if _enters(entry)]
            except OSError as error:
                self.note(f"{folder} was left out: {error.strerror or error}")
                continue
            yield folder, frozenset(entry.name for entry in entries)
            if depth < self.depth:
                waiting += [(one, depth + 1) for one in below]
            else:
                self._too_deep += len(below)

    def _look(self, folder: Path, names: frozenset[str]) -> Finding | None:
        try:
            if "config.json" in names:
                return self._model(folder, names)
            if ADAPTER_CONFIG in names:
                return _adapter(folder, names)
        except OSError as error:
            self.note(f"{folder} was left out: {error.strerror or error}")
        return None

    def _model(self, folder: Path, names: frozenset[str]) -> Finding | None:
        """None for a config.json that is no model's, or stands alone."""
        weights = [name for name in names if name.endswith(_WEIGHTS)]
        what, trouble = "?", None
        try:
            what = architecture(folder, read_config(folder))
            weight_files(folder)
        except CheckpointError as error:
            trouble = error.message
        if not weights:
            self.configs_only += what != "?"
            return None
        if what == "?" and not any(name.endswith(".safetensors") for name in weights):
            return None
        return Finding("model", folder, origin_of(folder, names), what, _bytes(folder, weights), trouble)


def origin_of(folder: Path, names: frozenset[str] | None = None) -> Origin:
    """Of a folder by its resolved path. names: in the folder, where they were read already."""
    names = frozenset(entry.name for entry in folder.iterdir()) if names is None else names
    repository = folder.parent.parent
    if folder.parent.name == "snapshots" and repository.name.startswith("models--"):
        source = "/".join(repository.name.split("--")[1:])
        return Origin("huggingface", source, folder.name, _refs(repository / "refs", folder.name))
    if folder.parent.name == "snapshots" and repository.parent.name == "models" and "--" in repository.name:
        return Origin("modelscope", f"modelscope:{repository.name.replace('--', '/', 1)}", folder.name)
    if names & _MODELSCOPE_MARKS:
        return Origin(
            "modelscope",
            f"modelscope:{folder.parent.name}/{folder.name.replace('___', '.')}",
            _modelscope_revision(folder),
        )
    return Origin()


def known_caches() -> list[Path]:
    """The download caches of this user that are there: Hugging Face's and ModelScope's."""
    from huggingface_hub import constants

    modelscope = os.environ.get("MODELSCOPE_CACHE")
    places = [
        Path(constants.HF_HUB_CACHE),
        Path(modelscope).expanduser() if modelscope else Path.home() / ".cache" / "modelscope",
    ]
    return [place for place in places if place.is_dir()]


def _enters(entry: os.DirEntry[str]) -> bool:
    """A link that leads nowhere, or in a circle of links, is no folder."""
    try:
        return entry.is_dir() and _SKIPPED.fullmatch(entry.name) is None
    except OSError:
        return False


def _adapter(folder: Path, names: frozenset[str]) -> Finding:
    what, trouble = "?", None
    try:
        what = look_at_adapter(folder).peft_type
    except CheckpointError as error:
        trouble = error.message
    weights = [name for name in names if name.startswith("adapter_model.") and name.endswith(_WEIGHTS)]
    return Finding("adapter", folder, origin_of(folder, names), what, _bytes(folder, weights), trouble)


def _bytes(folder: Path, weights: Iterable[str]) -> int:
    """Links that lead nowhere count as nothing."""
    return sum((folder / name).stat().st_size for name in weights if (folder / name).is_file())


def _refs(refs: Path, commit: str) -> tuple[str, ...]:
    """Names of branches may hold slashes: `pr/1`."""
    if _COMMIT.fullmatch(commit) is None or not refs.is_dir():
        return ()
    found = [file for file in refs.rglob("*") if file.is_file() and file.stat().st_size <= 100]
    return tuple(
        sorted(file.relative_to(refs).as_posix() for file in found if file.read_bytes().strip() == commit.encode())
    )


def _modelscope_revision(folder: Path) -> str | None:
    try:
        if not (folder / ".mv").is_file():
            return None
        with (folder / ".mv").open(encoding="utf-8", errors="replace") as stream:
            said = _MV.match(stream.read(200))
    except OSError:
        return None
    return said[1] if said else None
