"""Every error that a person may see. Each carries what happened, and a hint that says what to do about it."""

from __future__ import annotations


class FourwaysError(Exception):
    """A failure with one clear line (`message`) and, where there is one, a way out (`hint`).

    `exit_code` is what the command line returns: 1 for a fault of ours or of the machine, 2 for the user's mistake.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UserError(FourwaysError):
    """The input cannot be used as given; nothing was started."""

    exit_code = 2


class CheckpointError(UserError):
    """A checkpoint is missing, incomplete, corrupt, or of an architecture that no family knows.

    fault: a stable code of what is wrong inside the checkpoint (`weights.truncated`), which the health check's
    catalogue explains; None where the name leads to no checkpoint at all, or the fault has no code.
    """

    def __init__(self, message: str, *, hint: str | None = None, fault: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.fault = fault


class BenchmarkFormatError(UserError):
    """A benchmark file lacks columns, or holds what its format forbids. The message names file, row and column."""


class MediaError(UserError):
    """Bytes that are not the image or video they claim to be, or that exceed a limit. Names the sample."""


class CapabilityError(FourwaysError):
    """An engine or family was asked for what it declared it cannot do; shown as "undefined", never guessed."""


class EngineError(FourwaysError):
    """A request failed inside the engine (model error, lost server). It fails that request only."""


class OutOfMemory(EngineError):
    """The device has no room for this request."""


class Undefined(Exception):
    """A figure has no value here; `reason` says why ("no access", "needs 2 output tokens, got 1", …)."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
