"""The catalogue: every edition of every benchmark, its files, where they are published, and their pinned digests.

It ships as `catalogue.json`. `FOURWAYS_DATA_CATALOGUE` names another file of the same form, for a mirror of one's own.
A digest stands in it only if somebody published it; `digests_from` says who.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from fourways.core.errors import UserError

SCHEMA = "fourways.data-catalogue/1"
VARIABLE = "FOURWAYS_DATA_CATALOGUE"
_SHIPPED = Path(__file__).with_name("catalogue.json")
_HEX = {"md5": re.compile(r"[0-9a-f]{32}"), "sha256": re.compile(r"[0-9a-f]{64}")}


class HubFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a Hugging Face repository at a revision."""

    repo: str
    revision: str
    path: str
    type: Literal["dataset", "model"] = "dataset"


class ScopeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a ModelScope data set at a revision."""

    repo: str
    revision: str
    path: str


class Unzip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to do with an archive. into: folder inside the edition's. at_most: bytes that its content may have. members:
    patterns of the names to take."""

    into: str
    at_most: int
    members: tuple[str, ...] = ("*",)


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One published file. size: exact bytes; about: rounded, where the exact number is not known. Digests are hex."""

    size: int | None = None
    about: int | None = None
    md5: str | None = None
    sha256: str | None = None
    digests_from: str | None = None
    huggingface: HubFile | None = None
    modelscope: ScopeFile | None = None
    direct: str | None = None
    unzip: Unzip | None = None

    @property
    def bytes_about(self) -> int | None:
        """Its size for a person, or None where nobody published it."""
        return self.size if self.size is not None else self.about


class Edition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One edition of a benchmark. path: what to hand to `--suite`, inside the edition's folder."""

    about: str
    license: str
    path: str
    files: dict[str, File]


class Catalogue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Benchmark key → edition name → edition. The first edition of a benchmark is the one meant by its bare key."""

    schema: str
    benchmarks: dict[str, dict[str, Edition]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """One edition by its names."""

    key: str
    name: str
    edition: Edition

    def __str__(self) -> str:
        return f"{self.key}:{self.name}"


def load_catalogue() -> Catalogue:
    """The shipped catalogue, or the one that FOURWAYS_DATA_CATALOGUE names. Raises UserError if it cannot be used."""
    file = Path(os.environ.get(VARIABLE) or _SHIPPED).expanduser()
    try:
        catalogue = msgspec.json.decode(file.read_bytes(), type=Catalogue)
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror or error}", hint=f"correct {VARIABLE}") from error
    except msgspec.DecodeError as error:
        raise UserError(f"{file} is no data catalogue: {error}", hint=f"its schema is {SCHEMA}") from error
    if catalogue.schema != SCHEMA:
        raise UserError(f"{file} is of schema {catalogue.schema!r}, and this version reads {SCHEMA}")
    for chosen in every(catalogue):
        _check(chosen, file)
    return catalogue


def every(catalogue: Catalogue) -> list[Chosen]:
    """All editions, in the catalogue's order."""
    return [
        Chosen(key, name, edition)
        for key, editions in catalogue.benchmarks.items()
        for name, edition in editions.items()
    ]


def choose(catalogue: Catalogue, word: str) -> Chosen:
    """`KEY` or `KEY:EDITION`; a bare key means its first edition. Raises UserError with the names there are."""
    key, colon, name = word.partition(":")
    editions = catalogue.benchmarks.get(key)
    if not editions:
        raise UserError(f"the catalogue has no data of {key!r}", hint=_meant(key, list(catalogue.benchmarks)))
    if not colon:
        name = next(iter(editions))
    if name not in editions:
        raise UserError(f"{key} has no edition {name!r}", hint=_meant(name, list(editions)))
    return Chosen(key, name, editions[name])


def _meant(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return (f"did you mean {close[0]}? " if close else "") + f"there are {', '.join(known)}"


def _check(chosen: Chosen, catalogue: Path) -> None:
    """A catalogue may come from elsewhere: its names must stay inside the edition's folder, its digests be digests."""
    for part in (chosen.key, chosen.name):
        if not re.fullmatch(r"[\w][\w.+-]*", part):
            raise UserError(f"{catalogue}: {part!r} is no name of a benchmark or edition")
    edition = chosen.edition
    if not edition.files:
        raise UserError(f"{catalogue}: {chosen} has no files")
    for name, file in edition.files.items():
        where = f"{catalogue}: {chosen}, file {name!r}"
        folder = file.unzip.into if file.unzip else "."
        if not _inside(name) or "/" in name or not _inside(folder) or not _inside(edition.path):
            raise UserError(f"{where}: its names do not stay inside its folder")
        for kind, form in _HEX.items():
            digest = getattr(file, kind)
            if digest is not None and not form.fullmatch(digest):
                raise UserError(f"{where}: {digest!r} is no {kind}", hint="digests are lower-case hex")
        if file.huggingface is None and file.modelscope is None and file.direct is None:
            raise UserError(f"{where}: it has no source")


def _inside(name: str) -> bool:
    pure = PurePosixPath(name)
    hidden = any(part.startswith(".") for part in pure.parts)
    return bool(name) and not pure.is_absolute() and not hidden and "\\" not in name and ":" not in name
