"""`fourways sign`: the caller's OpenPGP signature under a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fourways.cli.choices import BACKENDS, choice
from fourways.cli.terminal import notes, results

EXAMPLES = """
Examples:

fourways sign runs/2026-11-22T10-04-05Z-qwen-llava-internvl --key alice@example.org

fourways sign runs/2026-11-22T10-04-05Z-qwen-llava-internvl --key 0123456789ABCDEF0123456789ABCDEF01234567

fourways sign runs/2026-11-22T10-04-05Z-qwen-llava-internvl --key-file ci-key.asc --passphrase-fd 3 3< passphrase

The run is checked first, as `fourways verify` does: what does not agree with itself is not signed. The signature is
statement.json.asc; gpg asks for a passphrase as it always does. In continuous integration: docs/ci-signing.md.

Exit codes: 0 signed; 1 the run was refused, or signing failed; 2 your mistake.
"""
_KEY = "Whose key: a whole fingerprint or an email address."
_HOME = "The keyring, unless it is your own (GNUPGHOME or ~/.gnupg)."
_FILE = "A private key in a file, for pysequoia where there is no gpg."
_PASSPHRASE = "Read the passphrase from this file descriptor instead of asking for it."


def sign(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    key: Annotated[str | None, typer.Option(metavar="FINGERPRINT|EMAIL", help=_KEY)] = None,
    gnupghome: Annotated[Path | None, typer.Option(metavar="DIR", help=_HOME)] = None,
    key_file: Annotated[Path | None, typer.Option(metavar="FILE", help=_FILE)] = None,
    passphrase_fd: Annotated[int | None, typer.Option(metavar="N", min=0, help=_PASSPHRASE)] = None,
    backend: Annotated[str, typer.Option(metavar="auto|gpg|sequoia", help="What signs.")] = "auto",
) -> None:
    """Sign a run: a detached signature over its statement, and so over every file of it."""
    from fourways.core.errors import UserError

    name = choice("--backend", backend, BACKENDS)
    if key is None and key_file is None:
        raise UserError("whose signature? name a key", hint="--key FINGERPRINT|EMAIL; see gpg --list-secret-keys")
    from fourways.cli.verify import show
    from fourways.evidence.signature import signing_backend
    from fourways.evidence.signing import sign_run

    signed, found = sign_run(run, signing_backend(name, gnupghome, key_file, passphrase_fd), key)
    if signed is None:
        show(found, run)
        notes().print("nothing was signed", highlight=False)
        raise typer.Exit(1)
    results().print(f"signed by {signed.fingerprint}", soft_wrap=True, highlight=False)
    if signed.key != signed.fingerprint:
        results().print(f"with its subkey {signed.key}", soft_wrap=True, highlight=False)
    for remark in (remark for check in found.checks for remark in check.remarks):
        notes().print(remark, soft_wrap=True, highlight=False)
    if found.not_signed:
        notes().print(f"not signed, though in the folder: {', '.join(found.not_signed)}", soft_wrap=True)
    results().print(f"signature: {run / 'statement.json.asc'}", soft_wrap=True, highlight=False)
