"""What `scaled_dot_product_attention` allocates on CUDA, for a machine that has none.

On a CPU the shapes go the way of real tensors. For CUDA the choice of kernel is compiled in only where CUDA is, so it
is made here: without a mask flash attention (half precision) and else the memory-efficient kernel, which turns a mask
of bools into one of the queries' dtype, padded to whole 16 bytes a row. cuDNN's kernel, which PyTorch prefers on some
cards, turns the mask too. Source: aten/src/ATen/native/transformers/attention.cpp and cuda/sdp_utils.cpp.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_ALIGNED_BYTES = 16


class CudaAttention(TorchFunctionMode):
    """In this block, attention allocates what it would on CUDA."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.nn.functional.scaled_dot_product_attention:
            return _attention(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    if attn_mask is None and query.dtype.itemsize == 2:
        flash: Any = torch.ops.aten._scaled_dot_product_flash_attention
        of_flash: Tensor = flash(query, key, value, dropout_p, is_causal, scale=scale)[0]
        return of_flash
    if enable_gqa:
        groups = query.shape[1] // key.shape[1]
        key, value = key.repeat_interleave(groups, 1), value.repeat_interleave(groups, 1)
    bias = None if attn_mask is None else _bias(attn_mask, query, key)
    learns = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (query, key, value))
    efficient: Any = torch.ops.aten._scaled_dot_product_efficient_attention
    of_efficient: Tensor = efficient(query, key, value, bias, learns, dropout_p, is_causal, scale=scale)[0]
    return of_efficient


def _bias(mask: Tensor, query: Tensor, key: Tensor) -> Tensor:
    """(rows, heads, queries, keys), as the kernel reads it."""
    bias = mask
    if mask.dtype is torch.bool:
        bias = torch.zeros_like(mask, dtype=query.dtype).masked_fill_(mask.logical_not(), -torch.inf)
    if pad := -bias.shape[-1] % (_ALIGNED_BYTES // bias.element_size()):
        bias = torch.nn.functional.pad(bias, (0, pad))[..., :-pad]
    return bias.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
