"""What the engine runs on a device other than the CPU gets no tensor of the CPU: such a step would fail there.

No second device is here, so the model's tensors are shapes on the device `meta`; PyTorch's fake tensors refuse to mix
them with the CPU's, as CUDA would. The towers and Qwen3-VL's deeper features are left out: they decide by
values, which shapes have not.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch
from PIL import Image as PilImage
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode, unset_fake_temporarily

from fourways.core.conversation import Conversation
from fourways.core.request import Generate
from fourways.engines.local.kv import KVStore
from fourways.engines.local.runner import Runner
from fourways.engines.local.sequence import Sequence
from fourways.families.contract import Family
from fourways.media import read_image

META = torch.device("meta")


@pytest.fixture
def elsewhere(family: Family, monkeypatch: pytest.MonkeyPatch) -> Iterator[Family]:
    """The family with its model on `meta`, and back afterwards."""
    made = torch.tensor
    # Fake tensors do not take `torch.tensor` to `meta` in one step.
    monkeypatch.setattr(torch, "tensor", lambda data, device=None, **rest: made(data, **rest).to(device or "cpu"))
    module, spec = family.module, family.spec
    own = {name: (owner, key, value) for name, (owner, key, value) in _tensors(module).items()}
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode, torch.inference_mode():
        for owner, key, value in own.values():
            owner[key] = _shape(value)
        object.__setattr__(family, "_spec", replace(spec, device=META))
        try:
            yield family
        finally:
            object.__setattr__(family, "_spec", spec)
            for owner, key, value in own.values():
                owner[key] = value


def _tensors(module: nn.Module) -> dict[str, tuple[Any, str, torch.Tensor]]:
    return {
        f"{place}.{key}": (owner, key, value)
        for place, part in module.named_modules()
        for owner in (part._parameters, part._buffers)
        for key, value in owner.items()
        if value is not None
    }


def _shape(value: torch.Tensor) -> torch.Tensor:
    empty = torch.empty(value.shape, dtype=value.dtype, device=META)
    return nn.Parameter(empty, requires_grad=False) if isinstance(value, nn.Parameter) else empty


def sequences(family: Family, picture: bytes, count: int) -> list[Sequence]:
    """Planned requests about a picture, with features as if they had been encoded there."""
    made = []
    for number in range(count):
        conversation = Conversation.ask("What is it? " * (number + 1), read_image(picture, name="p"))
        with unset_fake_temporarily():
            layout = family.layout(conversation)
        (visual,) = layout.visuals
        features = [torch.empty((tokens, family.spec.hidden), device=META) for tokens in visual.unit_tokens]
        made.append(
            SimpleNamespace(
                layout=layout, features=[features], start=0, query=len(layout.token_ids), generated=[1],
                length=len(layout.token_ids), prompt_tokens=len(layout.token_ids), generate=Generate(4),
            )
        )  # fmt: skip
    return cast(list[Sequence], made)


def test_prefill_and_decode_move_to_the_device_what_was_planned_on_the_cpu(elsewhere: Family, png: bytes) -> None:
    asked = sequences(elsewhere, png, 2)
    store = KVStore(elsewhere.spec, max_rows=2, max_bytes=4096 * elsewhere.spec.kv_bytes_per_token)
    runner = Runner(elsewhere, store)
    first = store.add(2, max(one.query for one in asked))
    scores = runner.prefill(first, asked)
    assert scores.device == META and scores.shape == (2, elsewhere.spec.vocab_size)
    assert runner.decode(first, asked).device == META


def test_a_tensor_left_on_the_cpu_is_refused(elsewhere: Family) -> None:
    with pytest.raises((RuntimeError, TypeError), match="device"):
        elsewhere.logits(torch.zeros((1, elsewhere.spec.hidden)))


@pytest.fixture
def png() -> bytes:
    pixels = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    PilImage.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
