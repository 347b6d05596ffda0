"""Putting a signature under a run: only under one that agrees with itself, and over the bytes that were checked."""

from __future__ import annotations

from pathlib import Path

from fourways.core.errors import FourwaysError
from fourways.core.run_files import SIGNATURE_FILE, STATEMENT_FILE, write_whole
from fourways.evidence.rowlog import check_free
from fourways.evidence.signature import Backend, Signer, signature_file
from fourways.evidence.statement import LARGEST
from fourways.evidence.verify import Verification, verify_run
from fourways.evidence.verify.contract import Refused
from fourways.evidence.verify.files import read_small


def sign_run(folder: Path, backend: Backend, key: str | None) -> tuple[Signer | None, Verification]:
    """Writes statement.json.asc, whole, in the place of an older one. Returns who signed, or None for a run that is
    refused, and why. Raises UserError for a run that goes on, or a key that cannot be used."""
    check_free(folder)
    before = _statement(folder)
    found = verify_run(folder, None, None)
    content = _statement(folder)
    if found.verdict == "refused" or content is None:
        return None, found
    if content != before:
        raise FourwaysError(
            f"{folder / STATEMENT_FILE} changed while it was checked", hint="is the run still going on?"
        )
    signed = backend.sign(content, key)
    write_whole(folder / SIGNATURE_FILE, signature_file(signed.packet))
    return signed.signer, found


def _statement(folder: Path) -> bytes | None:
    try:
        return read_small(folder, STATEMENT_FILE, LARGEST)
    except (Refused, OSError):
        return None
