"""Runs `fourways` with a local engine that needs so many times its own processor time: `python slowed.py 1.5 WORDS…`.

Every pass over the model (vision, prefill, decode) is followed by idle sums until it has taken `factor` times the
processor time that it took by itself. Nothing that it computes changes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from fourways.engines.local.worker import Worker

PASSES = ("_encode", "_prefill_step", "_decode_step")


def slow(factor: float) -> None:
    """For the rest of this process."""
    for name in PASSES:
        setattr(Worker, name, slowed(getattr(Worker, name), factor))


def slowed(step: Callable[..., Any], factor: float) -> Callable[..., Any]:
    """The step, and then as much more of this thread's processor time as makes `factor` times its own."""

    def slower(*arguments: Any) -> Any:
        began = time.thread_time()
        result = step(*arguments)
        end = began + factor * (time.thread_time() - began)
        while time.thread_time() < end:
            pass
        return result

    return slower


if __name__ == "__main__":
    from fourways.cli.main import main

    slow(float(sys.argv[1]))
    sys.argv = ["fourways", *sys.argv[2:]]
    main()
