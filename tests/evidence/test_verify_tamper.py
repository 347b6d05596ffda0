"""A signed run that anybody but its signer changed is refused, naming the file: 2,000 cases of a small run.

Most signatures are checked by pysequoia, in this process; every thirtieth case goes through gpg.
"""

from __future__ import annotations

import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fourways.core.run_files import SIGNATURE_FILE, STATEMENT_FILE, read_header
from fourways.evidence.signature import Allowed, Backend, read_allowed, signature_file, signature_packet
from fourways.evidence.signature.gpg import Gpg
from fourways.evidence.signature.sequoia import Sequoia
from fourways.evidence.statement import decode_statement, encode_statement, make_statement
from fourways.evidence.verify import verify_run

CASES = {"byte": 1000, "row": 200, "order": 150, "number": 250, "stranger": 100, "signature": 300}
BY_GPG = 30
COVERED = ("run.json", "rows.jsonl", "summary.json", "state.json", "report.html", STATEMENT_FILE)
Change = Callable[[random.Random, Path], str]
"""Changes the run, and says which file must be named."""


def flip(rng: random.Random, path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def flipped_byte(rng: random.Random, run: Path) -> str:
    name = rng.choice(COVERED)
    flip(rng, run / name)
    return name


def removed_row(rng: random.Random, run: Path) -> str:
    lines = (run / "rows.jsonl").read_bytes().splitlines(keepends=True)
    del lines[rng.randrange(len(lines))]
    (run / "rows.jsonl").write_bytes(b"".join(lines))
    return "rows.jsonl"


def swapped_rows(rng: random.Random, run: Path) -> str:
    lines = (run / "rows.jsonl").read_bytes().splitlines(keepends=True)
    one, other = rng.sample(range(1, len(lines)), 2)
    assert lines[one] != lines[other]
    lines[one], lines[other] = lines[other], lines[one]
    (run / "rows.jsonl").write_bytes(b"".join(lines))
    return "rows.jsonl"


def edited_number(rng: random.Random, run: Path) -> str:
    name = rng.choice(("run.json", "rows.jsonl", "summary.json", "report.html", STATEMENT_FILE))
    text = (run / name).read_text()
    place = rng.choice([match.start() for match in re.finditer(r"\d", text)])
    digit = rng.choice([digit for digit in "0123456789" if digit != text[place]])
    (run / name).write_text(f"{text[:place]}{digit}{text[place + 1 :]}")
    return name


CHANGES: dict[str, Change] = {
    "byte": flipped_byte, "row": removed_row, "order": swapped_rows, "number": edited_number,
}  # fmt: skip


@pytest.fixture(scope="module")
def allowed(allow_alice: Path) -> Allowed:
    return read_allowed(allow_alice)


@pytest.fixture(scope="module")
def mallory(keyring: Any, tmp_path_factory: pytest.TempPathFactory) -> Sequoia:
    return Sequoia(keyring.private("mallory@example.org", tmp_path_factory.mktemp("private") / "mallory.asc"))


def backend_of(case: int) -> Backend:
    return Gpg() if case % BY_GPG == 0 else Sequoia()


def test_there_are_two_thousand_cases() -> None:
    assert sum(CASES.values()) == 2000


@pytest.mark.parametrize("kind", CHANGES)
def test_a_changed_file_is_refused_and_named(kind: str, signed_run: Path, signed_copy: Path, allowed: Allowed) -> None:
    rng = random.Random(f"tamper {kind}")
    for case in range(CASES[kind]):
        name = CHANGES[kind](rng, signed_copy)
        found = verify_run(signed_copy, allowed, backend_of(case))
        reasons = [reason for check in found.checks for reason in check.reasons]
        assert found.verdict == "refused", (kind, case, name)
        assert any(name in reason for reason in reasons), (kind, case, name, reasons)
        shutil.copyfile(signed_run / name, signed_copy / name)
    assert verify_run(signed_copy, allowed, Gpg()).verdict == "verified"


def restate(run: Path) -> bytes:
    """A statement made anew over whatever lies there."""
    said = decode_statement((run / STATEMENT_FILE).read_bytes())
    made = make_statement(run, read_header(run), said.predicate.definitions)
    content = encode_statement(msgspec.structs.replace(made, predicate=said.predicate))
    (run / STATEMENT_FILE).write_bytes(content)
    return content


def test_a_run_that_a_stranger_changed_stated_and_signed_anew_is_refused(
    signed_run: Path, signed_copy: Path, allowed: Allowed, mallory: Sequoia
) -> None:
    rng = random.Random("tamper stranger")
    for case in range(CASES["stranger"]):
        name = removed_row(rng, signed_copy) if case % 2 else swapped_rows(rng, signed_copy)
        content = restate(signed_copy)
        (signed_copy / SIGNATURE_FILE).write_bytes(signature_file(mallory.sign(content, None).packet))
        found = verify_run(signed_copy, allowed, backend_of(case))
        assert found.verdict == "refused" and found.signer is None
        (reason,) = (reason for check in found.checks for reason in check.reasons)
        assert reason.startswith(SIGNATURE_FILE) and "among the allowed" in reason
        shutil.copyfile(signed_run / name, signed_copy / name)
        shutil.copyfile(signed_run / STATEMENT_FILE, signed_copy / STATEMENT_FILE)


def test_a_flipped_byte_of_the_signature_is_refused_or_is_the_same_signature(
    signed_run: Path, signed_copy: Path, allowed: Allowed
) -> None:
    """The same: the packet in the armor is, byte for byte."""
    original = (signed_run / SIGNATURE_FILE).read_bytes()
    packet = signature_packet(original, SIGNATURE_FILE)
    rng = random.Random("tamper signature")
    same = 0
    for case in range(CASES["signature"]):
        (signed_copy / SIGNATURE_FILE).write_bytes(original)
        flip(rng, signed_copy / SIGNATURE_FILE)
        changed = (signed_copy / SIGNATURE_FILE).read_bytes()
        found = verify_run(signed_copy, allowed, backend_of(case))
        if found.verdict != "refused":
            same += 1
            assert signature_packet(changed, SIGNATURE_FILE) == packet, changed
        else:
            (reason,) = (reason for check in found.checks for reason in check.reasons)
            assert reason.startswith(SIGNATURE_FILE)
    assert same < CASES["signature"] / 10


@pytest.mark.parametrize(("backend", "step"), [(Gpg(), 5), (Sequoia(), 1)], ids=["gpg", "sequoia"])
def test_a_flipped_byte_of_the_packet_is_refused_even_under_a_right_checksum(
    backend: Backend, step: int, signed_run: Path, signed_copy: Path, allowed: Allowed
) -> None:
    """But in the two places that no signature covers, which decide nothing: a hint at the key, and the first two bytes
    of the digest."""
    packet = bytearray(signature_packet((signed_run / SIGNATURE_FILE).read_bytes(), SIGNATURE_FILE))
    covered = 8 + int.from_bytes(packet[6:8], "big")
    hints = range(covered, covered + 4 + int.from_bytes(packet[covered : covered + 2], "big"))
    for place in range(0, len(packet), step):
        packet[place] ^= 0x04
        (signed_copy / SIGNATURE_FILE).write_bytes(signature_file(bytes(packet)))
        packet[place] ^= 0x04
        assert verify_run(signed_copy, allowed, backend).verdict == "refused" or place in hints, place


def test_the_signature_of_another_run_or_none_is_refused(signed_copy: Path, allowed: Allowed, keyring: Any) -> None:
    other = Gpg(keyring.home).sign(b"another statement", "alice@example.org").packet
    (signed_copy / SIGNATURE_FILE).write_bytes(signature_file(other))
    assert verify_run(signed_copy, allowed, Gpg()).verdict == "refused"
    (signed_copy / SIGNATURE_FILE).unlink()
    found = verify_run(signed_copy, allowed, Gpg())
    assert found.verdict == "refused"
    assert found.checks[0].reasons == (f"{SIGNATURE_FILE}: is missing",)


def test_files_that_are_gone_linked_or_no_files_are_refused_and_strangers_named(
    signed_run: Path, signed_copy: Path, allowed: Allowed, tmp_path: Path
) -> None:
    import os

    def reasons() -> list[str]:
        found = verify_run(signed_copy, allowed, Sequoia())
        assert found.verdict == "refused"
        return [reason for check in found.checks for reason in check.reasons]

    page = signed_copy / "report.html"
    page.unlink()
    assert reasons() == ["report.html: is missing"]
    page.symlink_to(signed_run / "report.html")
    assert "is a link" in reasons()[0]
    page.unlink()
    os.mkfifo(page)
    assert reasons() == ["report.html: is no regular file"]
    page.unlink()
    page.mkdir()
    assert reasons() == ["report.html: is no regular file"]
    page.rmdir()
    shutil.copyfile(signed_run / "report.html", page)
    (signed_copy / "extra").mkdir()
    (signed_copy / "extra" / "note.txt").write_text("mine")
    (signed_copy / ".hidden").write_text("too")
    found = verify_run(signed_copy, allowed, Sequoia())
    assert found.verdict == "verified"
    assert found.not_signed == (".hidden", "extra/note.txt")
    (signed_copy / STATEMENT_FILE).unlink()
    assert reasons() == [f"{STATEMENT_FILE}: is missing"]


def test_huge_statements_and_signatures_are_not_read(signed_copy: Path, allowed: Allowed) -> None:
    import os

    os.truncate(signed_copy / SIGNATURE_FILE, 1 << 40)
    found = verify_run(signed_copy, allowed, Sequoia())
    assert "larger than" in found.checks[0].reasons[0]
    os.truncate(signed_copy / STATEMENT_FILE, 1 << 40)
    found = verify_run(signed_copy, allowed, Sequoia())
    assert found.verdict == "refused" and "larger than" in found.checks[1].reasons[0]
