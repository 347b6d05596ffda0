"""statement.json: which files a run is made of, by SHA-256, and how to read them; what a signature is put under.

An in-toto Statement v1 (github.com/in-toto/attestation, spec/v1/statement.md). Contract: a run has one statement, byte
for byte, and only that one is read: each subject on a line of its own, in the order of names, so that `sed` turns it
into the list that `sha256sum -c` reads. Every regular file of the run's folder is a subject, but for the statement, its
signature and hidden files. Names are plain relative paths inside the folder; a link is no file of a run.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath

import msgspec

from fourways.core.digests import hash_file
from fourways.core.errors import FourwaysError, UserError
from fourways.core.run import RunHeader, SourceState
from fourways.core.run_files import ROWS_FILE, RUN_FILE, SIGNATURE_FILE, STATEMENT_FILE, SUMMARY_FILE, write_whole

STATEMENT_SCHEMA = "fourways.statement/v1"
STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "urn:fourways:run-statement:v1"
LARGEST = 16 << 20
"""Bytes of a statement that is read: a run of a hundred thousand files."""
NEEDED = (RUN_FILE, ROWS_FILE, SUMMARY_FILE)
"""Without these there is nothing to verify."""

PROVES = ("that the holder of the key put it under exactly these files: no byte of them has changed since",)
DOES_NOT_PROVE = (
    "that the rows are true: whoever signs can measure wrongly, or write rows by hand",
    "when it was made: the time in a signature is what the signer's clock said",
    "whose key it is: a user id is what the key's maker wrote",
    "that no other run was made and kept back",
)

_NAME = re.compile(r'(?![-\s])[^"\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+')
_DIGEST = re.compile(r"[0-9a-f]{64}")


class Tolerances(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How near a figure that is computed again must come. value: by how much of itself a value may differ, intervals:
    by how much of the interval's width an end may. `*_elsewhere`: the same where the processor, Python, NumPy or SciPy
    are not the run's: sums are then added in another order, and resampling may draw other numbers."""

    value: float = 0.0
    interval: float = 0.0
    value_elsewhere: float = 1e-9
    interval_elsewhere: float = 0.04


class RunPredicate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is said of the files. definitions: name@version → what it is, of every figure in summary.json. tolerances,
    proves, does_not_prove: for whoever reads it; who verifies goes by those of the version that verifies."""

    schema: str
    run_id: str
    seed: int
    source: SourceState
    definitions: dict[str, str]
    tolerances: Tolerances
    proves: tuple[str, ...]
    does_not_prove: tuple[str, ...]


class Digest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sha256: str


class Subject(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file. name: its path from the run's folder, with `/`."""

    name: str
    digest: Digest


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"type_": "_type"}):
    """statement.json."""

    type_: str
    subject: tuple[Subject, ...]
    predicateType: str  # noqa: N815  # in-toto's own name
    predicate: RunPredicate


class StatementError(FourwaysError):
    """statement.json is not one that this version writes."""


def make_statement(folder: Path, header: RunHeader, definitions: Mapping[str, str]) -> Statement:
    """The statement over the files as they lie there now. definitions: of the figures in summary.json.

    Raises UserError if a file that every run has is missing or a link."""
    files = dict(run_files(folder))
    if missing := [name for name in NEEDED if name not in files]:
        raise UserError(
            f"{folder / missing[0]} is no regular file, so no statement can be made of this run",
            hint="a run's files are kept in its folder, not behind links",
        )
    return Statement(
        STATEMENT_TYPE,
        tuple(Subject(name, Digest(hash_file(files[name]))) for name in sorted(files)),
        PREDICATE_TYPE,
        RunPredicate(
            STATEMENT_SCHEMA,
            header.run_id,
            header.seed,
            header.source,
            dict(sorted(definitions.items())),
            Tolerances(),
            PROVES,
            DOES_NOT_PROVE,
        ),
    )


def write_statement(folder: Path, header: RunHeader, definitions: Mapping[str, str]) -> bool:
    """Writes statement.json, whole or not at all. A signature of other bytes holds no more: it is removed, and True
    says so."""
    content = encode_statement(make_statement(folder, header, definitions))
    path, signature = folder / STATEMENT_FILE, folder / SIGNATURE_FILE
    stale = signature.exists() and not (path.exists() and path.read_bytes() == content)
    if stale:
        signature.unlink()
    write_whole(path, content)
    return stale


def encode_statement(statement: Statement) -> bytes:
    """The one form of a statement: UTF-8, a line a subject, sorted; the rest indented by one."""
    files = ",\n".join(
        f'  {{"name": "{one.name}", "digest": {{"sha256": "{one.digest.sha256}"}}}}'
        for one in sorted(statement.subject, key=lambda one: one.name)
    )
    predicate = msgspec.json.format(msgspec.json.encode(statement.predicate), indent=1).decode().replace("\n", "\n ")
    return (
        f'{{\n "_type": "{STATEMENT_TYPE}",\n "subject": [\n{files}\n ],\n'
        f' "predicateType": "{PREDICATE_TYPE}",\n "predicate": {predicate}\n}}\n'
    ).encode()


def decode_statement(content: bytes) -> Statement:
    """Raises StatementError for anything but the bytes that `encode_statement` makes: other fields, a key given twice,
    a name that leads out of the folder, another layout."""
    try:
        statement = msgspec.json.decode(content, type=Statement)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StatementError(f"{STATEMENT_FILE} is not a statement of a run: {error}", hint=_HINT) from error
    if (found := statement.predicate.schema) != STATEMENT_SCHEMA:
        raise StatementError(f"{STATEMENT_FILE} is of schema {found!r}, and this version reads {STATEMENT_SCHEMA}")
    for one in statement.subject:
        if not is_plain(one.name) or not _DIGEST.fullmatch(one.digest.sha256):
            raise StatementError(f"{STATEMENT_FILE} names {one.name!r}, which is no file inside a run", hint=_HINT)
    if twice := {one.name for one in statement.subject if one.name in (STATEMENT_FILE, SIGNATURE_FILE)}:
        raise StatementError(f"{STATEMENT_FILE} names {twice.pop()}, which it cannot hold the digest of", hint=_HINT)
    if len({one.name for one in statement.subject}) != len(statement.subject):
        raise StatementError(f"{STATEMENT_FILE} names a file twice", hint=_HINT)
    if encode_statement(statement) != content:
        raise StatementError(f"{STATEMENT_FILE} is not in the one form that a statement has", hint=_HINT)
    return statement


_HINT = "it was edited, or written by something else than Fourways"


def is_plain(name: str) -> bool:
    """Whether a name may be a subject's: relative, normal, without what JSON, sed or sha256sum would write
    otherwise."""
    path = PurePosixPath(name)
    parts = path.parts
    return (
        bool(_NAME.fullmatch(name))
        and not path.is_absolute()
        and str(path) == name
        and bool(parts)
        and not any(part == ".." or part.startswith(".") for part in parts)
    )


def run_files(folder: Path) -> Iterator[tuple[str, Path]]:
    """(name, path) of what a statement covers, now. Links are not followed and not named."""
    for name, path, regular in everything(folder):
        if regular and is_plain(name) and name not in (STATEMENT_FILE, SIGNATURE_FILE):
            yield name, path


def everything(folder: Path) -> Iterator[tuple[str, Path, bool]]:
    """(name, path, whether it is a regular file) of all that lies in the folder and is no folder that can be looked
    into; links to folders are not entered."""
    left = [folder]
    while left:
        top = left.pop()
        try:
            with os.scandir(top) as entries:
                found = list(entries)
        except OSError:  # nobody may read it, or its path is longer than paths can be
            yield top.relative_to(folder).as_posix(), top, False
            continue
        for entry in found:
            if entry.is_dir(follow_symlinks=False):
                left.append(top / entry.name)
            else:
                path = top / entry.name
                yield path.relative_to(folder).as_posix(), path, entry.is_file(follow_symlinks=False)
