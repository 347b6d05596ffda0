"""Which backend signs or verifies: gpg where it is found, or the one that was asked for."""

from __future__ import annotations

from pathlib import Path

from fourways.core.errors import UserError
from fourways.evidence.signature.contract import Backend
from fourways.evidence.signature.gpg import Gpg, find_gpg
from fourways.evidence.signature.sequoia import Sequoia, load_sequoia


def backend_named(name: str) -> Backend:
    """To verify with. Raises UserError if it is not here."""
    if name == "gpg" and find_gpg() is None:
        raise UserError("there is no gpg here", hint="install GnuPG, or: --backend sequoia")
    if name == "gpg" or (name == "auto" and find_gpg() is not None):
        return Gpg()
    load_sequoia()
    return Sequoia()


def signing_backend(name: str, home: Path | None, key_file: Path | None, passphrase_fd: int | None) -> Backend:
    """To sign with: a key file is pysequoia's, a keyring is gpg's. Raises UserError for what cannot go together."""
    if home is not None and key_file is not None:
        raise UserError("--gnupghome and --key-file exclude each other: a key lies in a keyring or in a file")
    if name == "gpg" and key_file is not None:
        raise UserError("--key-file is for pysequoia", hint="--backend sequoia; or import it: gpg --import KEY")
    if name == "sequoia" and home is not None:
        raise UserError("--gnupghome is for gpg", hint="--backend gpg, or --key-file PRIVATE.asc")
    if key_file is not None or name == "sequoia":
        load_sequoia()
        return Sequoia(key_file, passphrase_fd)
    if find_gpg() is None:
        raise UserError("there is no gpg here", hint="install GnuPG, or: --backend sequoia --key-file PRIVATE.asc")
    return Gpg(home, passphrase_fd)
