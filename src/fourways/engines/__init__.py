"""What answers requests: `local` (PyTorch in this process) and `openai` (any OpenAI-compatible server).

Both keep `core.engine.Engine`: a stream of events, then one Done; a failure is that request's own. The room must
never know what is measured or served, change an answer for speed's sake, or guess what a server did not say.

Public face: `open_engine` (a candidate → an engine), `local.LocalEngine`.
"""

from fourways.engines.local import LocalEngine
from fourways.engines.open import open_engine

__all__ = ["LocalEngine", "open_engine"]
