"""Layers that are alike are run once: a tower of 32 takes as long to foresee as one of two.

Two calls are alike when they are to modules of one structure (classes, settings, shapes of weights) with equal inputs
(shapes, or values where they are real). Then the second needs what the first needed: its outputs are made without
running it, and the peak rises as it did. A call that leaves more behind than its outputs (autograd's graph, a cache
that grows) is never taken for another, so training runs every layer. The tests compare both ways, byte by byte.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map

from fourways.axes.prediction.shapes import content_of, has_shape_only
from fourways.trace.live_tensors import stored

_NUMBER = "layer_idx"
"""What transformers calls a layer's own number; it only says where in a cache the layer writes."""
_OBJECT = "told by its identity"
Forward = Callable[..., Any]


class Peaks(Protocol):
    """What `LiveTensors` counts."""

    live: int
    peak: int

    def rise(self, size: int) -> None: ...

    def size_of(self, tensor: Tensor) -> int: ...


@contextmanager
def alike(module: nn.Module, peaks: Peaks, known: dict[Hashable, Known]) -> Iterator[None]:
    """In this block, the members of each `ModuleList` of the module are run once for each kind of call.

    known: what calls were found to need, of this module and this way of counting only. Those whose inputs are told by
    their values are added, for a later block; an input told by its identity (a cache) means nothing once it is gone.
    """
    calls = _Calls(peaks, known)
    members = {id(member): member for each in module.modules() if isinstance(each, nn.ModuleList) for member in each}
    own = {key: member.__dict__.get("forward") for key, member in members.items()}
    for member in members.values():
        member.forward = calls.through(member, member.forward)
    try:
        yield
    finally:
        for key, member in members.items():
            del member.__dict__["forward"]
            if (forward := own[key]) is not None:
                member.forward = forward


@dataclass(frozen=True, slots=True)
class _Made:
    """A tensor that a call returned. origin: which input it is a view of, or, below 0, which new storage. counted: what
    that storage counts for."""

    origin: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int
    dtype: torch.dtype
    device: torch.device
    storage_bytes: int
    counted: int


@dataclass(frozen=True, slots=True)
class Known:
    """out: what was returned, with a `_Made` for each tensor. rise: the peak above the call's start."""

    out: Any
    rise: int


class _Calls:
    def __init__(self, peaks: Peaks, lasting: dict[Hashable, Known]) -> None:
        self._peaks = peaks
        self._lasting = lasting
        self._known = dict(lasting)
        self._structures: dict[int, Hashable] = {}

    def through(self, layer: nn.Module, forward: Forward) -> Forward:
        def call(*args: Any, **kwargs: Any) -> Any:
            inputs = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
            if torch.is_grad_enabled() or not any(map(has_shape_only, inputs)):
                return forward(*args, **kwargs)
            key = (self._structure(layer), _described((args, kwargs)))
            if (known := self._known.get(key)) is not None:
                self._peaks.rise(known.rise)
                return _again(known.out, inputs)
            return self._first(key, forward, args, kwargs, inputs)

        return call

    def _first(self, key: Hashable, forward: Forward, args: Any, kwargs: Any, inputs: list[Tensor]) -> Any:
        start, before = self._peaks.live, self._peaks.peak
        self._peaks.peak = start
        out = forward(*args, **kwargs)
        rise, self._peaks.peak = self._peaks.peak - start, max(before, self._peaks.peak)
        made = self._made(out, inputs)
        if made is not None and self._peaks.live - start == sum(_new_storages(made).values()):
            self._known[key] = Known(made, rise)
            if not any(leaf == _OBJECT for leaf in _flat(_described((args, kwargs)))):
                self._lasting[key] = self._known[key]
        return out

    def _made(self, out: Any, inputs: list[Tensor]) -> Any:
        """`out` with a `_Made` for each tensor; None if one is real: its content would have to be right."""
        leaves, _ = tree_flatten(out)
        tensors = [leaf for leaf in leaves if isinstance(leaf, Tensor)]
        if not all(map(has_shape_only, tensors)):
            return None
        origins = {tensor.untyped_storage()._cdata: index for index, tensor in reversed(list(enumerate(inputs)))}

        def describe(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            storage = leaf.untyped_storage()
            origin = origins.setdefault(storage._cdata, -1 - len(origins))
            return _Made(
                origin,
                tuple(leaf.shape),
                leaf.stride(),
                int(leaf.storage_offset()),
                leaf.dtype,
                leaf.device,
                storage.nbytes(),
                self._peaks.size_of(leaf),
            )

        return tree_map(describe, out)

    def _structure(self, layer: nn.Module) -> Hashable:
        if id(layer) not in self._structures:
            self._structures[id(layer)] = tuple((name, _settings(part)) for name, part in layer.named_modules())
        return self._structures[id(layer)]


def _settings(module: nn.Module) -> Hashable:
    """All that may decide how one module computes, its children apart."""
    plain = tuple(
        (name, _described(value))
        for name, value in sorted(vars(module).items())
        if not name.startswith("_") and name not in (_NUMBER, "forward")
    )
    held = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
    return type(module), plain, tuple((name, _described(tensor)) for name, tensor in held)


def _described(value: Any) -> Hashable:
    """What two values must share to be alike: a shape's metadata, a real tensor's content, a plain value itself."""
    if isinstance(value, Tensor) and is_traceable_wrapper_subclass(value):
        return (type(value), tuple(map(_described, stored(value))))
    if isinstance(value, Tensor):
        metadata = (tuple(value.shape), value.stride(), value.storage_offset(), value.dtype, value.device)
        return metadata if has_shape_only(value) else (metadata, content_of(value))
    if isinstance(value, list | tuple):
        return (type(value), tuple(map(_described, value)))
    if isinstance(value, dict):
        return tuple((name, _described(entry)) for name, entry in value.items())
    if isinstance(value, str | int | float | bool | None | torch.dtype | torch.device):
        return (type(value), value)
    return (_OBJECT, id(value))


def _flat(described: Hashable) -> Iterator[Hashable]:
    if isinstance(described, tuple):
        for part in described:
            yield from _flat(part)
    else:
        yield described


def _new_storages(made: Any) -> dict[int, int]:
    """Which → what it counts for, of the storages that the call made."""
    leaves = [leaf for leaf in tree_leaves(made) if isinstance(leaf, _Made)]
    return {leaf.origin: leaf.counted for leaf in leaves if leaf.origin < 0}


def _again(made: Any, inputs: list[Tensor]) -> Any:
    fresh: dict[int, Tensor] = {}

    def make(leaf: Any) -> Any:
        if not isinstance(leaf, _Made):
            return leaf
        if leaf.origin >= 0:
            base = inputs[leaf.origin]
        elif leaf.origin in fresh:
            base = fresh[leaf.origin]
        else:
            count = leaf.storage_bytes // leaf.dtype.itemsize
            base = fresh[leaf.origin] = torch.empty(count, dtype=leaf.dtype, device=leaf.device)
        return base.as_strided(leaf.shape, leaf.stride, leaf.offset)

    return tree_map(make, made)
