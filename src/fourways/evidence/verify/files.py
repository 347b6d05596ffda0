"""The bytes: every file that the statement names is there, is a file of this folder, and has its digest."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fourways.core.run_files import SIGNATURE_FILE, STATEMENT_FILE
from fourways.evidence.statement import NEEDED, Statement, everything
from fourways.evidence.verify.contract import Check, Refused, check

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Signed:
    """The files that a statement names, as it names them: what is read here has the digest there, whatever was done to
    the folder meanwhile. digests: name → hex SHA-256."""

    folder: Path
    digests: dict[str, str]

    def content(self, name: str) -> bytes:
        """Raises Refused naming the file."""
        return b"".join(self.lines(name))

    def lines(self, name: str) -> Iterator[bytes]:
        """One at a time, with their ends. Raises Refused naming the file; at its end if its bytes are not the signed
        ones."""
        digest = hashlib.sha256()
        try:
            fd = _opened(self.folder, name)
        except Refused as error:
            raise Refused(f"{name}: {error.message}") from error
        with os.fdopen(fd, "rb") as stream:
            for line in stream:
                digest.update(line)
                yield line
        if digest.hexdigest() != self.digests[name]:
            raise Refused(f"{name}: it changed while it was verified")


def check_files(folder: Path, statement: Statement) -> Check:
    """Every subject's digest, read once, through no link."""
    names = {one.name for one in statement.subject}
    reasons = [
        f"{name}: {STATEMENT_FILE} does not name it, and every run has it" for name in NEEDED if name not in names
    ]
    size = 0
    for subject in statement.subject:
        try:
            digest, length = _hashed(folder, subject.name)
        except Refused as error:
            reasons.append(f"{subject.name}: {error.message}")
            continue
        size += length
        if digest != subject.digest.sha256:
            reasons.append(f"{subject.name}: its bytes are not those that the statement names (SHA-256 {digest[:16]}…)")
    return check("files", f"SHA-256 of {len(names):,} files, {size / 2**20:,.1f} MiB", reasons)


def not_signed(folder: Path, statement: Statement) -> tuple[str, ...]:
    """What else lies in the folder."""
    known = {one.name for one in statement.subject} | {STATEMENT_FILE, SIGNATURE_FILE}
    return tuple(sorted(_shown(name) for name, _, _ in everything(folder) if name not in known))


def _shown(name: str) -> str:
    """A name may be any bytes, and not all of them are text."""
    return os.fsencode(name).decode(errors="backslashreplace")


def read_small(folder: Path, name: str, most: int) -> bytes:
    """A file's bytes. Raises Refused for a link, what is no file, or one of more than `most` bytes."""
    fd = _opened(folder, name)
    with os.fdopen(fd, "rb") as stream:
        content = stream.read(most + 1)
    if len(content) > most:
        raise Refused(f"is larger than {most:,} bytes")
    return content


def _hashed(folder: Path, name: str) -> tuple[str, int]:
    """(hex SHA-256, length) of a regular file."""
    digest, length = hashlib.sha256(), 0
    with os.fdopen(_opened(folder, name), "rb", buffering=0) as stream:
        while chunk := stream.read(_CHUNK):
            digest.update(chunk)
            length += len(chunk)
    return digest.hexdigest(), length


def _opened(folder: Path, name: str) -> int:
    """A descriptor of the regular file of that name, each folder on the way opened in turn, so that no link is
    followed. A pipe is not waited for."""
    *ways, last = name.split("/")
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        place = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for way in ways:
                deeper = os.open(way, flags | os.O_DIRECTORY, dir_fd=place)
                os.close(place)
                place = deeper
            fd = os.open(last, flags | os.O_NONBLOCK, dir_fd=place)
        finally:
            os.close(place)
    except FileNotFoundError as error:
        raise Refused("is missing") from error
    except OSError as error:
        raise Refused(_why(folder, name, error)) from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Refused("is no regular file")
    return fd


def _why(folder: Path, name: str, error: OSError) -> str:
    path = folder
    for part in name.split("/"):
        path = path / part
        if path.is_symlink():
            return "is a link, or lies behind one, and a run's files are in its folder"
    return f"cannot be read: {error.strerror or error}"
