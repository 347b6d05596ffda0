"""Looks at safetensors files by their headers: readable, whole, and complete against the index. No tensor is read.

The format: 8 bytes of header length (little-endian), a JSON header, then the tensors without gaps
(github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import os
import shlex
from math import prod
from pathlib import Path
from typing import Annotated, TypedDict

import msgspec

from fourways.core.errors import CheckpointError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_MAX_HEADER = 100_000_000
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_LFS = b"version https://git-lfs"
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Tensor(TypedDict):
    """A tensor as a header describes it. data_offsets: where it begins and ends, in bytes after the header."""

    dtype: str
    shape: Annotated[list[_Count], msgspec.Meta(max_length=64)]
    data_offsets: tuple[_Count, _Count]


Header = dict[str, Tensor]
"""Tensor name → what it is."""


class _Index(msgspec.Struct):
    weight_map: dict[str, str]


def read_headers(folder: Path) -> dict[Path, Header]:
    """The safetensors files that make up the model, with their headers. Raises CheckpointError saying what is wrong."""
    if (folder / INDEX).is_file():
        return _sharded(folder)
    if (folder / SINGLE).is_file():
        return {folder / SINGLE: read_header(folder / SINGLE)}
    raise _none(folder)


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files that make up the model, each looked at. Raises CheckpointError as `read_headers` does."""
    return tuple(read_headers(folder))


def parameter_count(folder: Path) -> int:
    """Numbers in all tensors as they are stored. Raises CheckpointError as `read_headers` does."""
    return sum(prod(entry["shape"]) for header in read_headers(folder).values() for entry in header.values())


def read_header(file: Path) -> Header:
    """What the file holds. Raises CheckpointError unless the file is whole."""
    length, size, raw = _raw_header(file)
    try:
        entries = msgspec.json.decode(raw, type=dict[str, msgspec.Raw])
        entries.pop("__metadata__", None)
        header = {name: _TENSOR.decode(entry) for name, entry in entries.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(
            f"{file} is not a safetensors file: its header cannot be read", hint=_AGAIN, fault="weights.damaged"
        ) from error
    _check_tensors(file, header)
    end = max((entry["data_offsets"][1] for entry in header.values()), default=0)
    missing = 8 + length + end - size
    if missing > 0:
        raise CheckpointError(
            f"{file} is cut short: {missing:,} of its bytes are missing", hint=_AGAIN, fault="weights.truncated"
        )
    if missing < 0:
        raise CheckpointError(
            f"{file} is damaged: {-missing:,} bytes follow its last tensor", hint=_AGAIN, fault="weights.damaged"
        )
    return header


_TENSOR = msgspec.json.Decoder(Tensor)
_AGAIN = "copy or download the file again"
_BITS = {
    "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6, "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16, "U32": 32, "I32": 32, "F32": 32,
    "U64": 64, "I64": 64, "F64": 64, "C64": 64,
}  # fmt: skip
"""Of one number, by safetensors 0.8. Of a newer type nothing is known but that a number has a bit or more."""


def _check_tensors(file: Path, header: Header) -> None:
    for name, entry in header.items():
        begin, end = entry["data_offsets"]
        bits = _BITS.get(entry["dtype"])
        numbers, room = prod(entry["shape"]), 8 * (end - begin)
        if end < begin or (numbers > room if bits is None else numbers * bits != room):
            raise CheckpointError(
                f"{file} is damaged: its header gives {name} {end - begin:,} bytes, which is not its shape",
                hint=_AGAIN,
                fault="weights.damaged",
            )
    reached = 0
    for begin, end in sorted(entry["data_offsets"] for entry in header.values()):
        if begin != reached:
            raise CheckpointError(
                f"{file} is damaged: by its header, tensors overlap or leave a gap at byte {min(begin, reached):,}",
                hint=_AGAIN,
                fault="weights.damaged",
            )
        reached = end


def _raw_header(file: Path) -> tuple[int, int, bytes]:
    """Bytes of the header, bytes of the file, and the header."""
    with file.open("rb") as stream:
        size = os.fstat(stream.fileno()).st_size
        first = stream.read(max(9, len(_LFS)))
        if first.startswith(_LFS):
            raise CheckpointError(
                f"{file} is a Git LFS pointer, not the weights",
                hint="run `git lfs pull` in the checkpoint",
                fault="lfs-pointer",
            )
        length = int.from_bytes(first[:8], "little")
        if size < 8 or length > _MAX_HEADER or first[8:9] not in (b"{", b""):
            raise CheckpointError(f"{file} is not a safetensors file", hint=_AGAIN, fault="weights.damaged")
        if size < 8 + length:
            raise CheckpointError(
                f"{file} is cut short: it ends inside its header", hint=_AGAIN, fault="weights.truncated"
            )
        stream.seek(8)
        return length, size, stream.read(length)


def _sharded(folder: Path) -> dict[Path, Header]:
    index = folder / INDEX
    try:
        places = msgspec.json.decode(index.read_bytes(), type=_Index).weight_map
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(
            f"{index} cannot be read: it has no weight_map", hint=_AGAIN, fault="index.lies"
        ) from error
    shards = sorted(set(places.values()))
    if not shards:
        raise CheckpointError(f"{index} names no weights", hint=_AGAIN, fault="index.lies")
    if strange := [name for name in shards if not _is_shard(name)]:
        raise CheckpointError(
            f"{index} names {strange[0]!r}, which is not a safetensors file of this folder",
            hint="is the index genuine?",
            fault="index.lies",
        )
    if absent := [name for name in shards if not (folder / name).is_file()]:
        raise CheckpointError(
            f"{folder} lacks {len(absent)} of {len(shards)} weight files: {', '.join(absent[:3])}",
            hint="copy or download the missing files",
            fault="weights.missing-shard",
        )
    held = {name: read_header(folder / name) for name in shards}
    if lost := [tensor for tensor, shard in places.items() if tensor not in held[shard]]:
        raise CheckpointError(
            f"{folder / places[lost[0]]} lacks {len(lost)} tensors of the index, such as {lost[0]}",
            hint=_AGAIN,
            fault="index.lies",
        )
    return {folder / name: header for name, header in held.items()}


def _is_shard(name: str) -> bool:
    return Path(name).name == name and name.endswith(".safetensors") and len(name) <= 200 and name.isprintable()


def _none(folder: Path) -> CheckpointError:
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix in _PICKLES)
    if pickles:
        return CheckpointError(
            f"{folder} has its weights only as {pickles[0]}; such files can run code, so only safetensors are read",
            hint=f"where you trust it: fourways models convert {shlex.quote(str(folder))} --read-pickles",
            fault="pickle-only",
        )
    return CheckpointError(
        f"{folder} has no {SINGLE} and no {INDEX}",
        hint="finish the download, or use --weights random to measure latency and memory from the config alone",
        fault="weights.missing",
    )
