"""Writes pieces of stored tensors as safetensors files: the header first, then the bytes, a few at a time."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from fourways.core.errors import CheckpointError
from fourways.hub.convert.plan import Piece, Rule, Stored, item_bytes
from fourways.hub.convert.sources import Shard
from fourways.hub.weights import INDEX, SINGLE

_SHOWN = 20
Tell = Callable[[int], None]
"""Called with each number of bytes that was written."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A piece, and the tensor of a file that it is cut from."""

    shard: Shard
    source: str
    piece: Piece

    @property
    def result(self) -> Stored:
        return self.piece.of(self.shard.tensors[self.source])

    @property
    def bytes(self) -> int:
        return self.result.rows * self.result.row_bytes


def plan_cuts(shards: Sequence[tuple[Shard, Rule]]) -> list[list[Cut]]:
    """What each file becomes, files that become nothing left out. Raises CheckpointError that names the tensors that no
    rule knows, or the names that would be written twice."""
    planned: list[list[Cut]] = []
    unknown: list[str] = []
    for shard, rule in shards:
        cuts: list[Cut] = []
        for name, stored in shard.tensors.items():
            pieces = rule(name, stored)
            if pieces is None:
                unknown.append(f"{name} {list(stored.shape)}")
            else:
                cuts += [Cut(shard, name, piece) for piece in pieces]
        if cuts:
            planned.append(cuts)
    if unknown:
        raise CheckpointError(
            f"{len(unknown)} tensor(s) have no place in the new layout: {_first(unknown)}",
            hint="nothing was written; is this a quantised, merged or extended checkpoint?",
        )
    counts = Counter(cut.piece.name for cuts in planned for cut in cuts)
    if twice := sorted(name for name, count in counts.items() if count > 1):
        raise CheckpointError(f"{len(twice)} tensor(s) stand twice in the checkpoint: {_first(twice)}")
    return planned


def _first(names: Sequence[str]) -> str:
    """What fits into a message; a header may hold a million names."""
    return ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")


def write_weights(folder: Path, planned: Sequence[Sequence[Cut]], tell: Tell) -> None:
    """One file for each group of cuts, and an index if there are several."""
    if len(planned) == 1:
        _write_file(folder / SINGLE, planned[0], tell)
        return
    places: dict[str, str] = {}
    for number, cuts in enumerate(planned, start=1):
        name = f"model-{number:05d}-of-{len(planned):05d}.safetensors"
        _write_file(folder / name, cuts, tell)
        places |= {cut.piece.name: name for cut in cuts}
    total = sum(cut.bytes for cuts in planned for cut in cuts)
    index = {"metadata": {"total_size": total}, "weight_map": dict(sorted(places.items()))}
    (folder / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _write_file(file: Path, cuts: Sequence[Cut], tell: Tell) -> None:
    """Wider numbers first, so that each tensor begins where its dtype may."""
    ordered = sorted(cuts, key=lambda cut: (-item_bytes(cut.result.dtype), cut.piece.name))
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    end = 0
    for cut in ordered:
        header[cut.piece.name] = {
            "dtype": cut.result.dtype, "shape": list(cut.result.shape), "data_offsets": [end, end + cut.bytes],
        }  # fmt: skip
        end += cut.bytes
    raw = json.dumps(header, separators=(",", ":")).encode()
    raw += b" " * (-len(raw) % 8)
    with file.open("xb") as stream:
        stream.write(len(raw).to_bytes(8, "little"))
        stream.write(raw)
        for cut in ordered:
            _copy(cut, stream, tell)


def _copy(cut: Cut, stream: BinaryIO, tell: Tell) -> None:
    for start, stop in cut.piece.rows or ((0, cut.shard.tensors[cut.source].rows),):
        for part in cut.shard.read(cut.source, start, stop):
            stream.write(part)
            tell(len(part))
