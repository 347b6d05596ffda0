"""What answers requests: `local` (PyTorch in this process) and `openai` (any OpenAI-compatible server).

Both keep `core.engine.Engine`: a stream of events, then one Done; a failure is that request's own. The room must
never know what is measured or served, change an answer for speed's sake, or guess what a server did not say.

Public face: `open_engine` (a candidate → an engine), `local.LocalEngine`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fourways.engines.open import open_engine

if TYPE_CHECKING:
    from fourways.engines.local import LocalEngine

__all__ = ["LocalEngine", "open_engine"]


def __getattr__(name: str) -> object:
    """`LocalEngine` is imported when it is first asked for: torch and peft come with it, which cost seconds, and who
    talks to a server needs neither."""
    if name != "LocalEngine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from fourways.engines.local import LocalEngine

    return LocalEngine
