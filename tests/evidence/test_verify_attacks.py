"""What somebody tries who wants a run to be verified that is not what it claims to be, or the check never to end."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fourways.core.errors import UserError
from fourways.core.rows import AnswerRow
from fourways.core.run import BenchmarkRecord
from fourways.core.run_files import RUN_FILE, SIGNATURE_FILE, STATE_FILE, STATEMENT_FILE, read_header
from fourways.evidence.signature import read_allowed, signature_file
from fourways.evidence.signature.gpg import Gpg
from fourways.evidence.signature.sequoia import Sequoia
from fourways.evidence.signing import sign_run
from fourways.evidence.statement import decode_statement, encode_statement, make_statement
from fourways.evidence.verify import Verification, verify_run
from fourways.evidence.verify import content as verify_content
from fourways.figures.rescored import Rescored

Keyring = Any


def restate(run: Path) -> bytes:
    """A statement made anew over whatever lies there, as its signer could make it."""
    said = decode_statement((run / STATEMENT_FILE).read_bytes()).predicate.definitions
    content = encode_statement(make_statement(run, read_header(run), said))
    (run / STATEMENT_FILE).write_bytes(content)
    return content


def change_rows(run: Path, change: Callable[[dict[str, Any]], None], kind: str) -> None:
    """The first row of the kind changed, and all stated anew."""
    lines = (run / "rows.jsonl").read_bytes().splitlines(keepends=True)
    place = next(place for place, line in enumerate(lines) if json.loads(line)["kind"] == kind)
    row = json.loads(lines[place])
    change(row)
    lines[place] = json.dumps(row).encode() + b"\n"
    (run / "rows.jsonl").write_bytes(b"".join(lines))
    restate(run)


def change_json(run: Path, name: str, change: Callable[[Any], None]) -> None:
    content = json.loads((run / name).read_bytes())
    change(content)
    (run / name).write_bytes(json.dumps(content).encode())
    restate(run)


def refused(found: Verification, name: str) -> tuple[str, ...]:
    assert found.verdict == "refused"
    return next(check for check in found.checks if check.name == name).reasons


# -- the answers themselves ------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("score", 0.25, "score is 0.25, and its reply gives "),
        ("parsed", "maybe", "parsed is 'maybe', and its reply gives "),
        ("status", "failed", "status is 'failed', and its reply gives 'ok'"),
        ("finish_reason", "error", "and its reply gives None"),
        ("reply", "I cannot tell", "and its reply gives None"),
        ("gold", ["perhaps"], "score is "),
        ("judged", {"judge": "j", "reply": "", "parsed": "yes", "score": 0.5, "error": None}, "judged is 0.5"),
    ],
)
def test_a_score_that_does_not_follow_from_its_reply_is_refused(
    run_copy: Path, field: str, value: object, told: str
) -> None:
    """Though figures and statement be made to fit: the reply is what was said."""
    change_rows(run_copy, lambda row: row.update({field: value}), "answer")
    reasons = refused(verify_run(run_copy, None, None), "rows")
    assert any(reason.startswith("rows.jsonl, line 2: ") and told in reason for reason in reasons), reasons


def test_a_row_that_a_rule_breaks_on_is_refused_and_not_a_fault() -> None:
    """A box without the size of its picture."""
    suite = [BenchmarkRecord("refcoco", "RefCOCO", "", "0" * 64, 1, 1, 1, "0" * 64)]
    row = AnswerRow(
        "a", "refcoco", "0", "0", "i", "", "the dog", (0.0, 0.0, 1.0, 1.0), "<box>", None, 0.0, "ok", "stop", None, 1,
        (), "0" * 64, 1,
    )  # fmt: skip
    (told,) = Rescored([], suite).unlike(row)
    assert told == "its reply cannot be scored again: KeyError: 'width'"


def test_a_benchmark_of_another_rule_is_not_taken_on_trust(run_copy: Path) -> None:
    change_json(run_copy, RUN_FILE, lambda header: header["suite"][0].update(scorer_version=99))
    (reason,) = refused(verify_run(run_copy, None, None), "rows")
    assert "reads or scores mme by another rule; verify with Fourways" in reason


def test_it_says_how_many_answers_were_scored_again(published_run: Path) -> None:
    (rows,) = (check for check in verify_run(published_run, None, None).checks if check.name == "rows")
    assert rows.what.endswith("48 answers scored again")


# -- headers that demand nothing -------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"plan": {"latency_requests": 0}}, "it asks for latency, and plans no request"),
        ({"plan": {"latency_loads": []}}, "it asks for latency, and plans no request"),
        ({"plan": {"latency_loads": [1]}}, "a, closed 2, cold: 6 requests, and 0 were planned"),
        ({"plan": {"tuning_steps": 0}}, "it asks for tuning, and plans no step"),
        ({"plan": {"tuning_held_out": 0}}, "it asks for tuning, and plans no step or no held-out sample"),
        ({"plan": {"memory_repeats": 10**15}}, "a has 2 repeats of memory, and 1000000000000000 were planned"),
        ({"axes": []}, "it names no candidate or no axis"),
        ({"candidates": []}, "it names no candidate or no axis"),
        ({"axes": ["accuracy", "latency", "memory", "tuning", "beauty"]}, "this version knows no axis 'beauty'"),
    ],
)
def test_a_header_that_demands_nothing_is_refused(run_copy: Path, change: dict[str, Any], told: str) -> None:
    def edit(header: dict[str, Any]) -> None:
        header.update({name: {**header[name], **new} if name == "plan" else new for name, new in change.items()})

    change_json(run_copy, RUN_FILE, edit)
    reasons = refused(verify_run(run_copy, None, None), "rows")
    assert any(told in reason for reason in reasons), reasons


def test_a_benchmark_of_which_nothing_was_asked_is_refused(run_copy: Path) -> None:
    change_json(run_copy, RUN_FILE, lambda header: header["suite"][0].update(asked=0, asked_sha256=None))
    assert "run.json: it asks no sample of mme" in refused(verify_run(run_copy, None, None), "rows")


def test_a_run_without_a_benchmark_has_no_accuracy(run_copy: Path) -> None:
    lines = (run_copy / "rows.jsonl").read_bytes().splitlines(keepends=True)
    (run_copy / "rows.jsonl").write_bytes(b"".join(line for line in lines if b'"answer"' not in line[:40]))
    change_json(run_copy, RUN_FILE, lambda header: header.update(suite=[]))
    assert "run.json: it asks for accuracy, and names no benchmark" in refused(verify_run(run_copy, None, None), "rows")


def test_a_row_of_a_load_run_does_not_lift_the_plan(run_copy: Path) -> None:
    terms = {"kind": "terms", "candidate": "a", "objectives": []}
    with (run_copy / "rows.jsonl").open("ab") as rows:
        rows.write(json.dumps(terms).encode() + b"\n")
    restate(run_copy)
    assert refused(verify_run(run_copy, None, None), "rows") == (
        "rows.jsonl, line 190: a row of `fourways load` in a run whose requests are planned",
    )


def test_a_failure_excuses_the_sample_that_it_names_and_no_other(run_copy: Path) -> None:
    def lost(sample: str) -> None:
        told = {"kind": "failure", "candidate": "a", "axis": "accuracy", "scope": "sample", "where": sample}
        lines = (run_copy / "rows.jsonl").read_bytes().splitlines(keepends=True)
        del lines[1]
        (run_copy / "rows.jsonl").write_bytes(b"".join([*lines, json.dumps({**told, "message": "b"}).encode(), b"\n"]))
        restate(run_copy)

    before = (run_copy / "rows.jsonl").read_bytes()
    lost("99")
    assert any("not those that the header names" in one for one in refused(verify_run(run_copy, None, None), "rows"))
    (run_copy / "rows.jsonl").write_bytes(before)
    lost("0")
    (rows,) = (check for check in verify_run(run_copy, None, None).checks if check.name == "rows")
    assert rows.outcome == "ok"
    assert rows.remarks == ("accuracy: 1 things broke, and rows say so; the first: a sample 0: b",)


# -- what is read is what was signed ---------------------------------------------------------------------------------
def test_a_state_that_nobody_signed_is_not_read(run_copy: Path) -> None:
    state = (run_copy / STATE_FILE).read_bytes()
    (run_copy / STATE_FILE).unlink()
    restate(run_copy)
    (run_copy / STATE_FILE).write_bytes(state)
    found = verify_run(run_copy, None, None)
    assert found.not_signed == (STATE_FILE,)
    assert "state.json: memory of a is not finished, and no row says why" in refused(found, "rows")
    (run_copy / STATE_FILE).unlink()
    os.mkfifo(run_copy / STATE_FILE)  # and nothing waits for it
    assert verify_run(run_copy, None, None).verdict == "refused"


@pytest.mark.parametrize("name", ["run.json", "rows.jsonl", "summary.json", "state.json", "report.html"])
@pytest.mark.parametrize("how", ["other bytes", "a link"])
def test_a_file_that_is_swapped_after_it_was_hashed_is_refused(
    run_copy: Path, published_run: Path, name: str, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = verify_content.check_content

    def swapped(folder: Path, statement: Any) -> Any:
        content = (folder / name).read_bytes()
        (folder / name).unlink()
        if how == "a link":
            (folder / name).symlink_to(published_run / name)
        else:
            (folder / name).write_bytes(content + (b"" if name == "report.html" else b"\n") + b" " * (name[-1] == "l"))
        return whole(folder, statement)

    monkeypatch.setattr(verify_content, "check_content", swapped)
    found = verify_run(run_copy, None, None)
    assert found.verdict == "refused"
    reasons = [reason for check in found.checks for reason in check.reasons]
    assert any(reason.startswith(name) for reason in reasons), reasons


def test_a_trace_that_the_header_names_must_be_signed(run_copy: Path) -> None:
    trace = {"axis": "latency", "file": "trace.json", "share": 1.0, "events": 3, "dropped": 0}
    change_json(run_copy, RUN_FILE, lambda header: header.update(traces=[trace]))
    assert refused(verify_run(run_copy, None, None), "header") == (
        "statement.json: it does not name trace.json, and run.json says that the run left it",
    )


@pytest.mark.parametrize("name", ["run.json", "summary.json", "state.json", "rows.jsonl"])
def test_a_key_that_stands_twice_is_refused(run_copy: Path, name: str) -> None:
    """One reader takes the first, another the last."""
    path = run_copy / name
    content = path.read_bytes()
    path.write_bytes(b'{"schema": "another",' + content[content.index(b"{") + 1 :])
    restate(run_copy)
    reasons = [reason for check in verify_run(run_copy, None, None).checks for reason in check.reasons]
    assert len(reasons) == 1 and reasons[0].startswith(name) and "gives 'schema' twice" in reasons[0]


def test_a_key_that_stands_twice_in_a_row_is_refused(run_copy: Path) -> None:
    rows = run_copy / "rows.jsonl"
    rows.write_bytes(rows.read_bytes().replace(b'"score":', b'"score":0.5,"score":', 1))
    restate(run_copy)
    assert refused(verify_run(run_copy, None, None), "rows") == ("rows.jsonl, line 2: it gives 'score' twice",)


# -- to hang it, to crash it -----------------------------------------------------------------------------------------
def test_a_step_far_ahead_is_refused_at_once(run_copy: Path) -> None:
    change_rows(run_copy, lambda row: row.update(step=10**18), "train_step")
    assert any("step 1000000000000000000 of a" in one for one in refused(verify_run(run_copy, None, None), "rows"))


@pytest.mark.parametrize("name", ["run.json", "summary.json", "state.json", "rows.jsonl"])
@pytest.mark.parametrize("odd", [b'{"schema": "\xff"}', b'{"odd":' + b"[" * 100_000, b'{"schema": 1e400}'])
def test_what_is_no_text_or_no_number_is_refused_and_named(run_copy: Path, name: str, odd: bytes) -> None:
    path, header = run_copy / name, read_header(run_copy)
    path.write_bytes(odd + b"\n")
    said = decode_statement((run_copy / STATEMENT_FILE).read_bytes()).predicate.definitions
    (run_copy / STATEMENT_FILE).write_bytes(encode_statement(make_statement(run_copy, header, said)))
    assert refused(verify_run(run_copy, None, None), "header")[0].startswith(name)


def test_a_row_that_is_no_text_is_named(run_copy: Path) -> None:
    rows = run_copy / "rows.jsonl"
    rows.write_bytes(rows.read_bytes().replace(b'"reply":"', b'"reply":"\xff', 1))
    restate(run_copy)
    assert refused(verify_run(run_copy, None, None), "rows")[0].startswith("rows.jsonl, line 2: not a row")


def test_files_that_no_text_names_and_folders_without_end_are_told_as_not_signed(signed_copy: Path) -> None:
    (signed_copy / os.fsdecode(b"\xff.bin")).write_bytes(b"")
    deep = signed_copy
    for _ in range(1050):  # deeper than Python's own recursion
        deep = deep / "d"
        deep.mkdir()
    (deep / "file").write_bytes(b"")
    try:
        found = verify_run(signed_copy, None, None)
        assert found.verdict == "unsigned"
        assert found.not_signed[0] == "\\xff.bin" and found.not_signed[1].endswith("d/d/file")
        json.dumps(found.not_signed).encode()
        names = {one.name for one in make_statement(signed_copy, read_header(signed_copy), {}).subject}
        assert found.not_signed[1] in names and not any("xff" in name or "\udcff" in name for name in names)
    finally:
        subprocess.run(["rm", "-r", str(signed_copy / "d")], check=True)  # pytest's own cleaning recurses


def test_of_a_strangers_run_nothing_is_hashed(signed_copy: Path, keyring: Keyring, allow_alice: Path) -> None:
    """It may hold gigabytes of nothing."""
    with (signed_copy / "large").open("wb") as file:
        file.truncate(1 << 33)
    found = verify_run(signed_copy, None, None)  # the statement does not name it
    assert found.not_signed == ("large",)
    said = (signed_copy / STATEMENT_FILE).read_text()
    line = '  {"name": "large", "digest": {"sha256": "' + "0" * 64 + '"}},\n'
    named = said.replace('  {"name": "report.html"', line + '  {"name": "report.html"').encode()
    decode_statement(named)
    (signed_copy / STATEMENT_FILE).write_bytes(named)
    packet = Gpg(keyring.home).sign(named, "mallory@example.org").packet
    (signed_copy / SIGNATURE_FILE).write_bytes(signature_file(packet))
    found = verify_run(signed_copy, read_allowed(allow_alice), Sequoia())
    assert found.verdict == "refused"
    assert [check.outcome for check in found.checks] == ["refused", "ok", *["not checked"] * 5]


def test_keys_that_came_with_the_run_are_not_taken(signed_copy: Path, allow_alice: Path, tmp_path: Path) -> None:
    shutil.copyfile(allow_alice, signed_copy / "alice.asc")
    (tmp_path / "allowed").symlink_to(signed_copy)
    for place in (signed_copy / "alice.asc", tmp_path / "allowed" / "alice.asc"):
        with pytest.raises(UserError, match="lies in the run itself"):
            verify_run(signed_copy, read_allowed(place), Sequoia())


def test_signing_waits_for_no_pipe(run_copy: Path, keyring: Keyring) -> None:
    (run_copy / "rows.jsonl").unlink()
    os.mkfifo(run_copy / "rows.jsonl")
    signer, found = sign_run(run_copy, Gpg(keyring.home), "alice@example.org")
    assert signer is None and refused(found, "files") == ("rows.jsonl: is no regular file",)


def test_signing_writes_through_no_link_that_waits_there(run_copy: Path, keyring: Keyring, tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.write_text("precious")
    (run_copy / f".{SIGNATURE_FILE}.{os.getpid()}.tmp").symlink_to(mine)
    (run_copy / SIGNATURE_FILE).symlink_to(mine)
    signer, _ = sign_run(run_copy, Gpg(keyring.home), "alice@example.org")
    assert signer is not None and mine.read_text() == "precious"
    assert not (run_copy / SIGNATURE_FILE).is_symlink()
