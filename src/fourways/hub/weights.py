"""Looks at safetensors files by their headers: readable, whole, and complete against the index. No tensor is read.

The format: 8 bytes of header length (little-endian), a JSON header, then the tensors without gaps
(github.com/huggingface/safetensors, "Format").
"""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

from fourways.core.errors import CheckpointError

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
_MAX_HEADER = 100_000_000
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_LFS = b"version https://git-lfs"


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files that make up the model, each looked at. Raises CheckpointError saying what is wrong."""
    if (folder / INDEX).is_file():
        return _sharded(folder)
    if (folder / SINGLE).is_file():
        read_header(folder / SINGLE)
        return (folder / SINGLE,)
    raise _none(folder)


def parameter_count(folder: Path) -> int:
    """Numbers in all tensors as they are stored. Raises CheckpointError as `weight_files` does."""
    return sum(prod(entry["shape"]) for file in weight_files(folder) for entry in read_header(file).values())


def read_header(file: Path) -> dict[str, Any]:
    """Tensor name → {dtype, shape, data_offsets}. Raises CheckpointError unless the file is whole."""
    length = _header_length(file)
    with file.open("rb") as stream:
        stream.seek(8)
        raw = stream.read(length)
    try:
        header = json.loads(raw)
        tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
        end = max((int(entry["data_offsets"][1]) for entry in tensors.values()), default=0)
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError) as error:
        raise CheckpointError(
            f"{file} is not a safetensors file: its header cannot be read", hint=_AGAIN, fault="weights.damaged"
        ) from error
    missing = 8 + length + end - file.stat().st_size
    if missing > 0:
        raise CheckpointError(
            f"{file} is cut short: {missing:,} of its bytes are missing", hint=_AGAIN, fault="weights.truncated"
        )
    if missing < 0:
        raise CheckpointError(
            f"{file} is damaged: {-missing:,} bytes follow its last tensor", hint=_AGAIN, fault="weights.damaged"
        )
    return tensors


_AGAIN = "copy or download the file again"


def _header_length(file: Path) -> int:
    size = file.stat().st_size
    with file.open("rb") as stream:
        first = stream.read(max(8, len(_LFS)))
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
        raise CheckpointError(f"{file} is cut short: it ends inside its header", hint=_AGAIN, fault="weights.truncated")
    return length


def _sharded(folder: Path) -> tuple[Path, ...]:
    index = folder / INDEX
    try:
        places = {str(tensor): str(shard) for tensor, shard in json.loads(index.read_bytes())["weight_map"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{index} cannot be read: it has no weight_map", hint=_AGAIN, fault="index.lies"
        ) from error
    shards = sorted(set(places.values()))
    if strange := [name for name in shards if Path(name).name != name or not name.endswith(".safetensors")]:
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
    return tuple(folder / name for name in shards)


def _none(folder: Path) -> CheckpointError:
    pickles = sorted(file.name for file in folder.iterdir() if file.suffix in _PICKLES)
    if pickles:
        return CheckpointError(
            f"{folder} has its weights only as {pickles[0]}; such files can run code, so only safetensors are read",
            hint="convert it once where you trust it: AutoModel….from_pretrained(…).save_pretrained(…)",
            fault="pickle-only",
        )
    return CheckpointError(
        f"{folder} has no {SINGLE} and no {INDEX}",
        hint="finish the download, or use --weights random to measure latency and memory from the config alone",
        fault="weights.missing",
    )
