"""Runs a model's own code with tensors that have shapes and no bytes, so that what it would need can be counted.

Inside `shapes_only` weights are made, and operations on them or on activations give, tensors of the right shape,
strides, dtype and device whose storage has a size and no memory: PyTorch's fake tensors, which its compiler rests on.
What a model decides by value (the grid of an image, where a window ends, which places a mask marks) is small and stays
real: an operation whose inputs are all real, and whose results are small, is done for real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from threading import RLock
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn

# The compiler's own names; there is no public way to it. A change there fails the tests of this room.
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
    unset_fake_temporarily,
)
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes, is_traceable_wrapper_subclass
from torch.utils._pytree import tree_leaves, tree_map

_REAL_ELEMENTS = 1 << 20
"""Larger results of real inputs (a mask over 8,192 tokens) are shapes too: nothing is decided by their values."""
_INDEXING = (torch.ops.aten.index.Tensor, torch.ops.aten.index_put.default, torch.ops.aten.index_put_.default)
_READING = (torch.ops.aten._local_scalar_dense.default, torch.ops.aten.item.default)
_FILLED = ("empty", "zeros", "ones", "full", "rand", "normal")
"""Operations that make weights and room. What others make of nothing (`arange`, `linspace`) is there for its values."""


def has_shape_only(tensor: Tensor) -> bool:
    """Whether this is a shape without bytes."""
    return isinstance(tensor, FakeTensor)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Tensors made in this block are shapes, on the CPU. A model built in one block can be run in another.

    A number read from a shape (`.item()` of a loss) is 1. One thread at a time: another waits. Real modules, of this
    thread or another, are moved meanwhile as ever.
    """
    with _one_at_a_time, _mode(), _SmallStaysReal(), _moved_by_replacing():
        yield


_one_at_a_time = RLock()
"""For the shared mode, and for the method of `nn.Module` that is replaced for as long."""


@cache
def _mode() -> FakeTensorMode:
    """One for all blocks: a shape of another mode would be taken for a real tensor, and copied."""
    return FakeTensorMode(allow_non_fake_inputs=True)


def shapes_of(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Shapes of tensors that are real; those that share memory share it again. Call inside `shapes_only`."""
    storages: dict[int, Tensor] = {}
    shapes = []
    for tensor in tensors:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in storages:
            count = storage.nbytes() // tensor.element_size()
            storages[storage.data_ptr()] = torch.empty(count, dtype=tensor.dtype, device=device)
        whole = storages[storage.data_ptr()]
        shapes.append(whole.as_strided(tensor.shape, tensor.stride(), tensor.storage_offset()))
    return shapes


def content_of(tensor: Tensor) -> bytes:
    """The values of a real tensor, unseen by whoever counts."""
    with _disable_current_modes(), torch.inference_mode(False):
        return bytes(tensor.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes())


def _shape_of(value: Any) -> Any:
    """The shape of a value that is a real tensor."""
    if not isinstance(value, Tensor) or isinstance(value, FakeTensor):
        return value
    return torch.empty_strided(value.shape, value.stride(), dtype=value.dtype)


@contextmanager
def _moved_by_replacing() -> Iterator[None]:
    """`Module.to` swaps the insides of two tensors, which shapes do not let it: here the new one takes the old one's
    place in its module."""
    own: Any = nn.Module._apply

    def replaced(module: nn.Module, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> nn.Module:
        if not any(isinstance(parameter, FakeTensor) for parameter in module.parameters()):
            own(module, fn, recurse)
            return module
        for part in module.modules() if recurse else (module,):
            for name, parameter in part.named_parameters(recurse=False, remove_duplicate=False):
                moved = fn(parameter)
                if moved is not parameter:
                    part._parameters[name] = nn.Parameter(moved, parameter.requires_grad)
            for name, buffer in part.named_buffers(recurse=False, remove_duplicate=False):
                part._buffers[name] = fn(buffer)
        return module

    with patch.object(nn.Module, "_apply", replaced):
        yield


class _SmallStaysReal(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Stands above the mode that makes shapes, and lets it see what is no longer small and real."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if any(map(is_traceable_wrapper_subclass, tensors)):
            return NotImplemented  # a quantised weight says itself what it does with the tensors inside
        if not any(isinstance(tensor, FakeTensor) for tensor in tensors):
            return self._on_real(func, args, kwargs)
        if func in _READING:
            return 1.0 if tensors[0].dtype.is_floating_point else 1
        if func in _INDEXING:
            args = (args[0], _places(args[1]), *args[2:])
        args, kwargs = tree_map(_shape_of, (args, kwargs))
        return func(*args, **kwargs)

    def _on_real(self, func: Any, args: Any, kwargs: Any) -> Any:
        if _is_small(func, args, kwargs):
            with unset_fake_temporarily():
                return func(*args, **kwargs)
        args, kwargs = tree_map(_shape_of, (args, kwargs))
        return func(*args, **kwargs)


def _is_small(func: Any, args: Any, kwargs: Any) -> bool:
    """Tried on shapes first: a result may be too large to be made."""
    if _makes_room(func, args, kwargs):
        return False
    args, kwargs = tree_map(_shape_of, (args, kwargs))
    try:
        results = tree_leaves(func(*args, **kwargs))
    except (DynamicOutputShapeException, DataDependentOutputException):
        return True  # its size depends on values, which are small
    return all(leaf.numel() <= _REAL_ELEMENTS for leaf in results if isinstance(leaf, Tensor))


def _makes_room(func: Any, args: Any, kwargs: Any) -> bool:
    """Whether this makes floating-point numbers of nothing."""
    if not func.__name__.startswith(_FILLED) or any(isinstance(leaf, Tensor) for leaf in tree_leaves((args, kwargs))):
        return False
    if (dtype := kwargs.get("dtype")) is None:  # `full` takes that of its number
        return not (func.__name__.startswith("full") and isinstance(args[1], int))
    return bool(dtype.is_floating_point)


def _places(indices: Any) -> list[Any]:
    """Indices of which each mask that is real is written as the places it marks: a shape has no values to look at."""
    found: list[Any] = []
    for index in indices:
        if isinstance(index, Tensor) and not isinstance(index, FakeTensor) and index.dtype is torch.bool:
            with unset_fake_temporarily():
                found.extend(index.nonzero().unbind(1))
        else:
            found.append(index)
    return found
