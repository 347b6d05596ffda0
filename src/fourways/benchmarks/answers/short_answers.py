"""How an open question is asked that wants a word or a phrase: shared by VQAv2 and the sets that are given by path."""

from __future__ import annotations

_SHORT = "Answer the question using a single word or phrase."
_QWEN = "Please try to answer the question with short words or phrases if possible."
_CLOSINGS: dict[str, str] = {
    "qwen-vl": " Answer:",
    "qwen2-vl": f"\n{_QWEN}",
    "qwen2.5-vl": f"\n{_QWEN}",
    "qwen3-vl": "\nPlease answer concisely with short words or phrases when possible.",
    "internvl": f" {_SHORT}",
}


def short_answer_prompt(question: str, dialect: str) -> str:
    """Qwen-VL: its own repository's. Qwen2-VL and later: VLMEvalKit's VQA prompts. InternVL: the short-answer request
    after a space. Others: on a new line."""
    return question + _CLOSINGS.get(dialect, f"\n{_SHORT}")
