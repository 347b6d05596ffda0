"""Weight files as sources of rows: safetensors by their headers, and pickled files where that was asked for."""

from __future__ import annotations

import pickle
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fourways.core.errors import CheckpointError
from fourways.hub import weights
from fourways.hub.convert.plan import Stored
from fourways.hub.small_files import read_object

CHUNK = 1 << 24
PICKLE_INDEX = "pytorch_model.bin.index.json"
PICKLE = "pytorch_model.bin"
READ_PICKLES = "--read-pickles"


class Shard(ABC):
    """One weight file. tensors: name → how it is stored."""

    def __init__(self, file: Path, tensors: Mapping[str, Stored]) -> None:
        self.file = file
        self.tensors = tensors

    @abstractmethod
    def read(self, name: str, start: int, stop: int) -> Iterator[bytes | memoryview]:
        """The bytes of these rows, row-major and little-endian, in parts of at most 16 MiB."""


class SafetensorsShard(Shard):
    """Read by offsets; nothing is mapped or kept."""

    def __init__(self, file: Path) -> None:
        header = weights.read_header(file)
        super().__init__(file, {name: _stored(file, name, entry) for name, entry in header.items()})
        with file.open("rb") as stream:
            base = 8 + int.from_bytes(stream.read(8), "little")
        self._places = {name: base + int(entry["data_offsets"][0]) for name, entry in header.items()}

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes | memoryview]:
        size = self.tensors[name].row_bytes
        left = (stop - start) * size
        with self.file.open("rb") as stream:
            stream.seek(self._places[name] + start * size)
            while left:
                part = stream.read(min(CHUNK, left))
                if not part:
                    raise CheckpointError(f"{self.file} became shorter while it was read", hint="copy the file again")
                left -= len(part)
                yield part


class PickleShard(Shard):
    """Read by torch with `weights_only`: tensors and plain containers, never code. Mapped where its form allows."""

    def __init__(self, file: Path) -> None:
        self._tensors = _unpickle(file)
        names = _dtype_names()
        strange = [name for name, tensor in self._tensors.items() if tensor.dtype not in names]
        if strange:
            raise CheckpointError(f"{file} holds {strange[0]} as {self._tensors[strange[0]].dtype}, which is not known")
        super().__init__(file, {n: Stored(names[t.dtype], tuple(t.shape)) for n, t in self._tensors.items()})

    def read(self, name: str, start: int, stop: int) -> Iterator[bytes | memoryview]:
        import torch

        tensor = self._tensors[name]
        stored = self.tensors[name]
        tensor = tensor if stored.shape else tensor[None]
        step = max(1, CHUNK // max(1, stored.row_bytes))
        for at in range(start, stop, step):
            rows = tensor[at : min(at + step, stop)].contiguous()
            yield memoryview(rows.reshape(-1).view(torch.uint8).numpy())


def open_shards(folder: Path, *, read_pickles: bool) -> list[Shard]:
    """The weight files of a checkpoint, in the order of their names. Safetensors are taken where there are any.

    Raises CheckpointError: none, damaged, or only pickled ones without `read_pickles`.
    """
    if (folder / weights.INDEX).is_file() or (folder / weights.SINGLE).is_file():
        return [SafetensorsShard(file) for file in weights.weight_files(folder)]
    pickled = pickle_files(folder)
    if not pickled:
        raise CheckpointError(f"{folder} has no {weights.SINGLE} and no {weights.INDEX}", hint="finish the download")
    if not read_pickles:
        raise CheckpointError(
            f"{folder} has its weights only as {pickled[0].name}, a format that can carry code",
            hint=f"if you trust where it came from: add {READ_PICKLES}; tensors are read, code in it is refused",
        )
    return [PickleShard(file) for file in pickled]


def pickle_files(folder: Path) -> list[Path]:
    """The checkpoint's .bin files, by their index if it has one. Raises CheckpointError."""
    index = folder / PICKLE_INDEX
    if not index.is_file():
        return [folder / PICKLE] if (folder / PICKLE).is_file() else []
    try:
        names = sorted({str(name) for name in read_object(index)["weight_map"].values()})
    except (KeyError, AttributeError) as error:
        raise CheckpointError(f"{index} cannot be read: it has no weight_map", hint="fetch that file again") from error
    if strange := [name for name in names if Path(name).name != name or not name.endswith(".bin")]:
        raise CheckpointError(f"{index} names {strange[0]!r}, which is no .bin file of this folder")
    if absent := [name for name in names if not (folder / name).is_file()]:
        raise CheckpointError(f"{folder} lacks {absent[0]}", hint="copy or download the missing files")
    return [folder / name for name in names]


def _stored(file: Path, name: str, entry: Mapping[str, Any]) -> Stored:
    stored = Stored(str(entry["dtype"]), tuple(int(size) for size in entry["shape"]))
    start, stop = entry["data_offsets"]
    if stop - start != stored.rows * stored.row_bytes:
        raise CheckpointError(f"{file}: the header gives {name} {stop - start} bytes, its shape another number")
    return stored


def _unpickle(file: Path) -> dict[str, Any]:
    import torch

    try:
        try:
            read = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # torch's form before 1.6 cannot be mapped
            read = torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError, OSError) as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise CheckpointError(f"{file} holds more than tensors, or is damaged: {reason}") from error
    if not isinstance(read, dict) or not all(isinstance(tensor, torch.Tensor) for tensor in read.values()):
        raise CheckpointError(f"{file} is not a table of tensors by name")
    return read


def _dtype_names() -> dict[Any, str]:
    import torch

    return {
        torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.int64: "I64",
        torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
        torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2",
    }  # fmt: skip
