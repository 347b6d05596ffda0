"""The same comparison on several platforms, as `fourways evidence table` tells it."""

from __future__ import annotations

from typing import Literal

import msgspec

PLATFORMS_SCHEMA = "fourways.platforms/v1"
PlatformVerdict = Literal["the first run", "same answers", "answers differ", "not comparable"]


class PlatformCheck(msgspec.Struct, frozen=True):
    """A check of a run, and the command that makes it anew. reasons: why it is refused, or was not made."""

    name: str
    outcome: Literal["ok", "refused", "not checked"]
    command: str
    reasons: tuple[str, ...] = ()


class PlatformRow(msgspec.Struct, frozen=True):
    """A run and where it was made. machine: processor, usable cores and memory; of a merged run, of each shard's
    machine that differs. answers_sha256: None where there is no answer. verdict, reasons: against the first run."""

    folder: str
    run_id: str
    fourways: str
    kernel: str
    machine: str
    accelerators: tuple[str, ...]
    versions: dict[str, str]
    checks: tuple[PlatformCheck, ...]
    answers: int
    answers_sha256: str | None
    answers_command: str
    verdict: PlatformVerdict
    reasons: tuple[str, ...] = ()


class PlatformTable(msgspec.Struct, frozen=True):
    schema: str
    rows: tuple[PlatformRow, ...]
