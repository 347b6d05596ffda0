"""`fourways evidence table`: runs of several platforms, what of them is checked, and whether they answered alike."""

from __future__ import annotations

import hashlib
import json
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fourways import zoo
from fourways.compare import Job, load_suite, start, write_suite
from fourways.compare.progress import Silent
from fourways.core.boxes import BoxFormat
from fourways.core.candidate import Candidate
from fourways.core.rows import AnswerRow, Row
from fourways.core.run import RunHeader
from fourways.core.run_files import ROWS_FILE, RUN_FILE, read_header, read_rows, read_rows_header
from fourways.evidence import write_header
from fourways.evidence.statement import write_statement

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of one model and one benchmark."""
    home = tmp_path_factory.mktemp("made")
    write_suite(home / "suite", images=4)
    suite = load_suite([str(home / "suite")])
    candidate = Candidate("qwen", model=str(zoo.checkpoint("qwen")), threads=1)
    return start(Job((candidate,), ("accuracy",), {"mme": suite["mme"]}, out=home / "laptop"), Silent()).folder


@pytest.fixture
def first(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made, tmp_path / "laptop")


def elsewhere(
    run: Path, name: str, *, header: Callable[[RunHeader], RunHeader] = lambda one: one,
    row: Callable[[int, Row], Row] = lambda _, one: one,
) -> Path:  # fmt: skip
    """The same run as another platform would have made it, its statement written anew."""
    folder = shutil.copytree(run, run.with_name(name))
    rows = [read_rows_header(folder / ROWS_FILE), *(row(n, one) for n, one in enumerate(read_rows(run / ROWS_FILE)))]
    (folder / ROWS_FILE).write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in rows))
    write_header(header(read_header(run)), folder)
    told = json.loads((run / "statement.json").read_text())["predicate"]["definitions"]
    write_statement(folder, read_header(folder), told)
    return folder


def on(kernel: str) -> Callable[[RunHeader], RunHeader]:
    def change(header: RunHeader) -> RunHeader:
        machine = msgspec.structs.replace(header.environment, kernel=kernel, cpu="Cortex | <b>A76</b>\n")
        return msgspec.structs.replace(header, environment=machine)

    return change


def told(said: Any) -> list[dict[str, Any]]:
    made = json.loads(said.out)
    assert made["schema"] == "fourways.platforms/v1"
    rows: list[dict[str, Any]] = made["rows"]
    return rows


def checks(row: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["outcome"] for one in row["checks"]}


def test_the_same_answers_on_another_kernel_are_said_to_be_the_same(fourways: Run, first: Path) -> None:
    other = elsewhere(first, "board", header=on("6.6.20-rpi"))
    said = fourways("evidence", "table", str(first), str(other), "--json")
    assert said.code == 0, said.err
    one, two = told(said)
    assert (one["verdict"], two["verdict"]) == ("the first run", "same answers")
    assert one["answers_sha256"] == two["answers_sha256"] and one["answers"] == two["answers"] == 8
    assert two["kernel"] == "Linux 6.6.20-rpi" and two["kernel"] != one["kernel"]
    for row in (one, two):
        assert checks(row) == {
            "files": "ok", "rows and figures": "ok", "signature": "not checked", "reproduced": "not checked",
        }  # fmt: skip
        assert row["versions"].keys() == {"python", "torch", "transformers"}


def test_the_commands_of_the_table_make_its_checks_anew(fourways: Run, first: Path) -> None:
    (row,) = told(fourways("evidence", "table", str(first), "--json"))
    command = {one["name"]: one["command"] for one in row["checks"]}
    hashed = subprocess.run(["bash", "-c", command["files"]], capture_output=True, text=True, check=True)
    assert f"{ROWS_FILE}: OK" in hashed.stdout
    assert fourways(*command["rows and figures"].split()[1:]).code == 0
    if shutil.which("jq") is None:
        pytest.skip("jq, which the command for the answers' digest needs, is not installed")
    digest = subprocess.run(["bash", "-c", row["answers_command"]], capture_output=True, text=True, check=True)
    assert digest.stdout.split()[0] == row["answers_sha256"]


def test_the_digest_is_of_any_text_what_jq_makes_of_it(tmp_path: Path, first: Path) -> None:
    from fourways.evidence.platforms import ANSWERS, digest_of

    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    odd = [*map(chr, range(1, 160)), "\u2028", "\U0001f600", 'a"b\\c/', "<&>", ""]
    answer = next(row for row in read_rows(first / ROWS_FILE) if isinstance(row, AnswerRow))
    rows = [msgspec.structs.replace(answer, sample=f"{n}", reply=text) for n, text in enumerate(odd)]
    file = tmp_path / "it's here.jsonl"
    file.write_bytes(b"".join(msgspec.json.encode(row) + b"\n" for row in rows))
    said = subprocess.run(["bash", "-c", ANSWERS % shlex.quote(str(file))], capture_output=True, text=True, check=True)
    assert said.stdout.split()[0] == digest_of({(r.candidate, r.benchmark, r.sample): r.reply for r in rows})


def test_a_reply_that_differs_is_counted_and_named(fourways: Run, first: Path) -> None:
    def change(number: int, row: Row) -> Row:
        return msgspec.structs.replace(row, reply="Perhaps") if number == 2 and isinstance(row, AnswerRow) else row

    other = elsewhere(first, "gpu", row=change)
    said = fourways("evidence", "table", str(first), str(other), "--json")
    _, two = told(said)
    assert said.code == 1
    assert two["verdict"] == "answers differ"
    assert two["reasons"] == ["1 of 8 replies differ (qwen · mme: 1)"]


def test_a_part_of_the_answers_is_compared_and_not_called_the_same(fourways: Run, first: Path) -> None:
    other = elsewhere(first, "part", row=lambda n, one: msgspec.structs.replace(one, sample=f"{n}") if n > 3 else one)
    _, two = told(fourways("evidence", "table", str(first), str(other), "--json"))
    assert two["verdict"] == "not comparable"
    assert two["reasons"] == [
        "the 4 replies to what both answered are the same",
        "8 samples were answered in one run only",
    ]


def test_what_was_not_the_same_question_is_not_compared(fourways: Run, first: Path) -> None:
    def seed(header: RunHeader) -> RunHeader:
        return msgspec.structs.replace(header, seed=8)

    def weights(header: RunHeader) -> RunHeader:
        (one,) = header.candidates
        other = msgspec.structs.replace(one, sha256={**one.sha256, "model.safetensors": hashlib.sha256().hexdigest()})
        return msgspec.structs.replace(header, candidates=(other,))

    runs = [str(elsewhere(first, "seed", header=seed)), str(elsewhere(first, "weights", header=weights))]
    _, one, two = told(fourways("evidence", "table", str(first), *runs, "--json"))
    assert (one["verdict"], one["reasons"]) == ("not comparable", ["seed: 7 → 8"])
    assert (two["verdict"], two["reasons"]) == ("not comparable", ["qwen: other files of the checkpoint"])


@pytest.mark.parametrize(
    ("what", "value"),
    [("served_model", "another-vlm"), ("dialect", "internvl"), ("box_format", BoxFormat("norm_1000", "json_bbox_2d"))],
)
def test_another_model_behind_a_url_or_another_way_of_asking_is_not_compared(
    fourways: Run, first: Path, what: str, value: object
) -> None:
    def change(header: RunHeader) -> RunHeader:
        (one,) = header.candidates
        return msgspec.structs.replace(
            header,
            candidates=(
                msgspec.structs.replace(one, candidate=msgspec.structs.replace(one.candidate, **{what: value})),
            ),
        )

    _, two = told(fourways("evidence", "table", str(first), str(elsewhere(first, "other", header=change)), "--json"))
    assert two["verdict"] == "not comparable"
    assert two["reasons"][0].startswith(f"qwen: {what}: None → ")


def test_rows_that_cannot_be_read_are_refused_and_the_others_keep_their_table(fourways: Run, first: Path) -> None:
    broken, good = shutil.copytree(first, first.with_name("broken")), elsewhere(first, "good")
    lines = (broken / ROWS_FILE).read_bytes().splitlines(keepends=True)
    (broken / ROWS_FILE).write_bytes(b"".join([*lines[:2], b"(" + lines[2][1:], *lines[3:]]))
    said = fourways("evidence", "table", str(first), str(broken), str(good), "--json")
    assert said.code == 1, said.err
    _, one, two = told(said)
    assert one["verdict"] == "not comparable" and "line 3" in one["reasons"][0]
    assert one["answers"] == 0 and checks(one)["files"] == "refused"
    assert [check["reasons"] for check in one["checks"] if check["name"] == "rows and figures"] == [
        ["what it rests on is refused"]
    ]
    assert two["verdict"] == "same answers"


def test_a_file_that_changed_is_refused_and_named(fourways: Run, first: Path) -> None:
    (first / RUN_FILE).write_bytes((first / RUN_FILE).read_bytes() + b" ")
    said = fourways("evidence", "table", str(first))
    assert said.code == 1
    assert "files: refused" in said.out and f"files: refused: {RUN_FILE}" in said.out


def test_markdown_and_the_page_hold_a_strangers_words_as_text(fourways: Run, first: Path, tmp_path: Path) -> None:
    other = elsewhere(first, "board", header=on("6.6|`x`"))
    words = ("evidence", "table", str(first), str(other))
    said = fourways(*words, "--markdown", "--html", "page.html")
    assert said.code == 0, said.err
    (line,) = [line for line in said.out.splitlines() if "Cortex" in line]
    assert "Cortex \\| &lt;b>A76&lt;/b>" in line and "Linux 6.6\\|\\`x\\`" in line and "**same answers**" in line
    page = (tmp_path / "page.html").read_text()
    assert "<b>A76" not in page and "same answers" in page and "sha256sum --check" in page
    assert "same answers" in fourways(*words).out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nowhere"], "nowhere holds no run"),
        (["laptop", "./laptop"], "a run is named twice"),
        (["laptop", "--json", "--markdown"], "exclude each other"),
        (["laptop", "--html", "no/such/page.html"], "cannot be written"),
        (["laptop", "--keys", "nobody.asc"], "nobody.asc"),
        ([], "Missing argument"),
    ],
)
def test_what_is_wrong_is_told(words: list[str], said: str, fourways: Run, first: Path) -> None:
    found = fourways("evidence", "table", *words)
    assert found.code == 2 and said in found.err
