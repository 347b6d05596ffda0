"""The checks in their order: who says so, which bytes, and only then what the bytes say."""

from __future__ import annotations

from pathlib import Path

from fourways.core.errors import FourwaysError, UserError
from fourways.core.run_files import RUN_FILE, SIGNATURE_FILE, STATEMENT_FILE
from fourways.evidence.signature import Allowed, Backend, SignatureRefused, Signer, signature_packet
from fourways.evidence.statement import DOES_NOT_PROVE, LARGEST, PROVES, Statement, decode_statement
from fourways.evidence.verify.contract import (
    VERIFICATION_SCHEMA,
    Check,
    CheckName,
    Refused,
    Verification,
    check,
    unchecked,
)
from fourways.evidence.verify.files import check_files, not_signed, read_small

_LARGEST_SIGNATURE = 1 << 16
_CONTENT: tuple[CheckName, ...] = ("header", "rows", "figures", "page")


def verify_run(folder: Path, allowed: Allowed | None, backend: Backend | None) -> Verification:
    """Every check of a run's folder. allowed, backend: whose signature counts, and what checks it; None: nobody's is
    asked for. Raises UserError for a folder that holds no run, or an allow-list without a key."""
    if not folder.is_dir():
        raise UserError(f"{folder} is no folder of a run", hint="name a folder that `fourways compare` made")
    if not any((folder / name).exists() for name in (RUN_FILE, STATEMENT_FILE)):
        raise UserError(f"{folder} holds no run", hint="name a folder that `fourways compare` made")
    if allowed is not None and allowed.place.resolve().is_relative_to(folder.resolve()):
        raise UserError(
            f"{allowed.place} lies in the run itself, whose maker chose what is there",
            hint="keep the keys that you allow in a place of your own",
        )
    try:
        content = read_small(folder, STATEMENT_FILE, LARGEST)
    except Refused as error:
        return _without(f"{STATEMENT_FILE}: {error.message}")
    signature, signer = _signature(folder, content, allowed, backend)
    try:
        statement = decode_statement(content)
    except FourwaysError as error:
        return _told([signature, check("statement", _WHAT, [error.message])], signer)
    checks = [signature, check("statement", _WHAT, [])]
    if signature.outcome != "refused":  # what a stranger put there is not even hashed
        checks.append(check_files(folder, statement))
    if any(one.outcome == "refused" for one in checks):
        return _told(checks, signer, statement, not_signed(folder, statement))
    from fourways.evidence.verify.content import check_content  # what computes figures is heavy, and a refusal quick

    return _told([*checks, *check_content(folder, statement)], signer, statement, not_signed(folder, statement))


_WHAT = "an in-toto statement, in its one form"


def _signature(
    folder: Path, content: bytes, allowed: Allowed | None, backend: Backend | None
) -> tuple[Check, Signer | None]:
    signed = (folder / SIGNATURE_FILE).is_symlink() or (folder / SIGNATURE_FILE).exists()
    if allowed is None or backend is None:
        there = f"{SIGNATURE_FILE} is there" if signed else f"there is no {SIGNATURE_FILE}"
        return unchecked("signature", f"not checked against anybody: no --keys; {there}"), None
    what = f"{SIGNATURE_FILE} over {STATEMENT_FILE}, against the keys of {allowed.place}"
    try:
        packet = signature_packet(read_small(folder, SIGNATURE_FILE, _LARGEST_SIGNATURE), SIGNATURE_FILE)
        signer = backend.verify(content, packet, allowed)
    except (Refused, SignatureRefused) as error:
        named = error.message if error.message.startswith(SIGNATURE_FILE) else f"{SIGNATURE_FILE}: {error.message}"
        return check("signature", what, [named]), None
    remarks = () if signer.note is None else (signer.note,)
    return check("signature", what, [], remarks), signer


def _without(reason: str) -> Verification:
    return _told(
        [unchecked("signature", "there is nothing that it could be over"), check("statement", _WHAT, [reason])]
    )


def _told(
    checks: list[Check],
    signer: Signer | None = None,
    statement: Statement | None = None,
    beside: tuple[str, ...] = (),
) -> Verification:
    """What was not reached stands as not checked."""
    done = {one.name for one in checks}
    names: tuple[CheckName, ...] = ("files", *_CONTENT)
    left = [unchecked(name, "what it rests on is refused") for name in names if name not in done]
    refused = any(one.outcome == "refused" for one in checks)
    return Verification(
        VERIFICATION_SCHEMA,
        None if statement is None else statement.predicate.run_id,
        "refused" if refused else "verified" if signer is not None else "unsigned",
        signer,
        (*checks, *left),
        beside,
        PROVES,
        DOES_NOT_PROVE,
    )
