"""The statement: which files it covers, its one form, and what is no statement."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.core.errors import UserError
from fourways.core.run_files import SIGNATURE_FILE, STATEMENT_FILE, read_header
from fourways.evidence import load_schema
from fourways.evidence.statement import (
    Digest,
    Statement,
    StatementError,
    Subject,
    decode_statement,
    encode_statement,
    is_plain,
    make_statement,
    write_statement,
)


def statement_of(run: Path) -> Statement:
    return decode_statement((run / STATEMENT_FILE).read_bytes())


def test_a_published_run_has_a_statement_over_every_file(published_run: Path) -> None:
    files = {
        path.relative_to(published_run).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in published_run.rglob("*")
        if path.is_file() and path.name != STATEMENT_FILE
    }
    assert {one.name: one.digest.sha256 for one in statement_of(published_run).subject} == files
    assert {"run.json", "rows.jsonl", "summary.json", "state.json", "report.html"} <= files.keys()


def test_it_is_an_in_toto_statement_of_its_published_schema(published_run: Path) -> None:
    plain = json.loads((published_run / STATEMENT_FILE).read_bytes())
    jsonschema.Draft202012Validator(load_schema("statement")).validate(plain)
    assert plain["_type"] == "https://in-toto.io/Statement/v1"
    assert plain["predicateType"].startswith("urn:fourways:")
    assert plain["subject"] and all(set(one) == {"name", "digest"} for one in plain["subject"])


def test_it_says_what_each_figure_is_and_what_a_signature_does_not_prove(published_run: Path) -> None:
    predicate = statement_of(published_run).predicate
    used = {figure["definition"] for figure in json.loads((published_run / "summary.json").read_bytes())["figures"]}
    assert predicate.definitions.keys() == used
    assert all(predicate.definitions.values())
    assert any("rows are true" in line for line in predicate.does_not_prove)
    assert predicate.seed == read_header(published_run).seed


def test_the_same_files_give_the_same_bytes(published_run: Path, run_copy: Path) -> None:
    header = read_header(run_copy)
    again = encode_statement(make_statement(run_copy, header, statement_of(run_copy).predicate.definitions))
    assert again == (published_run / STATEMENT_FILE).read_bytes()


def test_files_below_folders_are_covered_and_hidden_ones_and_links_are_not(run_copy: Path) -> None:
    (run_copy / "adapters" / "one").mkdir(parents=True)
    (run_copy / "adapters" / "one" / "weights.safetensors").write_bytes(b"w")
    (run_copy / ".hidden").write_bytes(b"h")
    (run_copy / "link").symlink_to("rows.jsonl")
    (run_copy / "linked").symlink_to("adapters")
    names = {one.name for one in make_statement(run_copy, read_header(run_copy), {}).subject}
    assert "adapters/one/weights.safetensors" in names
    assert not names & {".hidden", "link", "linked", "linked/one/weights.safetensors", STATEMENT_FILE, SIGNATURE_FILE}


def test_a_run_whose_rows_are_a_link_gets_no_statement(run_copy: Path, tmp_path: Path) -> None:
    (run_copy / "rows.jsonl").replace(tmp_path / "elsewhere.jsonl")
    (run_copy / "rows.jsonl").symlink_to(tmp_path / "elsewhere.jsonl")
    with pytest.raises(UserError, match=r"rows\.jsonl is no regular file"):
        make_statement(run_copy, read_header(run_copy), {})


def test_a_signature_goes_when_the_statement_changes_and_stays_when_it_does_not(run_copy: Path) -> None:
    header, said = read_header(run_copy), statement_of(run_copy).predicate.definitions
    (run_copy / SIGNATURE_FILE).write_bytes(b"a signature")
    assert write_statement(run_copy, header, said) is False
    assert (run_copy / SIGNATURE_FILE).exists()
    (run_copy / "rows.jsonl").write_bytes((run_copy / "rows.jsonl").read_bytes() + b"\n")
    assert write_statement(run_copy, header, said) is True
    assert not (run_copy / SIGNATURE_FILE).exists()


@pytest.mark.parametrize(
    "name",
    [
        "../rows.jsonl", "/etc/passwd", "a/../b", "./a", "a//b", "a/", "", ".", "..", "a/.hidden", "-", "-c", " a",
        'a"b', "a\\b", "a\nb", "a\x00b", "a\u2028b", ".statement",
    ],
)  # fmt: skip
def test_no_name_leads_out_of_the_folder_or_confuses_sed(name: str) -> None:
    assert not is_plain(name)


@given(st.text(max_size=20))
@settings(max_examples=300, deadline=None)
def test_a_plain_name_stands_in_json_as_it_is_and_inside_its_folder(name: str) -> None:
    if is_plain(name):
        assert json.loads(f'"{name}"') == name
        assert os.path.normpath(name) == name
        assert not Path(name).is_absolute() and ".." not in name.split("/")


def with_subject(run: Path, *subjects: Subject) -> bytes:
    statement = statement_of(run)
    return encode_statement(msgspec.structs.replace(statement, subject=(*statement.subject, *subjects)))


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/./b", STATEMENT_FILE, SIGNATURE_FILE, "rows.jsonl"])
def test_a_statement_that_names_what_it_must_not_is_refused(published_run: Path, name: str) -> None:
    with pytest.raises(StatementError):
        decode_statement(with_subject(published_run, Subject(name, Digest("0" * 64))))


def test_other_bytes_of_the_same_json_are_refused(published_run: Path) -> None:
    content = (published_run / STATEMENT_FILE).read_bytes()
    plain = json.loads(content)
    first = b'  {"name": "report.html"'
    assert first in content
    others = [
        json.dumps(plain).encode(),
        content + b"\n",
        content.replace(b'"seed": 7', b'"seed": 8, "seed": 7'),
        content.replace(first, b'  {"name": "rows.jsonl", "name": "report.html"'),
        content.replace(b' "predicateType"', b' "more": 1,\n "predicateType"'),
        content.replace(b'"seed": 7', b'"seed": 7, "also": 1'),
        content.replace(b"in-toto.io/Statement/v1", b"in-toto.io/Statement/v2"),
        content.replace(b"urn:fourways:run-statement:v1", b"urn:fourways:run-statement:v2"),
        content.replace(b"fourways.statement/v1", b"fourways.statement/v2"),
        content[:-2],
        b"",
        b"[" * 100_000,
        b"\xff" + content,
    ]
    for other in others:
        assert other != content
        with pytest.raises(StatementError, match="statement"):
            decode_statement(other)
