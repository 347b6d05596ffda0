"""As much of OpenPGP's packets (RFC 9580, section 4.2) as it takes to see what kind of thing some bytes are."""

from __future__ import annotations

from collections.abc import Iterator

SIGNATURE, SECRET_KEY, PUBLIC_KEY, SECRET_SUBKEY = 2, 5, 6, 7


def tags(data: bytes) -> Iterator[int]:
    """The tag of each packet. Raises ValueError for bytes that are no sequence of whole packets of known length."""
    place = 0
    while place < len(data):
        head = data[place]
        if not head & 0x80:
            raise ValueError(f"byte {place} begins no packet")
        tag, start, length = _new(data, place) if head & 0x40 else _old(data, place)
        place = start + length
        if place > len(data):
            raise ValueError("the last packet is torn")
        yield tag


def _number(data: bytes, start: int, size: int) -> int:
    if start + size > len(data):
        raise ValueError("a packet has no length")
    return int.from_bytes(data[start : start + size], "big")


def _new(data: bytes, place: int) -> tuple[int, int, int]:
    """(tag, where the body starts, its length) of a packet in the present format."""
    tag, first = data[place] & 0x3F, _number(data, place + 1, 1)
    if first < 192:
        return tag, place + 2, first
    if first < 224:
        return tag, place + 3, ((first - 192) << 8) + _number(data, place + 2, 1) + 192
    if first == 255:
        return tag, place + 6, _number(data, place + 2, 4)
    raise ValueError("a packet is in parts, as no key or signature is")


def _old(data: bytes, place: int) -> tuple[int, int, int]:
    """The same in the legacy format."""
    tag, kind = (data[place] & 0x3C) >> 2, data[place] & 3
    if kind == 3:
        raise ValueError("a packet does not say how long it is")
    size = 1 << kind
    return tag, place + 1 + size, _number(data, place + 1, size)
