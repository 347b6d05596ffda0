"""Signatures by the gpg program, through its status lines (GnuPG, doc/DETAILS): its words for people are not read.

Verifying never touches the caller's keyring: a new home, of this user alone, holds only the allowed keys, and gpg may
neither start an agent nor ask the network. Signing uses the caller's own keyring and agent, so that a passphrase is
asked for by the pinentry that the caller is used to. A configuration file changes neither.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from fourways.core.errors import FourwaysError, UserError
from fourways.evidence.signature.allowed import Allowed
from fourways.evidence.signature.contract import WEAK, SignatureRefused, Signed, Signer
from fourways.evidence.signature.keys import Key, find_key, read_listing

_SECONDS = 60
"""How long gpg may take where nobody is asked anything."""
_FIXED = (
    "--no-options",
    "--batch",
    "--no-greeting",
    "--no-auto-key-locate",
    "--disable-dirmngr",
    "--no-auto-check-trustdb",
)
_ALONE = ("--no-autostart", "--no-auto-key-retrieve", "--trust-model", "always", "--weak-digest", "SHA1")
_EXACT_BYTES = "00"
"""The class of a signature over bytes as they are; a text's (01) does not tell line ends apart."""
_DIGESTS = {"8", "9", "10"}
"""SHA-256, SHA-384 and SHA-512 (RFC 9580, section 9.5)."""
_CLOCKS_DIFFER = 30 * 60
"""Seconds by which a signer's clock may be ahead; as much as pysequoia allows."""
_BAD = ("BADSIG", "ERRSIG", "EXPSIG", "REVKEYSIG", "NO_PUBKEY")
_WHY = {
    "BADSIG": "it is not over these bytes",
    "EXPSIG": "it has expired",
    "REVKEYSIG": "its key is revoked",
    "NO_PUBKEY": "its key is not among the allowed",
    "ERRSIG": "it cannot be checked",
}


def find_gpg() -> str | None:
    return shutil.which("gpg") or shutil.which("gpg2")


@dataclass(frozen=True, slots=True)
class Gpg:
    """home: the keyring to sign with (None: the caller's own). passphrase_fd: where to read the passphrase (None: the
    agent asks)."""

    name: ClassVar[str] = "gpg"
    home: Path | None = None
    passphrase_fd: int | None = None

    def sign(self, content: bytes, key: str | None) -> Signed:
        if self.home is not None and not self.home.is_dir():
            raise UserError(f"--gnupghome {self.home} is no folder")
        home = () if self.home is None else ("--homedir", str(self.home.absolute()))
        secret = read_listing(_run((*home, "--with-colons", "--list-secret-keys")).text)
        public = read_listing(_run((*home, "--with-colons", "--list-keys")).text)
        chosen = find_key(key, secret, public)
        with TemporaryDirectory(prefix="fw-") as place:
            data, made = Path(place, "content"), Path(place, "signature")
            data.write_bytes(content)
            done = _run(
                (
                    *home, *self._passphrase(), "--status-fd", "1", "--digest-algo", "SHA512", "--no-armor",
                    "--local-user", f"{chosen.signs}!", "--output", str(made), "--detach-sign", "--", str(data),
                ),
                limit=None,
                fds=() if self.passphrase_fd is None else (self.passphrase_fd,),
            )  # fmt: skip
            if done.code != 0 or not made.exists():
                raise FourwaysError(f"gpg did not sign: {_last_words(done)}", hint=_unsigned(done))
            packet = made.read_bytes()
        own = Allowed(Path(chosen.fingerprint), _run((*home, "--export", "--", chosen.fingerprint)).out)
        return Signed(packet, self.verify(content, packet, own))

    def verify(self, content: bytes, packet: bytes, allowed: Allowed) -> Signer:
        with _keyring(allowed) as home:
            keys = read_listing(_run((*home, "--with-colons", "--list-keys")).text)
            if not keys:
                raise UserError(f"{allowed.place} holds no public key that gpg can read")
            with TemporaryDirectory(prefix="fw-") as place:
                data, made = Path(place, "content"), Path(place, "signature")
                data.write_bytes(content)
                made.write_bytes(packet)
                done = _run((*home, "--status-fd", "1", "--verify", "--", str(made), str(data)))
        return _signer(_status(done.text), keys, done.code)

    def _passphrase(self) -> tuple[str, ...]:
        if self.passphrase_fd is None:
            return ()
        return ("--pinentry-mode", "loopback", "--passphrase-fd", str(self.passphrase_fd))


@contextmanager
def _keyring(allowed: Allowed) -> Iterator[tuple[str, ...]]:
    """The options that make gpg see the allowed keys and no others."""
    with TemporaryDirectory(prefix="fw-") as home:
        Path(home).chmod(0o700)
        options = ("--homedir", home, *_ALONE)
        keys = Path(home, "allowed")
        keys.write_bytes(allowed.certificates)
        _run((*options, "--import", "--", str(keys)))
        yield options


def _signer(status: Sequence[Sequence[str]], keys: Sequence[Key], code: int) -> Signer:
    """Who made the one good signature that the status lines tell of. code: with which gpg ended."""
    words = {line[0]: line[1:] for line in status}
    counts = [line[0] for line in status]
    if bad := next((word for word in _BAD if word in words), None):
        if "NO_PUBKEY" in words:
            raise SignatureRefused(f"its key is not among the allowed: {words['NO_PUBKEY'][0]}")
        raise SignatureRefused(_WHY[bad])
    if code != 0 or counts.count("VALIDSIG") != 1 or not ({"GOODSIG", "EXPKEYSIG"} & words.keys()):
        raise SignatureRefused("it is not one good signature")
    made, seconds, primary = _valid(words["VALIDSIG"])
    owner = next((key for key in keys if key.fingerprint == primary), None)
    if owner is None:
        raise SignatureRefused(f"its key is not among the allowed: {primary}")
    if owner.is_revoked(made):
        raise SignatureRefused(f"its key is revoked: {made}")
    expired = owner.expiry(made)
    if expired is not None and expired <= seconds:
        raise SignatureRefused(f"its key {made} had expired when it signed")
    note = "the key has expired since" if "EXPKEYSIG" in words else None
    created = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
    return Signer(primary, made, created, owner.user_ids, note)


def _valid(said: Sequence[str]) -> tuple[str, int, str]:
    """(key, Unix time, primary key) of a VALIDSIG line. Raises SignatureRefused for one of another class, over a weak
    digest, or of a time to come."""
    made, seconds, digest, kind, primary = said[0], int(said[2]), said[7], said[8], said[9]
    if kind != _EXACT_BYTES:
        raise SignatureRefused(f"it is of class {kind}, and not over exactly these bytes (00)")
    if digest not in _DIGESTS:
        raise SignatureRefused(WEAK)
    if seconds > time.time() + _CLOCKS_DIFFER:
        raise SignatureRefused("it is dated in the future")
    return made, seconds, primary


def _status(text: str) -> list[list[str]]:
    """Lines end with a line feed alone: a user id may hold what Python also takes for the end of a line."""
    return [line.split(" ")[1:] for line in text.split("\n") if line.startswith("[GNUPG:] ")]


def _last_words(done: _Done) -> str:
    lines = [line.removeprefix("gpg: ") for line in done.said.splitlines() if line.strip()]
    return lines[-1] if lines else f"it ended with code {done.code}"


def _unsigned(done: _Done) -> str:
    words = done.said.casefold()
    if "passphrase" in words:
        return "the passphrase was wrong"
    if "cancel" in words:
        return "the question for the passphrase was cancelled"
    return "no terminal to ask at? export GPG_TTY=$(tty), or hand the passphrase over: --passphrase-fd"


@dataclass(frozen=True, slots=True)
class _Done:
    code: int
    out: bytes
    said: str

    @property
    def text(self) -> str:
        return self.out.decode(errors="replace")


def _run(arguments: Sequence[str], *, limit: int | None = _SECONDS, fds: Sequence[int] = ()) -> _Done:
    """gpg with these arguments after the fixed ones. limit: seconds; None where a person may be asked something, who
    then sees the terminal."""
    program = find_gpg()
    if program is None:
        raise UserError(
            "there is no gpg here", hint="install GnuPG, or: pip install 'fourways[openpgp]', --backend sequoia"
        )
    try:
        done = subprocess.run(
            [program, *_FIXED, *arguments],
            stdin=subprocess.DEVNULL if limit is not None else None,
            capture_output=True, timeout=limit, pass_fds=fds, check=False, env=_environment(),
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise FourwaysError(
            f"gpg did not answer within {limit} s", hint="is another gpg holding the keyring?"
        ) from error
    return _Done(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def _environment() -> Mapping[str, str]:
    """gpg's words in English, so that its reason can be told."""
    return {**os.environ, "LC_ALL": "C", "LANGUAGE": "C"}
