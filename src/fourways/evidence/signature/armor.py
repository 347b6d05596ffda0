"""ASCII armor (RFC 9580, section 6), read strictly: what is no armor is refused, not skipped."""

from __future__ import annotations

import base64
import binascii
import re

_BLOCK = re.compile(
    rb"-----BEGIN (?P<kind>PGP [A-Z ]+)-----[ \t]*\r?\n"
    rb"(?:[A-Za-z-]+: [^\r\n]*\r?\n)*[ \t]*\r?\n"
    rb"(?P<body>(?:[A-Za-z0-9+/=]+[ \t]*\r?\n)+)"
    rb"-----END (?P=kind)-----[ \t]*(?:\r?\n|$)"
)
_WIDTH = 64


def _table(polynomial: int) -> tuple[int, ...]:
    """What eight steps of the checksum make of each byte that leaves it."""
    made = []
    for byte in range(256):
        crc = byte << 16
        for _ in range(8):
            crc = crc << 1 ^ (polynomial if crc & 0x800000 else 0)
        made.append(crc & 0xFFFFFF)
    return tuple(made)


_START, _TABLE = 0xB704CE, _table(0x864CFB)


def armored(data: bytes, kind: str) -> bytes:
    """The bytes in armor with a checksum, so that every program reads it. kind: such as `PGP SIGNATURE`."""
    text = base64.b64encode(data)
    lines = [text[start : start + _WIDTH] for start in range(0, len(text), _WIDTH)]
    check = b"=" + base64.b64encode(_crc24(data))
    name = kind.encode()
    return b"\n".join([b"-----BEGIN %s-----" % name, b"", *lines, check, b"-----END %s-----" % name, b""])


def blocks(text: bytes) -> list[tuple[str, bytes]]:
    """(kind, bytes) of every armored block of a text, whatever stands around them. Raises ValueError for one that is
    torn or whose checksum is wrong."""
    found = [(match["kind"].decode(), _bytes(match["body"])) for match in _BLOCK.finditer(text)]
    if len(found) != text.count(b"-----BEGIN PGP"):
        raise ValueError("an armored block is not whole")
    return found


def only_block(text: bytes) -> tuple[str, bytes]:
    """(kind, bytes) of a text that is one armored block and nothing else. Raises ValueError for anything else."""
    match = _BLOCK.fullmatch(text.strip() + b"\n")
    if match is None:
        raise ValueError("it is not one armored block")
    return match["kind"].decode(), _bytes(match["body"])


def _bytes(body: bytes) -> bytes:
    lines = body.split()
    check = lines.pop() if lines[-1].startswith(b"=") and len(lines[-1]) == 5 else None
    try:
        data = base64.b64decode(b"".join(lines), validate=True)
    except binascii.Error as error:
        raise ValueError(f"its base64 is broken: {error}") from error
    if check is not None and check != b"=" + base64.b64encode(_crc24(data)):
        raise ValueError("its checksum is wrong")
    return data


def _crc24(data: bytes) -> bytes:
    """RFC 9580, section 6.1.1."""
    crc = _START
    for byte in data:
        crc = (crc << 8 & 0xFFFFFF) ^ _TABLE[crc >> 16 ^ byte]
    return crc.to_bytes(3, "big")
