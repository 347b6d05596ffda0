"""The embedded engine: PyTorch in this process, many requests at once.

One noun a file: `sequence` (a request), `scheduler` (the policy), `kv` (keys and values), `runner` (forward passes),
`encode` (features for a batch), `features` and `prefix` (the two caches), `sampling`, `detokenize`, `rank`, `adapters`,
`prepare` (pixels, ahead of the model), `worker` (the thread that runs the model), `stages` (where a request's time
went), `shown` and `held` (what a trace sees of the model and of memory). Must never let one request change another's
answer, or fail it.

Public face: `LocalEngine`.
"""

from fourways.engines.local.engine import LocalEngine

__all__ = ["LocalEngine"]
