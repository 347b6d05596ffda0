"""Which part of a model its weights belong to, in bytes as they are held."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from fourways.axes.memory_gauges import storage_bytes
from fourways.families.contract import Family

PARTS = ("tower", "connector", "embeddings", "language", "head")


def weight_parts(family: Family) -> dict[str, int]:
    """Part → bytes; the sum is all of the model, parameters and buffers. A head tied to the embeddings is 0."""
    model: Any = family.module
    embeddings, head = model.get_input_embeddings(), model.get_output_embeddings()
    owners: list[tuple[str, Iterable[nn.Module]]] = [
        ("embeddings", [embeddings]),
        ("head", [head]),
        ("connector", family.connectors),
        ("language", [model.get_decoder()]),
        ("tower", [model]),
    ]
    sizes = dict.fromkeys(PARTS, 0)
    counted: list[Tensor] = []
    for name, modules in owners:
        before = storage_bytes(counted)
        counted += [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]
        sizes[name] = storage_bytes(counted) - before
    return sizes
