"""Reads a SentencePiece model (tokenizer.model) without its library: just the fields that a tokenizer needs.

The file is a protocol buffer: fields of a number and a wire type, varints in groups of seven bits.
Sources: sentencepiece_model.proto (message and field numbers); protobuf.dev, "Encoding".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fourways.core.errors import CheckpointError

NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
BPE = 2
Value = int | bytes


@dataclass(frozen=True, slots=True)
class SpmPiece:
    text: str
    score: float
    kind: int


@dataclass(frozen=True, slots=True)
class SpmModel:
    """charsmap: the compiled table of a normalisation, empty for "identity"."""

    pieces: tuple[SpmPiece, ...]
    model_type: int
    byte_fallback: bool
    charsmap: bytes
    add_dummy_prefix: bool
    remove_extra_whitespaces: bool


def read_spm(file: Path) -> SpmModel:
    """Raises CheckpointError if the file is no SentencePiece model."""
    try:
        fields = list(_fields(file.read_bytes()))
        pieces = tuple(_piece(_bytes(value)) for number, value in fields if number == 1)
        trainer = dict(_fields(_message(fields, 2)))
        normalizer = dict(_fields(_message(fields, 3)))
    except (ValueError, IndexError, struct.error, TypeError) as error:
        raise CheckpointError(f"{file} is not a SentencePiece model", hint="fetch that file again") from error
    if not pieces:
        raise CheckpointError(f"{file} is not a SentencePiece model: it has no pieces", hint="fetch that file again")
    return SpmModel(
        pieces,
        model_type=_int(trainer.get(3, 1)),
        byte_fallback=bool(trainer.get(35, 0)),
        charsmap=_bytes(normalizer.get(2, b"")),
        add_dummy_prefix=bool(normalizer.get(3, 1)),
        remove_extra_whitespaces=bool(normalizer.get(4, 1)),
    )


def _piece(raw: bytes) -> SpmPiece:
    fields = dict(_fields(raw))
    (score,) = struct.unpack("<f", _bytes(fields.get(2, b"\0\0\0\0")))
    return SpmPiece(_bytes(fields[1]).decode(), score, _int(fields.get(3, NORMAL)))


def _message(fields: list[tuple[int, Value]], number: int) -> bytes:
    return b"".join(_bytes(value) for found, value in fields if found == number)


def _fields(raw: bytes) -> Iterator[tuple[int, Value]]:
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        kind = tag & 7
        if kind == 0:
            value: Value
            value, at = _varint(raw, at)
        elif kind in (1, 2, 5):
            length, at = _varint(raw, at) if kind == 2 else ((8 if kind == 1 else 4), at)
            value, at = raw[at : at + length], at + length
            if at > len(raw):
                raise ValueError("cut short")
        else:
            raise ValueError(f"wire type {kind}")
        yield tag >> 3, value


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number of more than 64 bits")


def _bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ValueError("a number where text was expected")
    return value


def _int(value: Value) -> int:
    if not isinstance(value, int):
        raise ValueError("text where a number was expected")
    return value
