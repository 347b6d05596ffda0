"""The numbers in the weights, read once: finite, not holes, not as before training.

One pass in the order of the files, a tensor at a time, so memory holds the largest tensor. It needs no model and no
family: only names and shapes that all of transformers' checkpoints share.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from fourways.compare.health.faults import finding
from fourways.compare.health.fit import LEAST_STRUCTURE, structure_of
from fourways.compare.health.outcome import Outcome
from fourways.compare.health.reading import Reading
from fourways.compare.health.settings import EMBEDDINGS
from fourways.core.errors import CheckpointError
from fourways.core.health import Finding
from fourways.hub.weights import weight_files

_LEAST_NORMS = 4
"""So many norms' scales must all be at their start before a checkpoint is called untrained. That alone would blame
those whose scales were multiplied into the next matrix, as is done before some quantisations."""
_SMALL = 256
"""Matrices with fewer numbers may be anything."""
_STEP = 1 << 24
_LEAST_HOLE = 1 / 8
_VOCABULARY = re.compile(r"embed|wte|lm_head|\.output\.weight$")


@dataclass(slots=True)
class Seen:
    """Names of tensors by what was seen in them."""

    tensors: int = 0
    numbers: int = 0
    not_finite: list[str] = field(default_factory=list)
    zeros: list[str] = field(default_factory=list)
    holes: list[str] = field(default_factory=list)
    norms: int = 0
    fresh_norms: int = 0
    structure: float | None = None

    def put(self, name: str, tensor: Tensor) -> None:
        self.tensors += 1
        self.numbers += tensor.numel()
        if not tensor.is_floating_point():
            return
        if not _finite(tensor):
            if not _is_mask(tensor):
                self.not_finite.append(name)
            return
        if tensor.ndim > 1 and tensor.numel() >= _SMALL and name.endswith(".weight"):
            self._holes(name, tensor)
        if tensor.ndim == 1 and name.endswith("norm.weight"):
            self.norms += 1
            self.fresh_norms += bool((tensor == 1).all() or (tensor == 0).all())
        if tensor.ndim == 2 and EMBEDDINGS.search(name):
            self.structure = structure_of(tensor)

    def _holes(self, name: str, tensor: Tensor) -> None:
        """Rows of zeros in a row. Vocabularies are padded with such rows, and pruned ones lie scattered."""
        if not tensor.any():
            self.zeros.append(name)
        elif tensor.ndim == 2 and not _VOCABULARY.search(name) and _empty_run(tensor) >= len(tensor) * _LEAST_HOLE:
            self.holes.append(name)

    def findings(self) -> Iterator[Finding]:
        if self.not_finite:
            yield finding("weights.nan", f"NaN or infinity in {_listed(self.not_finite)}")
        if self.zeros:
            yield finding("weights.zeros", f"nothing but zeros in {_listed(self.zeros)}")
        if self.holes:
            yield finding("weights.hole", f"an eighth of the rows or more, in one run, in {_listed(self.holes)}")
        fresh = self.norms >= _LEAST_NORMS and self.fresh_norms == self.norms
        if fresh and self.structure is not None and self.structure < LEAST_STRUCTURE:
            yield finding(
                "weights.untrained",
                f"all {self.norms} norms' scales are exactly as before training, and the embedding's rows are "
                "independent numbers",
            )


def check_values(folder: Path, reading: Reading) -> Outcome:
    """Reads every tensor. Raises CheckpointError as `weight_files` does."""
    seen = Seen()
    files = weight_files(folder)
    for number, file in enumerate(files, 1):
        reading.at(f"reading {file.name} ({number} of {len(files)})")
        try:
            with safe_open(str(file), framework="pt") as opened:
                for name in opened.keys():  # noqa: SIM118  # no mapping
                    reading.step()
                    seen.put(name, opened.get_tensor(name))
        except SafetensorError as error:
            raise CheckpointError(f"{file} cannot be read: {error}", fault="weights.damaged") from error
    return Outcome(f"{seen.tensors:,} tensors, {seen.numbers:,} numbers", tuple(seen.findings()))


def _finite(tensor: Tensor) -> bool:
    """Eight-bit floats have no `isfinite` of their own."""
    flat = tensor.reshape(-1)
    for start in range(0, flat.numel(), _STEP):
        piece = flat[start : start + _STEP]
        if not torch.isfinite(piece if piece.itemsize > 1 else piece.float()).all():
            return False
    return True


def _is_mask(tensor: Tensor) -> bool:
    """What some checkpoints keep beside their weights: nothing but 0, 1 and minus infinity."""
    small = tensor.float()
    return bool(((small == 0) | (small == 1) | (small == -torch.inf)).all() and (small == 0).any())


def _empty_run(tensor: Tensor) -> int:
    """The most rows of zeros, one after the other."""
    full = (tensor if tensor.itemsize > 1 else tensor.float()).count_nonzero(dim=1).nonzero().flatten()
    ends = torch.cat((torch.tensor([-1]), full, torch.tensor([len(tensor)])))
    return int(ends.diff().max()) - 1


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{len(names)} tensor(s): {', '.join(names[:3])}{more}"
