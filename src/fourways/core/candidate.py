"""A column of the comparison."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

from fourways.core.boxes import BoxFormat

Dtype = Literal["float32", "bfloat16", "float16"]
Quantization = Literal["int8", "int4"]


class Sampling(msgspec.Struct, frozen=True):
    """Sampling that a candidate asks for in place of greedy; recorded with every score."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0
    presence_penalty: float = 0.0
    repetition_penalty: float = 1.0


class Candidate(msgspec.Struct, frozen=True):
    """A model in one way of running it. Exactly one of `model` (local engine) and `url` (openai engine) is set.

    model: `zoo:NAME`, a checkpoint folder, a registered name, or a Hugging Face id. served_model: the name a server
    knows it by.
    weights "random": built from the config alone; such a candidate never fills accuracy or tuning.
    dialect, box_format: how it likes to be asked and how it writes boxes, where the engine cannot know (a server by
    URL); None: what the engine says. api_key_env: the environment variable that holds a server's key. server_log: the
    file that a server on this machine writes its log to, for what it says there of its memory.
    """

    name: str
    model: str | None = None
    url: str | None = None
    served_model: str | None = None
    dtype: Dtype = "float32"
    device: str = "cpu"
    quantization: Quantization | None = None
    adapter: str | None = None
    visual_budget: int | None = None
    sampling: Sampling = Sampling()
    weights: Literal["trained", "random"] = "trained"
    threads: int | None = None
    dialect: str | None = None
    box_format: BoxFormat | None = None
    api_key_env: str | None = None
    server_log: str | None = None


class Checkpoint(msgspec.Struct, frozen=True):
    """A checkpoint folder that was found and looked at, not yet loaded.

    architecture: the class named in config.json. sha256: file name → digest (safetensors, config, tokenizer).
    For random weights `folder` holds the config and tokenizer only.
    """

    folder: Path
    architecture: str
    config: dict[str, Any]
    sha256: dict[str, str]
    random_weights: bool = False
