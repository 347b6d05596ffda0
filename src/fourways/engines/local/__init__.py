"""The embedded engine: PyTorch in this process, many requests at once.

One noun a file: `sequence` (a request), `scheduler` (the policy), `kv` (keys and values), `runner` (forward passes),
`features` and `prefix` (the two caches), `sampling`, `detokenize`, `rank`, `adapters`, `prepare` (pixels, ahead of
the model), `worker` (the thread that runs the model). Must never let one request change another's answer, or fail it.

Public face: `LocalEngine`.
"""

from fourways.engines.local.engine import LocalEngine

__all__ = ["LocalEngine"]
