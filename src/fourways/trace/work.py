"""What a forward pass must do at least: floating-point operations, and bytes of weights that it must read.

Counted from the operations that a model really runs, so that it holds for every architecture, but only what the result
needs: of attention, the pairs that the mask lets through (half of a causal square), whatever a kernel does beyond; of a
weight, its bytes once, however often it is used; of an embedding, the rows that are looked up. Counted are linear
layers, convolutions, matrix products and attention; norms, activations and sums are left out (well below one in a
hundred of a transformer's operations, and no bytes of their own if a kernel is fused).

Source of the idea of a limit from both: Williams, Waterman & Patterson (2009), Roofline, CACM 52(4), section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from fourways.trace.live_tensors import stored

_ATEN = torch.ops.aten


class RequiredWork(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Counts within a `with` block, under `torch.inference_mode`. weights: the model's parameters and buffers.

    flops: a multiply-add counts as two. weight_bytes: as stored (quantised weights by their small size).
    """

    def __init__(self, weights: Iterable[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        self._size = {_address(part): _size(part) for weight in weights for part in stored(weight)}
        self._read: dict[int, int] = {}
        self._rows = 0
        self.flops = 0

    @property
    def weight_bytes(self) -> int:
        return sum(self._read.values()) + self._rows

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        out = func(*args, **kwargs)
        kind = func.overloadpacket
        if kind is _ATEN.embedding:
            self._rows += int(out.numel()) * out.element_size()
            return out
        if kind in _COUNTS:
            self.flops += _COUNTS[kind](args, kwargs, out)
        elif kind in flop_registry:
            self.flops += int(flop_registry[kind](*args, **kwargs, out_val=out))
        for argument in (*args, *kwargs.values()):  # quantised weights are converted first
            if isinstance(argument, Tensor):
                self._take(argument)
        return out

    def _take(self, tensor: Tensor) -> None:
        for part in stored(tensor):
            address = _address(part)
            if address in self._size:
                self._read[address] = self._size[address]


def _address(tensor: Tensor) -> int:
    return int(tensor.untyped_storage()._cdata)


def _size(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()


def _linear(args: Any, kwargs: Any, out: Tensor) -> int:
    return 2 * int(args[0].numel()) * int(args[1].shape[0])


def _product(args: Any, kwargs: Any, out: Tensor) -> int:
    return 2 * out.numel() * int(args[0].shape[-1])


def _convolution(args: Any, kwargs: Any, out: Tensor) -> int:
    weight = args[1]
    return 2 * out.numel() * (int(weight.numel()) // int(weight.shape[0]))


def _attention(args: Any, kwargs: Any, out: Tensor) -> int:
    """query (…, H, Q, D), key (…, H', K, D), value (…, H', K, E): 2 (D + E) operations for each pair that is seen."""
    query, key, value = args[:3]
    mask = args[3] if len(args) > 3 else kwargs.get("attn_mask")
    causal = args[5] if len(args) > 5 else kwargs.get("is_causal", False)
    return 2 * _pairs(query, key, mask, causal) * int(query.shape[-1] + value.shape[-1])


def _pairs(query: Tensor, key: Tensor, mask: Tensor | None, causal: bool) -> int:
    """Pairs of a query and a key that see each other, over all heads and rows of the batch."""
    rows, queries, keys = query.shape[:-2].numel(), int(query.shape[-2]), int(key.shape[-2])
    if mask is not None:
        seen = mask if mask.dtype == torch.bool else mask > torch.finfo(mask.dtype).min / 2
        return int(seen.expand(*query.shape[:-2], queries, keys).sum())
    if causal:
        least = min(queries, keys)
        return rows * (least * (least + 1) // 2 + (queries - least) * keys)
    return rows * queries * keys


_COUNTS: dict[Any, Callable[[Any, Any, Tensor], int]] = {
    _ATEN.linear: _linear,
    _ATEN.matmul: _product,
    _ATEN.conv1d: _convolution,
    _ATEN.conv2d: _convolution,
    _ATEN.conv3d: _convolution,
    _ATEN.scaled_dot_product_attention: _attention,
}
"""Operations that inference mode leaves whole, or whose requirement is less than what a kernel does."""
