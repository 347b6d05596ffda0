"""`fourways verify`: the table, JSON, exit codes, and that a refusal is quick."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fourways.cli.main import app
from fourways.core.errors import UserError
from fourways.core.run_files import SIGNATURE_FILE, STATEMENT_FILE

Keyring = Any


def verify(*words: object) -> Result:
    return CliRunner().invoke(app, ["verify", *map(str, words)])


def test_a_signed_run_is_verified_and_says_by_whom_and_what_that_proves(
    signed_run: Path, allow_alice: Path, keyring: Keyring
) -> None:
    result = verify(signed_run, "--keys", allow_alice)
    assert result.exit_code == 0, result.output
    assert (
        f"verified: signed by {keyring.fingerprints('alice@example.org')[0]} (alice <alice@example.org>)"
        in result.output
    )
    assert "a signature proves that the holder of the key put it under exactly these files" in result.output
    assert "it does not prove that the rows are true" in result.output
    assert "figures computed again from the rows" in result.output
    assert result.output.splitlines()[-1].startswith("verified: signed by")


def test_without_keys_it_says_that_nobody_was_checked_and_fails_unless_that_was_asked(signed_run: Path) -> None:
    result = verify(signed_run)
    assert result.exit_code == 1
    assert "its signature was not checked against anybody" in result.output
    assert verify(signed_run, "--unsigned").exit_code == 0


def test_a_stranger_is_refused(signed_run: Path, keyring: Keyring, tmp_path: Path) -> None:
    result = verify(signed_run, "--keys", keyring.public("mallory@example.org", tmp_path / "m.asc"))
    assert result.exit_code == 1
    assert "refused: statement.json.asc: its key is not among the allowed" in result.output
    assert "REFUSED" in result.output and "verified: signed" not in result.output


@pytest.mark.parametrize("backend", ["gpg", "sequoia"])
def test_a_changed_file_is_refused_by_name(signed_copy: Path, allow_alice: Path, backend: str) -> None:
    with (signed_copy / "summary.json").open("ab") as file:
        file.write(b" ")
    result = verify(signed_copy, "--keys", allow_alice, "--backend", backend)
    assert result.exit_code == 1
    assert "refused: summary.json: its bytes are not those that the statement names" in result.output
    assert result.output.splitlines()[-1] == "REFUSED"
    assert "prove" not in result.output  # the signature holds, and says nothing of this folder


def test_json_has_every_check(signed_copy: Path, allow_alice: Path, keyring: Keyring) -> None:
    (signed_copy / "note.txt").write_text("mine")
    told = json.loads(verify(signed_copy, "--keys", allow_alice, "--json").output)
    assert told["schema"] == "fourways.verification/v1" and told["verdict"] == "verified"
    assert told["signer"]["fingerprint"] == keyring.fingerprints("alice@example.org")[0]
    assert [check["name"] for check in told["checks"]] == [
        "signature", "statement", "files", "header", "rows", "figures", "page",
    ]  # fmt: skip
    assert {check["outcome"] for check in told["checks"]} == {"ok"}
    assert told["not_signed"] == ["note.txt"]
    (signed_copy / SIGNATURE_FILE).unlink()
    result = verify(signed_copy, "--keys", allow_alice, "--json")
    assert result.exit_code == 1 and json.loads(result.output)["verdict"] == "refused"


def test_names_of_strangers_files_cannot_steer_the_terminal(signed_copy: Path, allow_alice: Path) -> None:
    (signed_copy / "\x1b[2Jgone").write_text("")
    result = verify(signed_copy, "--keys", allow_alice)
    assert "\x1b[2J" not in result.output and "[U+001B]" in result.output


def test_wrong_words_and_places_are_the_users_mistake(signed_run: Path, allow_alice: Path, tmp_path: Path) -> None:
    for words, told in (
        ((tmp_path,), "holds no run"),
        ((tmp_path / "missing",), "is no folder"),
        ((signed_run, "--keys", tmp_path / "missing"), "cannot be read"),
        ((signed_run, "--keys", signed_run / "run.json"), "no public key"),
        ((signed_run, "--keys", allow_alice, "--unsigned"), "exclude each other"),
        ((signed_run, "--backend", "rot13"), "is not known"),
    ):
        error = verify(*words).exception
        assert isinstance(error, UserError) and told in error.message, words


def test_a_run_without_a_statement_is_refused_by_its_place_and_says_how_to_end_it(
    signed_copy: Path, allow_alice: Path
) -> None:
    (signed_copy / STATEMENT_FILE).unlink()
    result = verify(signed_copy, "--keys", allow_alice)
    assert result.exit_code == 1 and "refused: statement.json: is missing" in result.output
    assert f"the run in {signed_copy.name}" in result.output
    assert f"go on with: fourways compare --resume {signed_copy}\nREFUSED" in result.output


def test_a_run_that_nobody_signed_says_how_to_sign_it_or_to_ask_for_no_signature(
    signed_copy: Path, allow_alice: Path
) -> None:
    (signed_copy / SIGNATURE_FILE).unlink()
    result = verify(signed_copy, "--keys", allow_alice)
    assert result.exit_code == 1 and "refused: statement.json.asc: is missing" in result.output
    assert f"hint: sign it: fourways sign {signed_copy}" in result.output
    assert f"fourways verify {signed_copy} --unsigned\nREFUSED" in result.output


# What the command imports, for a whole run and for one that is refused before any figure is looked at.
_PROGRAM = """
import sys
from fourways.cli import main
try:
    main()
finally:
    print([name for name in ("torch", "transformers", "scipy") if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(("changed", "imported"), [(False, "['scipy']"), (True, "[]")])
def test_the_command_needs_nothing_that_runs_models_and_a_refusal_no_statistics(
    signed_copy: Path, allow_alice: Path, changed: bool, imported: str
) -> None:
    if changed:
        shutil.copyfile(signed_copy / "run.json", signed_copy / "state.json")
    words = ["verify", str(signed_copy), "--keys", str(allow_alice)]
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *words], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == int(changed), done.stdout + done.stderr
    assert done.stderr.strip().endswith(imported)
