"""gpg's listing of keys (GnuPG, doc/DETAILS, `--with-colons`), and which of them is meant by a name."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from fourways.core.errors import UserError

_FINGERPRINT = re.compile(r"(?:0x)?([0-9A-F]{40}|[0-9A-F]{64})", re.IGNORECASE)
_EMAIL = re.compile(r"<([^<>]+)>\s*$")
_LIST = "gpg --list-secret-keys --keyid-format none"


@dataclass(slots=True)
class Part:
    """A primary key or a subkey. validity, capabilities: gpg's letters. expires: Unix time, None: never. here: its
    secret half lies in this keyring (a card or another machine may have it)."""

    validity: str
    created: int
    expires: int | None
    capabilities: str
    here: bool
    fingerprint: str = ""

    @property
    def revoked(self) -> bool:
        return self.validity == "r"

    @property
    def expired(self) -> bool:
        return self.validity == "e" or (self.expires is not None and self.expires <= time.time())

    @property
    def signs(self) -> bool:
        return "s" in self.capabilities


@dataclass(slots=True)
class Key:
    """A primary key with what belongs to it. user_ids: those that are not revoked."""

    primary: Part
    subkeys: list[Part] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    @property
    def fingerprint(self) -> str:
        return self.primary.fingerprint

    @property
    def user_ids(self) -> tuple[str, ...]:
        return tuple(self.names)

    def parts(self) -> list[Part]:
        return [self.primary, *self.subkeys]

    def is_revoked(self, fingerprint: str) -> bool:
        return any(part.revoked for part in self._concerned(fingerprint))

    def expiry(self, fingerprint: str) -> int | None:
        """When that (sub)key or its primary key expires, whichever is first."""
        return min((part.expires for part in self._concerned(fingerprint) if part.expires is not None), default=None)

    def _concerned(self, fingerprint: str) -> list[Part]:
        return [part for part in self.parts() if part is self.primary or part.fingerprint == fingerprint]


@dataclass(frozen=True, slots=True)
class Chosen:
    """fingerprint: of the primary key. signs: of the (sub)key that will sign."""

    fingerprint: str
    signs: str


def read_listing(text: str) -> list[Key]:
    """Keys in the order of the listing."""
    keys: list[Key] = []
    last: Part | None = None
    for line in text.split("\n"):  # and nothing else ends a line: user ids are their makers' words
        fields = line.split(":")
        match fields[0]:
            case "pub" | "sec":
                last = _part(fields)
                keys.append(Key(last))
            case "sub" | "ssb" if keys:
                last = _part(fields)
                keys[-1].subkeys.append(last)
            case "fpr" if last is not None:
                last.fingerprint = last.fingerprint or fields[9]
            case "uid" if keys and fields[1] != "r":
                keys[-1].names.append(_unescaped(fields[9]))
    return keys


def find_key(name: str | None, secret: Sequence[Key], public: Sequence[Key]) -> Chosen:
    """The one key that `name` (None: the only one) means, and its part that signs. secret, public: listings of the same
    keyring. Raises UserError saying why none can be used."""
    if not secret:
        raise UserError(
            "the keyring holds no private key", hint="make one: gpg --quick-generate-key YOU@EXAMPLE.ORG ed25519"
        )
    found = [
        key for key in secret if name is None or means(name, [part.fingerprint for part in key.parts()], key.names)
    ]
    if not found:
        raise UserError(f"the keyring has no private key {name!r}", hint=f"see them: {_LIST}")
    if len(found) > 1:
        several = ", ".join(key.fingerprint for key in found)
        raise UserError(
            f"{name or 'the keyring'} means {len(found)} keys: {several}", hint="name one: --key FINGERPRINT"
        )
    mine = found[0]
    known = next((key for key in public if key.fingerprint == mine.fingerprint), mine)
    _check(known.primary, f"the key {mine.fingerprint}")
    return Chosen(mine.fingerprint, _signing(name, mine, known).fingerprint)


def _check(part: Part, what: str) -> None:
    if part.revoked:
        raise UserError(f"{what} is revoked", hint="sign with another key")
    if part.expired:
        raise UserError(f"{what} has expired", hint="extend it (gpg --quick-set-expire), or sign with another key")
    if "D" in part.capabilities:
        raise UserError(f"{what} is disabled", hint="enable it (gpg --edit-key), or sign with another key")


def _signing(name: str | None, mine: Key, known: Key) -> Part:
    """The part that was named, or the newest that can sign, as gpg itself would choose."""
    here = {part.fingerprint for part in mine.parts() if part.here}
    named = _normal(name)
    if named is not None and named != mine.fingerprint:
        part = next(part for part in known.parts() if part.fingerprint == named)
        _check(part, f"the subkey {named}")
        if not part.signs or named not in here:
            raise UserError(f"the subkey {named} cannot sign here", hint=f"name the primary key: {mine.fingerprint}")
        return part
    fit = [part for part in known.parts() if part.signs and part.fingerprint in here]
    usable = [part for part in fit if not part.revoked and not part.expired]
    if not usable:
        raise UserError(
            f"no part of the key {mine.fingerprint} can sign here",
            hint="its signing keys are elsewhere, expired or revoked" if fit else f"it has no signing key: {_LIST}",
        )
    subkeys = [part for part in usable if part is not known.primary]
    return max(subkeys or usable, key=lambda part: part.created)


def means(name: str, fingerprints: Sequence[str], user_ids: Sequence[str]) -> bool:
    """Whether a name means the key with these. Raises UserError for a name that is neither a whole fingerprint nor an
    email address: a short id can be anybody's."""
    if (fingerprint := _normal(name)) is not None:
        return fingerprint in fingerprints
    if "@" not in name:
        raise UserError(f"{name!r} is neither a whole fingerprint nor an email address", hint=f"see them: {_LIST}")
    wanted = name.strip().strip("<>").casefold()
    return any(_email(user).casefold() == wanted for user in user_ids)


def _email(user_id: str) -> str:
    match = _EMAIL.search(user_id)
    return match[1] if match else user_id.strip()


def _normal(name: str | None) -> str | None:
    """A whole fingerprint in capitals; None if it is something else."""
    match = _FINGERPRINT.fullmatch("".join((name or "").split()))
    return match[1].upper() if match else None


def _part(fields: Sequence[str]) -> Part:
    expires = fields[6]
    here = len(fields) <= 14 or fields[14] != "#"
    return Part(fields[1], int(fields[5] or 0), int(expires) if expires else None, fields[11], here)


def _unescaped(text: str) -> str:
    """gpg writes a colon and control characters as \\xHH."""
    return re.sub(r"\\x([0-9a-f]{2})", lambda match: chr(int(match[1], 16)), text)
