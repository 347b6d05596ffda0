"""The signature file: one armored block with one signature packet, and nothing else."""

from __future__ import annotations

from fourways.evidence.signature.armor import armored, only_block
from fourways.evidence.signature.contract import SignatureRefused
from fourways.evidence.signature.packets import SIGNATURE, tags

_KIND = "PGP SIGNATURE"


def signature_file(packet: bytes) -> bytes:
    """What is written for a signature packet."""
    return armored(packet, _KIND)


def signature_packet(text: bytes, name: str) -> bytes:
    """The one signature packet of an armored file, which `name` calls by its name. Raises SignatureRefused if there is
    none, more than one, or something beside it."""
    try:
        kind, packet = only_block(text)
        found = list(tags(packet))
    except ValueError as error:
        raise SignatureRefused(f"{name} is not a detached signature: {error}") from error
    if kind != _KIND or found != [SIGNATURE]:
        raise SignatureRefused(f"{name} is not one detached signature")
    return packet
