"""Any server that speaks the OpenAI chat API: vLLM, SGLang, TensorRT-LLM, LMDeploy, OpenVINO, or a hosted one.

Public face: `OpenAIEngine`, `open_openai_engine`. It must never guess what a server did not say (sizes an image was
seen in, tokens, log-probabilities), repeat a request that has begun to answer, send a key where it was not meant to go,
or show one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fourways.engines.openai.engine import OpenAIEngine, open_openai_engine

__all__ = ["OpenAIEngine", "open_openai_engine"]


def __getattr__(name: str) -> object:
    """Imported when first asked for: a machine that only runs models needs no HTTP parser."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fourways.engines.openai import engine

    return getattr(engine, name)
