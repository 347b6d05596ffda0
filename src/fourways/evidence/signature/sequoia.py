"""Signatures by pysequoia, in this process: for a container that has no gpg. The key is a file of its own."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

from fourways.core.errors import UserError
from fourways.evidence.signature.allowed import Allowed
from fourways.evidence.signature.contract import WEAK, SignatureRefused, Signed, Signer
from fourways.evidence.signature.keys import means

if TYPE_CHECKING:
    from pysequoia import Cert, Tsk


def load_sequoia() -> ModuleType:
    """Raises UserError where it is not installed."""
    try:
        import pysequoia
    except ImportError as error:
        raise UserError(
            "pysequoia is not installed", hint="pip install 'fourways[openpgp]', or install GnuPG: --backend gpg"
        ) from error
    return pysequoia


@dataclass(frozen=True, slots=True)
class Sequoia:
    """key_file: a private key, armored or binary, to sign with. passphrase_fd: where to read its passphrase."""

    name: ClassVar[str] = "sequoia"
    key_file: Path | None = None
    passphrase_fd: int | None = None

    def sign(self, content: bytes, key: str | None) -> Signed:
        pgp = load_sequoia()
        tsk = _read_key(self.key_file)
        certificate = tsk.extract_certificate()
        _check(certificate, key, self.key_file)
        try:
            signer = tsk.signer(_passphrase(self.passphrase_fd))
            packet = bytes(pgp.sign(signer, content, mode=pgp.SignatureMode.DETACHED, armor=False))
        except (RuntimeError, ValueError, OSError) as error:
            raise UserError(
                f"{self.key_file} cannot sign: {_first_line(error)}",
                hint="has its signing key expired? is the passphrase right? --passphrase-fd hands it over",
            ) from error
        own = Allowed(Path(certificate.fingerprint.upper()), bytes(certificate))
        return Signed(packet, self.verify(content, packet, own))

    def verify(self, content: bytes, packet: bytes, allowed: Allowed) -> Signer:
        pgp = load_sequoia()
        algorithm = pgp.packet.HashAlgorithm
        try:
            certificates = _merged(pgp.Cert.split_bytes(allowed.certificates))
        except (RuntimeError, ValueError) as error:
            raise UserError(f"{allowed.place} holds no public key that can be read: {_first_line(error)}") from error
        try:
            signature = pgp.Sig.from_bytes(packet)
            issuer = (signature.issuer_fingerprint or signature.issuer_key_id or "unknown").upper()
            exact = signature.signature_type == pgp.packet.SignatureType.Binary
            digest = signature.hash_algorithm
            ends = signature.expiration
        except (RuntimeError, ValueError) as error:
            raise SignatureRefused(f"it cannot be read: {_first_line(error)}") from error
        if not exact:
            raise SignatureRefused("it is not over exactly these bytes (class 00)")
        if digest not in (algorithm.SHA256, algorithm.SHA384, algorithm.SHA512):
            raise SignatureRefused(WEAK)
        if ends is not None and ends <= datetime.now(UTC):
            raise SignatureRefused("it has expired")
        try:
            valid = pgp.verify(bytes=content, store=lambda _: certificates, signature=signature).valid_sigs
        except RuntimeError as error:
            raise SignatureRefused(
                f"it is not over these bytes, or its key {issuer} is not among the allowed or could not sign then"
            ) from error
        if len(valid) != 1 or signature.created is None:
            raise SignatureRefused("it is not one good signature")
        owner = next(one for one in certificates if one.fingerprint == valid[0].certificate)
        made = valid[0].signing_key.upper()
        if owner.is_revoked or made in _revoked(owner):
            raise SignatureRefused(f"its key is revoked: {made}")
        expired = owner.expiration is not None and owner.expiration <= datetime.now(UTC)
        return Signer(
            owner.fingerprint.upper(),
            made,
            signature.created.isoformat(timespec="seconds"),
            tuple(str(one) for one in owner.user_ids),
            "the key has expired since" if expired else None,
        )


def _merged(found: Iterable[Cert]) -> list[Cert]:
    """Each certificate once: a copy from before a revocation must not stand beside the one that has it."""
    certificates: dict[str, Cert] = {}
    for one in found:
        before = certificates.get(one.fingerprint)
        certificates[one.fingerprint] = one if before is None else before.merge(one)
    return list(certificates.values())


def _revoked(certificate: Cert) -> set[str]:
    """Subkeys with a revocation, whatever its reason: pysequoia lets one that was only replaced or retired count for
    what it signed before, and the date of that is the signer's word."""
    packet = load_sequoia().packet
    found, last = set(), ""
    for one in packet.PacketPile.from_bytes(bytes(certificate)):
        if one.tag in (packet.Tag.PublicKey, packet.Tag.PublicSubkey):
            last = one.fingerprint.upper()
        elif one.tag == packet.Tag.Signature and one.signature_type == packet.SignatureType.SubkeyRevocation:
            found.add(last)
    return found


def _read_key(path: Path | None) -> Tsk:
    if path is None:
        raise UserError("pysequoia signs with a key from a file", hint="--key-file PRIVATE.asc, or --backend gpg")
    try:
        tsk: Tsk = load_sequoia().Tsk.from_bytes(path.read_bytes())
    except (RuntimeError, ValueError, OSError) as error:
        raise UserError(f"{path} is no private key that can be read: {_first_line(error)}") from error
    return tsk


def _check(certificate: Cert, key: str | None, path: Path | None) -> None:
    """Raises UserError if it may not sign, or is not the key that was asked for."""
    fingerprint = certificate.fingerprint.upper()
    if key is not None and not means(key, [fingerprint], [str(user) for user in certificate.user_ids]):
        raise UserError(f"{path} holds the key {fingerprint}, and not {key!r}")
    if certificate.is_revoked:
        raise UserError(f"the key {fingerprint} is revoked", hint="sign with another key")
    if certificate.expiration is not None and certificate.expiration <= datetime.now(UTC):
        raise UserError(f"the key {fingerprint} has expired", hint="extend it, or sign with another key")


def _passphrase(fd: int | None) -> str | None:
    """The first line of what can be read there."""
    if fd is None:
        return None
    with os.fdopen(os.dup(fd), encoding="utf-8") as stream:
        return stream.readline().rstrip("\r\n")


def _first_line(error: Exception) -> str:
    """Without the stack that pysequoia appends."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
