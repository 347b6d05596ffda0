"""What a verification says."""

from __future__ import annotations

from typing import Literal

import msgspec

from fourways.core.errors import FourwaysError
from fourways.evidence.signature import Signer

VERIFICATION_SCHEMA = "fourways.verification/v1"
CheckName = Literal["signature", "statement", "files", "header", "rows", "figures", "page"]
Outcome = Literal["ok", "refused", "not checked"]
SHOWN = 20
"""Reasons that one check gives; of more it says how many there are."""


class Check(msgspec.Struct, frozen=True):
    """One question that was asked of the run. what: what was looked at, or why nothing was. reasons: why it is refused,
    each naming the file, and the line or the figure. remarks: what is no reason to refuse, and must be known."""

    name: CheckName
    outcome: Outcome
    what: str
    reasons: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()


class Verification(msgspec.Struct, frozen=True):
    """verdict: `verified` only if a signature by an allowed key was checked and nothing is refused; `unsigned` if
    nothing is refused but nobody's signature was asked for. run_id: as the statement has it, None without one.
    not_signed: files in the folder that the statement does not name. proves, does_not_prove: of a signature."""

    schema: str
    run_id: str | None
    verdict: Literal["verified", "refused", "unsigned"]
    signer: Signer | None
    checks: tuple[Check, ...]
    not_signed: tuple[str, ...]
    proves: tuple[str, ...]
    does_not_prove: tuple[str, ...]


class Refused(FourwaysError):
    """A file cannot be what a run has there."""


def check(name: CheckName, what: str, reasons: list[str], remarks: tuple[str, ...] = ()) -> Check:
    """Refused if there is a reason."""
    more = len(reasons) - SHOWN
    shown = (*reasons[:SHOWN], f"and {more:,} more") if more > 0 else tuple(reasons)
    return Check(name, "refused" if reasons else "ok", what, shown, remarks)


def unchecked(name: CheckName, why: str) -> Check:
    return Check(name, "not checked", why)
