"""What signs and verifies: two methods over bytes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Protocol

import msgspec

from fourways.core.errors import FourwaysError
from fourways.evidence.signature.allowed import Allowed


class Signer(msgspec.Struct, frozen=True):
    """Who signed. fingerprint: of the primary key, by which a key is known; key: of the (sub)key that signed. Both are
    whole, in capitals. created: UTC time in the signature, by the signer's clock. user_ids: as the allow-list's copy of
    the key has them; nobody has checked that they are true. note: what else a reader must know."""

    fingerprint: str
    key: str
    created: str
    user_ids: tuple[str, ...] = ()
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Signed:
    """packet: the detached signature, binary."""

    packet: bytes
    signer: Signer


WEAK = "it is over a digest that is weak or not known: SHA-256, SHA-384 and SHA-512 count"


class SignatureRefused(FourwaysError):
    """The signature is none, is not over these bytes, or is by nobody who is allowed."""


class Backend(Protocol):
    """One way to sign and verify."""

    name: ClassVar[str]

    def sign(self, content: bytes, key: str | None) -> Signed:
        """A binary detached signature (type 0x00, SHA-512) over exactly these bytes. key: a whole fingerprint or an
        email address; None where there is only one. Raises UserError for a key that is not there, is ambiguous,
        expired, revoked, disabled or cannot sign; FourwaysError if signing failed or was cancelled."""

    def verify(self, content: bytes, packet: bytes, allowed: Allowed) -> Signer:
        """Who signed these bytes. packet: one binary signature packet. Raises SignatureRefused unless exactly one
        signature is good, over SHA-256 or longer, not of a time to come, and by a key of `allowed` that is not revoked
        and had not expired when it signed; UserError if no key of `allowed` can be read."""
