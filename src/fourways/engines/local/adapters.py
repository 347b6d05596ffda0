"""LoRA adapters of the local engine: checked on a dry run, then kept, then attached one at a time.

A folder is in PEFT's own format: adapter_config.json and adapter_model.safetensors, nothing else is read. The model
carries no adapter layers while none is active, so requests without one run the plain model.
"""

from __future__ import annotations

import itertools
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, LoraModel, set_peft_model_state_dict
from peft.tuners.tuners_utils import check_target_module_exists
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from fourways.core.errors import UserError
from fourways.families.contract import Family

_KEY = re.compile(r"(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
_UNSUPPORTED = ("modules_to_save", "trainable_token_indices", "layer_replication", "target_parameters", "lora_bias")
_SHOWN = 5


_ATTACHED = "attached"
"""PEFT's name for whichever is attached: one at a time, and its own may be a path, which no module can be called."""


@dataclass(frozen=True, slots=True, eq=False)
class Adapter:
    """A loaded adapter. identity changes whenever other weights come under the same name: caches go by it.
    touches_vision: features of the tower or the connector differ under it."""

    name: str
    identity: str
    config: LoraConfig
    tensors: dict[str, Tensor]
    touches_vision: bool


class Adapters:
    """What is loaded, and which one is attached to the model. Only the engine's worker attaches."""

    def __init__(self, family: Family) -> None:
        self._family = family
        self._loaded: dict[str, Adapter] = {}
        self._numbers = itertools.count(1)
        self._attached: Adapter | None = None
        self._tuner: Any = None  # peft's LoraModel is untyped
        self._trainable: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._loaded)

    def get(self, name: str | None) -> Adapter | None:
        """The adapter of that name; None for no name. Raises UserError for a name that was never loaded."""
        if name is None:
            return None
        if name not in self._loaded:
            known = ", ".join(self._loaded) or "none"
            raise UserError(f"no adapter named {name!r} is loaded", hint=f"loaded adapters: {known}")
        return self._loaded[name]

    def load(self, name: str, folder: Path) -> Adapter:
        """Read and check a folder; the model is not touched. Raises UserError with the whole list of what is wrong."""
        config = _read_config(folder)
        tensors = _read_tensors(folder)
        problems = list(_problems(config, tensors, self._family.module))
        if problems:
            more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
            raise UserError(
                f"adapter {folder}: " + "; ".join(problems[:_SHOWN]) + more,
                hint="was it trained on another base model? adapter_config.json names the one it was made for",
            )
        llm = re.compile(self._family.card.lora_targets["llm"])
        touches = any(not llm.fullmatch(module) for module in _modules(tensors))
        identity = f"{name}#{next(self._numbers)}"
        adapter = Adapter(name, identity, config, tensors, touches)
        self._loaded[name] = adapter
        return adapter

    def unload(self, name: str) -> None:
        """Forget an adapter. Raises UserError for a name that was never loaded."""
        adapter = self.get(name)
        if self._attached is adapter:
            self.attach(None)
        del self._loaded[name]

    def attach(self, adapter: Adapter | None) -> None:
        """Make the model answer under this adapter, or plainly."""
        if adapter is self._attached:
            return
        self._detach()
        if adapter is None:
            return
        module = self._family.module
        self._trainable = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
        with warnings.catch_warnings():
            # PEFT says that it cannot merge into quantised weights; nothing is merged here.
            warnings.filterwarnings("ignore", message=".*get_apply_tensor_subclass", category=UserWarning)
            self._tuner = LoraModel(module, adapter.config, _ATTACHED)
        try:
            set_peft_model_state_dict(module, adapter.tensors, _ATTACHED)
        except BaseException:  # half an adapter must not answer for the plain model
            self._detach()
            raise
        module.eval()
        self._attached = adapter

    def _detach(self) -> None:
        if self._tuner is None:
            return
        self._tuner.unload()
        for name, parameter in self._family.module.named_parameters():
            parameter.requires_grad_(name in self._trainable)
        self._tuner = self._attached = None


def _read_config(folder: Path) -> LoraConfig:
    path = folder / "adapter_config.json"
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"adapter {folder}: cannot read adapter_config.json ({error.strerror})") from None
    except ValueError as error:
        raise UserError(f"adapter {path} is not JSON: {error}") from None
    if not isinstance(raw, dict) or raw.get("peft_type") != "LORA":
        raise UserError(f"adapter {path} is not a LoRA adapter", hint='peft_type must be "LORA"')
    used = [key for key in _UNSUPPORTED if raw.get(key)]
    if used or raw.get("bias", "none") != "none":
        listed = ", ".join(used) or "bias"
        raise UserError(
            f"adapter {path} uses {listed}, which this engine cannot serve", hint="train plain LoRA weights"
        )
    known = set(LoraConfig.__dataclass_fields__)
    try:
        config = LoraConfig(**{key: value for key, value in raw.items() if key in known and key != "auto_mapping"})
    except (TypeError, ValueError) as error:
        raise UserError(f"adapter {path}: {error}") from None
    config.inference_mode = True
    return config


def _read_tensors(folder: Path) -> dict[str, Tensor]:
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        others = ", ".join(sorted(p.name for p in folder.glob("adapter_model.*"))) or "no weights"
        raise UserError(
            f"adapter {folder} has no adapter_model.safetensors (found: {others})",
            hint="only safetensors are read; save the adapter again with PEFT's safe_serialization",
        )
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"adapter {path} is damaged: {error}") from None


def _modules(tensors: Mapping[str, Tensor]) -> set[str]:
    return {found["module"] for key in tensors if (found := _KEY.fullmatch(key))}


def _problems(config: LoraConfig, tensors: Mapping[str, Tensor], model: nn.Module) -> Iterator[str]:
    """Everything that would go wrong, before anything is changed."""
    targets = dict(model.named_modules())
    for key, tensor in tensors.items():
        found = _KEY.fullmatch(key)
        if found is None:
            yield f"{key} is not a LoRA weight"
            continue
        yield from _tensor_problems(key, found["side"], tensor, targets.get(found["module"]))
    wanted = {name for name, module in targets.items() if name and check_target_module_exists(config, name)}
    present = {name for name in _modules(tensors) if _pair(tensors, name)}
    if not wanted:
        yield "its target_modules match nothing in this model"
    elif wanted != present:
        missing, extra = sorted(wanted - present), sorted(present - wanted)
        yield from (f"no weights for the target {name}" for name in missing)
        yield from (f"weights for {name}, which target_modules does not name" for name in extra)


def _tensor_problems(key: str, side: str, tensor: Tensor, target: nn.Module | None) -> Iterator[str]:
    if target is None:
        yield f"{key}: the model has no such module"
        return
    if not hasattr(target, "in_features") or not hasattr(target, "out_features"):
        yield f"{key}: its target is not a linear layer"
        return
    if not torch.isfinite(tensor).all():
        yield f"{key} holds values that are not finite"
    axis, size = (1, target.in_features) if side == "A" else (0, target.out_features)
    if tensor.ndim != 2 or tensor.shape[axis] != size:
        yield f"{key} has shape {tuple(tensor.shape)}, the model needs {size} in dimension {axis}"


def _pair(tensors: Mapping[str, Tensor], module: str) -> bool:
    """Whether both sides of a module are there with one rank."""
    sides = {
        found["side"]: tensor.shape
        for key, tensor in tensors.items()
        if (found := _KEY.fullmatch(key)) and found["module"] == module
    }
    return set(sides) == {"A", "B"} and sides["A"][0] == sides["B"][-1]
