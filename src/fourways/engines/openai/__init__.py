"""Any server that speaks the OpenAI chat API: vLLM, SGLang, TensorRT-LLM, LMDeploy, OpenVINO, or a hosted one.

Public face: `OpenAIEngine`, `open_openai_engine`. It must never guess what a server did not say (sizes an image was
seen in, tokens, log-probabilities), repeat a request that has begun to answer, send a key where it was not meant to go,
or show one.
"""

from fourways.engines.openai.engine import OpenAIEngine, open_openai_engine

__all__ = ["OpenAIEngine", "open_openai_engine"]
