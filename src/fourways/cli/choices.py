"""Words of options that several commands share. Nothing here imports what runs models: a wrong word is told at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, TypeVar

from fourways.core.candidate import Dtype
from fourways.core.errors import UserError

DTYPES: dict[str, Dtype] = {
    "float32": "float32",
    "fp32": "float32",
    "bfloat16": "bfloat16",
    "bf16": "bfloat16",
    "float16": "float16",
    "fp16": "float16",
}
BACKENDS: dict[str, Literal["auto", "gpg", "sequoia"]] = {"auto": "auto", "gpg": "gpg", "sequoia": "sequoia"}
WEIGHTS: dict[str, Literal["trained", "random"]] = {"trained": "trained", "random": "random"}
T = TypeVar("T")


def choice(option: str, word: str, known: Mapping[str, T]) -> T:
    """What a word means. Raises UserError naming the option and the words that are known."""
    if word not in known:
        raise UserError(f"{option} {word!r} is not known", hint=f"one of {', '.join(known)}")
    return known[word]
