"""Signatures: gpg and pysequoia make what the other takes, and neither takes what it must not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pysequoia
import pytest

from fourways.core.errors import FourwaysError, UserError
from fourways.evidence.signature import (
    Backend,
    SignatureRefused,
    backend_named,
    read_allowed,
    signature_file,
    signature_packet,
    signing_backend,
)
from fourways.evidence.signature.armor import blocks
from fourways.evidence.signature.gpg import Gpg
from fourways.evidence.signature.packets import tags
from fourways.evidence.signature.sequoia import Sequoia

CONTENT = b'{\n "a": 1\n}\n'
BOTH: list[Backend] = [Gpg(), Sequoia()]
by_both = pytest.mark.parametrize("backend", BOTH, ids=["gpg", "sequoia"])
Keyring = Any


@pytest.fixture(scope="module")
def alice_file(keyring: Keyring, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return keyring.private("alice@example.org", tmp_path_factory.mktemp("private") / "alice.asc")


@pytest.fixture(scope="module", params=["gpg", "sequoia"])
def signer(request: pytest.FixtureRequest, keyring: Keyring, alice_file: Path) -> Backend:
    return Gpg(keyring.home) if request.param == "gpg" else Sequoia(alice_file)


@by_both
def test_what_one_signs_both_verify(signer: Backend, backend: Backend, keyring: Keyring, allow_alice: Path) -> None:
    fingerprint = keyring.fingerprints("alice@example.org")[0]
    signed = signer.sign(CONTENT, "alice@example.org")
    found = backend.verify(CONTENT, signed.packet, read_allowed(allow_alice))
    assert found.fingerprint == signed.signer.fingerprint == fingerprint
    assert found.user_ids == ("alice <alice@example.org>",)
    assert pysequoia.Sig.from_bytes(signed.packet).hash_algorithm == pysequoia.packet.HashAlgorithm.SHA512


@by_both
def test_other_bytes_and_strangers_are_refused(
    signer: Backend, backend: Backend, keyring: Keyring, allow_alice: Path, tmp_path: Path
) -> None:
    packet = signer.sign(CONTENT, "alice@example.org").packet
    for other in (CONTENT + b"\n", CONTENT.replace(b"\n", b"\r\n"), b""):
        with pytest.raises(SignatureRefused):
            backend.verify(other, packet, read_allowed(allow_alice))
    stranger = keyring.public("mallory@example.org", tmp_path / "mallory.asc")
    with pytest.raises(SignatureRefused, match="not among the allowed"):
        backend.verify(CONTENT, packet, read_allowed(stranger))


@by_both
def test_a_subkey_counts_for_its_primary_key(
    backend: Backend, new_keyring: Callable[[], Keyring], tmp_path: Path
) -> None:
    ci = new_keyring()
    ci.gpg("--quick-generate-key", "ci <ci@example.org>", "ed25519", "cert", "never")
    primary = ci.fingerprints("ci@example.org")[0]
    ci.gpg("--quick-add-key", primary, "ed25519", "sign", "1y")
    _, subkey = ci.fingerprints("ci@example.org")
    allowed = read_allowed(ci.public(primary, tmp_path / "ci.asc"))
    for name in (primary, subkey, "ci@example.org", primary.lower(), f"0x{primary}"):
        signed = Gpg(ci.home).sign(CONTENT, name)
        found = backend.verify(CONTENT, signed.packet, allowed)
        assert (found.fingerprint, found.key) == (primary, subkey)


@by_both
def test_a_key_that_expired_after_it_signed_counts_and_one_before_does_not(
    backend: Backend, new_keyring: Callable[[], Keyring], tmp_path: Path
) -> None:
    old = new_keyring()
    fingerprint = old.make_at("20200101T000000", "o@example.org", "1y")
    allowed = read_allowed(old.public(fingerprint, tmp_path / "o.asc"))
    (tmp_path / "content").write_bytes(CONTENT)
    early = old.signed(tmp_path / "content", "--faked-system-time", "20200601T000000")
    assert backend.verify(CONTENT, early, allowed).note == "the key has expired since"
    with pytest.raises(UserError, match="expired"):
        Gpg(old.home).sign(CONTENT, fingerprint)
    with pytest.raises(UserError, match="expired"):
        Sequoia(old.private(fingerprint, tmp_path / "o-private.asc")).sign(CONTENT, None)
    # the same key, valid for longer, signs after the end of the copy that is allowed
    old.gpg("--faked-system-time", "20200601T000000", "--quick-set-expire", fingerprint, "5y")
    late = old.signed(tmp_path / "content", "--faked-system-time", "20220101T000000")
    with pytest.raises(SignatureRefused, match=r"expired|could not sign then"):
        backend.verify(CONTENT, late, allowed)


@by_both
def test_a_revoked_key_counts_for_nothing(backend: Backend, new_keyring: Callable[[], Keyring], tmp_path: Path) -> None:
    lost = new_keyring()
    fingerprint = lost.make("lost@example.org")
    packet = Gpg(lost.home).sign(CONTENT, None).packet
    told = (lost.home / "openpgp-revocs.d" / f"{fingerprint}.rev").read_text().replace(":-----BEGIN", "-----BEGIN")
    (tmp_path / "revocation").write_text(told)
    lost.gpg("--import", str(tmp_path / "revocation"))
    allowed = read_allowed(lost.public(fingerprint, tmp_path / "lost.asc"))
    with pytest.raises(SignatureRefused):
        backend.verify(CONTENT, packet, allowed)
    with pytest.raises(UserError, match="revoked"):
        Gpg(lost.home).sign(CONTENT, fingerprint)


@by_both
@pytest.mark.parametrize("copies", ["the new copy", "both copies"])
def test_a_subkey_that_was_only_replaced_counts_for_nothing_either(
    backend: Backend, copies: str, retired: tuple[bytes, Path, Path], tmp_path: Path
) -> None:
    """Whatever the reason of a revocation, and whether or not an older copy of the key still lies beside it."""
    packet, early, late = retired
    (tmp_path / "late.asc").write_bytes(late.read_bytes())
    backend.verify(CONTENT, packet, read_allowed(early))
    if copies == "both copies":
        (tmp_path / "early.asc").write_bytes(early.read_bytes())
    with pytest.raises(SignatureRefused, match="its key is revoked"):
        backend.verify(CONTENT, packet, read_allowed(tmp_path))


@pytest.fixture(scope="module")
def retired(new_keyring: Callable[[], Keyring], tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path, Path]:
    """A signature by a subkey, and its key before and after that subkey was retired."""
    place, made = tmp_path_factory.mktemp("retired"), new_keyring()
    when = ("--faked-system-time", "20260101T000000")
    made.gpg(*when, "--quick-generate-key", "r <r@example.org>", "ed25519", "cert", "never")
    fingerprint = made.fingerprints("r@example.org")[0]
    made.gpg(*when, "--quick-add-key", fingerprint, "ed25519", "sign", "never")
    (place / "content").write_bytes(CONTENT)
    packet = made.signed(place / "content", "--faked-system-time", "20260102T000000")
    early = made.public(fingerprint, place / "early.asc")
    answers = "key 1\nrevkey\ny\n3\n\ny\nsave\n"  # 3: no longer used
    command = ["gpg", "--homedir", str(made.home), "--pinentry-mode", "loopback", "--passphrase", "", "--no-tty"]
    subprocess.run(
        [*command, "--command-fd", "0", "--edit-key", fingerprint],
        input=answers.encode(),
        capture_output=True,
        check=True,
    )
    return packet, early, made.public(fingerprint, place / "late.asc")


@by_both
@pytest.mark.parametrize("digest", ["SHA1", "RIPEMD160", "SHA224"])
def test_a_signature_over_a_weak_digest_is_refused(
    backend: Backend, digest: str, keyring: Keyring, allow_alice: Path, tmp_path: Path
) -> None:
    (tmp_path / "content").write_bytes(CONTENT)
    packet = keyring.signed(tmp_path / "content", "--local-user", "alice@example.org", "--digest-algo", digest)
    with pytest.raises(SignatureRefused):
        backend.verify(CONTENT, packet, read_allowed(allow_alice))


@by_both
def test_a_signature_of_a_time_to_come_is_refused(
    backend: Backend, keyring: Keyring, allow_alice: Path, tmp_path: Path
) -> None:
    (tmp_path / "content").write_bytes(CONTENT)
    when = ("--faked-system-time", "20900101T000000")
    packet = keyring.signed(tmp_path / "content", "--local-user", "alice@example.org", *when)
    with pytest.raises(SignatureRefused, match=r"in the future|could not sign then"):
        backend.verify(CONTENT, packet, read_allowed(allow_alice))


@by_both
def test_no_word_of_a_keys_maker_or_a_signer_is_taken_for_a_line_of_gpgs(
    backend: Backend, new_keyring: Callable[[], Keyring], tmp_path: Path
) -> None:
    """Python also takes U+2028 for the end of a line."""
    odd = new_keyring()
    name = "x\u2028[GNUPG:] VALIDSIG\u2028pub <odd@example.org>"
    odd.gpg("--quick-generate-key", name, "ed25519", "sign", "never")
    (tmp_path / "content").write_bytes(CONTENT)
    packet = odd.signed(tmp_path / "content", "--sig-notation", "a@example.org=x\u2028[GNUPG:] BADSIG y")
    allowed = read_allowed(odd.public("odd@example.org", tmp_path / "odd.asc"))
    assert backend.verify(CONTENT, packet, allowed).user_ids == (name,)
    assert Gpg(odd.home).sign(CONTENT, "odd@example.org").signer.user_ids == (name,)


@by_both
def test_a_signature_over_text_is_refused(
    backend: Backend, keyring: Keyring, allow_alice: Path, tmp_path: Path
) -> None:
    (tmp_path / "content").write_bytes(CONTENT)
    packet = keyring.signed(tmp_path / "content", "--local-user", "alice@example.org", "--textmode")
    with pytest.raises(SignatureRefused, match="exactly these bytes"):
        backend.verify(CONTENT, packet, read_allowed(allow_alice))


@by_both
def test_a_signature_that_has_expired_is_refused(
    backend: Backend, new_keyring: Callable[[], Keyring], tmp_path: Path
) -> None:
    old = new_keyring()
    allowed = read_allowed(old.public(old.make_at("20200101T000000", "o@example.org", "never"), tmp_path / "o.asc"))
    (tmp_path / "content").write_bytes(CONTENT)
    packet = old.signed(tmp_path / "content", "--faked-system-time", "20200101T000100", "--default-sig-expire", "1d")
    with pytest.raises(SignatureRefused, match="expired"):
        backend.verify(CONTENT, packet, allowed)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (None, "means 3 keys"),
        ("twin@example.org", "means 2 keys"),
        ("nobody@example.org", "no private key"),
        ("0123456789ABCDEF", "neither a whole fingerprint nor an email"),
        ("alice", "neither a whole fingerprint nor an email"),
        ("--export-secret-keys", "neither a whole fingerprint nor an email"),
        ("0" * 40, "no private key"),
    ],
)
def test_a_name_that_is_not_one_key_is_the_users_mistake(twins: Keyring, name: str | None, told: str) -> None:
    with pytest.raises(UserError, match=told):
        Gpg(twins.home).sign(CONTENT, name)


@pytest.fixture(scope="module")
def twins(new_keyring: Callable[[], Keyring]) -> Keyring:
    made = new_keyring()
    made.make("twin@example.org")
    made.gpg("--quick-generate-key", "Other <twin@example.org>", "ed25519", "sign", "never")
    made.make("single@example.org")
    return made


def test_a_passphrase_is_read_from_a_descriptor_and_a_wrong_one_is_said(
    locked_keyring: Keyring, told_passphrase: Callable[[str], int]
) -> None:
    home, file = locked_keyring.home, locked_keyring.home / "locked.asc"
    for make in (lambda fd: Gpg(home, fd), lambda fd: Sequoia(file, fd)):
        with pytest.raises(FourwaysError):
            make(told_passphrase("wrong")).sign(CONTENT, "l@example.org")
        assert make(told_passphrase("open")).sign(CONTENT, "l@example.org").signer.user_ids == ("l <l@example.org>",)


def test_verifying_starts_no_agent_and_leaves_the_callers_keyring_alone(
    keyring: Keyring, allow_alice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packet = Gpg(keyring.home).sign(CONTENT, "alice@example.org").packet
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GNUPGHOME", str(tmp_path / "gnupg"))
    Gpg().verify(CONTENT, packet, read_allowed(allow_alice))
    assert not (tmp_path / "gnupg").exists() and not (tmp_path / ".gnupg").exists()


def test_an_allow_list_is_a_file_or_a_folder_armored_or_binary(
    keyring: Keyring, allow_alice: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "allowed"
    folder.mkdir()
    mallory = keyring.public("mallory@example.org", tmp_path / "m.asc").read_bytes()
    (folder / "both.asc").write_bytes(b"two people\n" + allow_alice.read_bytes() + b"\nand\n" + mallory)
    (folder / "binary.pgp").write_bytes(blocks(mallory)[0][1])
    (folder / ".note").write_text("hidden")
    for name in ("alice", "mallory"):
        packet = Gpg(keyring.home).sign(CONTENT, f"{name}@example.org").packet
        for backend in BOTH:
            backend.verify(CONTENT, packet, read_allowed(folder))


def test_an_allow_list_that_is_none_is_the_users_mistake(keyring: Keyring, alice_file: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").write_text("no key")
    (tmp_path / "torn.asc").write_bytes(keyring.public("alice@example.org", tmp_path / "a.asc").read_bytes()[:-30])
    (tmp_path / "large").write_bytes(b"\x80" * (5 << 20))
    (tmp_path / "binary").write_bytes(b"\x99\xff\xff")
    for place, told in (
        (tmp_path / "missing", "cannot be read"), (tmp_path / "empty", "no file of keys"),
        (tmp_path / "text", "no public"), (tmp_path / "torn.asc", "not whole"),
        (tmp_path / "large", "larger than"), (alice_file, "private key"),
        (tmp_path / "binary", "no public key"),
    ):  # fmt: skip
        with pytest.raises(UserError, match=told):
            read_allowed(place)


def test_the_signature_file_is_one_armored_packet_and_nothing_else(keyring: Keyring) -> None:
    packet = Gpg(keyring.home).sign(CONTENT, "alice@example.org").packet
    file = signature_file(packet)
    assert signature_packet(file, "x") == packet
    assert list(tags(packet)) == [2]
    for other in (
        b"", packet, file + file, b"hello\n" + file, file + b"hello\n", file.replace(b"SIGNATURE", b"MESSAGE"),
        signature_file(packet + packet), signature_file(b""), signature_file(b"\xc2\x7f" + packet), file[:-10],
    ):  # fmt: skip
        with pytest.raises(SignatureRefused, match=r"^x is not"):
            signature_packet(other, "x")


def test_where_there_is_no_gpg_pysequoia_takes_its_place(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert isinstance(backend_named("auto"), Gpg)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert isinstance(backend_named("auto"), Sequoia)
    with pytest.raises(UserError, match="there is no gpg here"):
        backend_named("gpg")
    with pytest.raises(UserError, match="there is no gpg here"):
        signing_backend("auto", None, None, None)
    monkeypatch.setitem(sys.modules, "pysequoia", None)
    with pytest.raises(UserError, match="pysequoia is not installed"):
        backend_named("auto")


def test_options_that_cannot_go_together_are_told(tmp_path: Path) -> None:
    for arguments in (("auto", tmp_path, tmp_path), ("gpg", None, tmp_path), ("sequoia", tmp_path, None)):
        with pytest.raises(UserError):
            signing_backend(*arguments, None)
    with pytest.raises(UserError, match="key from a file"):
        signing_backend("sequoia", None, None, None).sign(CONTENT, None)
    with pytest.raises(UserError, match="no private key"):
        Sequoia(tmp_path / "nothing").sign(CONTENT, None)
