"""The language model's linear layers with int8 weights, by torchao: one scale for each row, nothing for activations.

Nothing is measured over a batch, so no answer depends on what runs beside it. The vision tower, the connector, the
embeddings and the output layer keep the candidate's dtype: features are those of the model that is not quantised.
"""

from __future__ import annotations

import importlib
import re
from types import ModuleType

from torch import nn

from fourways.core.candidate import Dtype
from fourways.core.errors import CapabilityError


def check_quantization(quantization: str, dtype: Dtype) -> None:
    """Raises CapabilityError for what cannot be done here. Call before weights are read."""
    if quantization != "int8":
        raise CapabilityError(
            f"{quantization} weights are not supported by the local engine: torchao has no form of them that runs on "
            "both a CPU and CUDA",
            hint="use int8, or run the quantised model behind a server and give its URL",
        )
    if dtype == "float16":
        raise CapabilityError(
            "int8 weights with float16 are not supported by the local engine: sums are taken before they are scaled, "
            "and can exceed what float16 holds",
            hint="use bfloat16 or float32 beside int8",
        )
    _torchao()


def quantize_language(model: nn.Module, language: str) -> None:
    """Replace, in place, the weights of the linear layers whose names match `language` as a whole (a family's "llm").

    A weight (out, in) becomes int8 (out, in) with a float32 scale and an int8 zero point for each row: symmetric,
    rounded to nearest. Raises CapabilityError if torchao is not installed or no layer matches.
    """
    torchao = _torchao()
    wanted = re.compile(language)
    chosen = {name for name, module in model.named_modules() if is_quantised(name, module, wanted)}
    if not chosen:
        raise CapabilityError("int8: the family names no linear layers of this language model")
    torchao.quantize_(model, torchao.Int8WeightOnlyConfig(), lambda _module, name: name in chosen)


def is_quantised(name: str, module: nn.Module, language: re.Pattern[str]) -> bool:
    """Whether int8 touches the weight of this module."""
    return isinstance(module, nn.Linear) and language.fullmatch(name) is not None


def _torchao() -> ModuleType:
    try:
        return importlib.import_module("torchao.quantization")
    except ImportError as error:
        raise CapabilityError(
            "int8 weights need torchao, which is not installed", hint="pip install 'fourways[quant]'"
        ) from error
