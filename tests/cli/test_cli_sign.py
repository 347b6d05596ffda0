"""`fourways sign`: who signs, what is not signed, and what is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fourways.cli.main import app
from fourways.core.errors import FourwaysError, UserError
from fourways.core.run_files import SIGNATURE_FILE

Keyring = Any


def sign(*words: object) -> Result:
    return CliRunner().invoke(app, ["sign", *map(str, words)])


def mistake(*words: object) -> UserError:
    result = sign(*words)
    assert isinstance(result.exception, UserError), result.output
    return result.exception


def test_it_says_the_full_fingerprint_and_where_the_signature_is(run_copy: Path, keyring: Keyring) -> None:
    result = sign(run_copy, "--key", "alice@example.org", "--gnupghome", keyring.home)
    assert result.exit_code == 0, result.output
    assert f"signed by {keyring.fingerprints('alice@example.org')[0]}" in result.output
    assert f"signature: {run_copy / SIGNATURE_FILE}" in result.output
    assert (run_copy / SIGNATURE_FILE).read_bytes().startswith(b"-----BEGIN PGP SIGNATURE-----\n")
    assert "PRIVATE" not in result.output


def test_a_second_signature_takes_the_place_of_the_first(run_copy: Path, keyring: Keyring) -> None:
    for name in ("mallory", "alice"):
        assert sign(run_copy, "--key", f"{name}@example.org", "--gnupghome", keyring.home).exit_code == 0
    allowed = keyring.public("alice@example.org", run_copy.parent / "alice.asc")
    assert CliRunner().invoke(app, ["verify", str(run_copy), "--keys", str(allowed)]).exit_code == 0


def test_the_keyring_is_the_callers_own_unless_another_is_named(
    run_copy: Path, keyring: Keyring, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GNUPGHOME", str(keyring.home))
    assert sign(run_copy, "--key", "alice@example.org").exit_code == 0


def test_a_key_from_a_file_signs_without_gpg(
    run_copy: Path, keyring: Keyring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = keyring.private("alice@example.org", tmp_path / "alice-private.asc")
    allowed = keyring.public("alice@example.org", tmp_path / "alice.asc")
    monkeypatch.setenv("PATH", str(tmp_path))
    result = sign(run_copy, "--key-file", private)
    assert result.exit_code == 0, result.output
    assert CliRunner().invoke(app, ["verify", str(run_copy), "--keys", str(allowed)]).exit_code == 0
    assert "PRIVATE" not in result.output


def test_a_run_that_does_not_agree_with_itself_is_not_signed(run_copy: Path, keyring: Keyring) -> None:
    with (run_copy / "rows.jsonl").open("ab") as rows:
        rows.write(b"{}\n")
    result = sign(run_copy, "--key", "alice@example.org", "--gnupghome", keyring.home)
    assert result.exit_code == 1
    assert "refused: rows.jsonl: its bytes are not those that the statement names" in result.output
    assert "nothing was signed" in result.output
    assert not (run_copy / SIGNATURE_FILE).exists()


def test_a_run_that_goes_on_is_not_signed(run_copy: Path, keyring: Keyring) -> None:
    import fcntl

    with (run_copy / "rows.jsonl").open("ab") as rows:
        fcntl.flock(rows, fcntl.LOCK_EX)
        told = mistake(run_copy, "--key", "alice@example.org", "--gnupghome", keyring.home)
    assert "another process is writing" in told.message


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "whose signature"),
        (("--key", "nobody@example.org"), "no private key 'nobody@example.org'"),
        (("--key", "alice"), "neither a whole fingerprint nor an email address"),
        (("--key", "a@b", "--backend", "rot13"), "--backend 'rot13' is not known"),
        (("--key", "a@b", "--backend", "sequoia"), "--gnupghome is for gpg"),
        (("--key", "a@b", "--key-file", "k.asc"), "exclude each other"),
    ],
)
def test_a_wrong_word_is_told(run_copy: Path, keyring: Keyring, words: tuple[str, ...], told: str) -> None:
    error = mistake(run_copy, *words, "--gnupghome", keyring.home)
    assert told in error.message
    assert not (run_copy / SIGNATURE_FILE).exists()


def test_a_folder_without_a_run_is_the_users_mistake(tmp_path: Path, keyring: Keyring) -> None:
    for place in (tmp_path, tmp_path / "missing"):
        assert "run" in mistake(place, "--key", "alice@example.org", "--gnupghome", keyring.home).message


def test_a_keyring_that_is_none_is_told(run_copy: Path, tmp_path: Path) -> None:
    assert "is no folder" in mistake(run_copy, "--key", "a@b.c", "--gnupghome", tmp_path / "missing").message
    (tmp_path / "empty").mkdir(mode=0o700)
    assert "holds no private key" in mistake(run_copy, "--key", "a@b.c", "--gnupghome", tmp_path / "empty").message


def test_a_passphrase_comes_over_a_descriptor_and_a_wrong_one_signs_nothing(
    run_copy: Path, locked_keyring: Keyring, told_passphrase: Callable[[str], int]
) -> None:
    words = (run_copy, "--key", "l@example.org", "--gnupghome", locked_keyring.home, "--passphrase-fd")
    refused = sign(*words, told_passphrase("wrong")).exception
    assert isinstance(refused, FourwaysError) and refused.exit_code == 1 and "gpg did not sign" in refused.message
    assert refused.hint == "the passphrase was wrong"
    assert not (run_copy / SIGNATURE_FILE).exists()
    result = sign(*words, told_passphrase("open"))
    assert result.exit_code == 0, result.output
