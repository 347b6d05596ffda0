"""`fourways diff` and `fourways reproduce --rerun`: what they print, their exit codes, and wrong words."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner, Result

from fourways.cli.main import app
from fourways.core.candidate import Candidate
from fourways.core.engine import EngineInfo
from fourways.core.errors import UserError
from fourways.core.figure import SUMMARY_SCHEMA, Summary
from fourways.core.rows import ROWS_SCHEMA, AnswerRow, RowsHeader
from fourways.core.run import (
    RUN_SCHEMA,
    BenchmarkRecord,
    CandidateRecord,
    ClockRecord,
    Environment,
    RunHeader,
    SourceState,
)
from fourways.core.verdict import Comparison
from fourways.figures import compute

MakeRun = Callable[..., Path]
SUITE = (BenchmarkRecord("realworldqa", "RealWorldQA", "/d", "5" * 64, 1, 1, 1, "0" * 64),)


def rows(names: tuple[str, ...], wrong: int) -> list[AnswerRow]:
    return [
        AnswerRow(
            candidate=name, benchmark="realworldqa", sample=f"{i:03}", group=str(i), image=f"i{i}", category="",
            question="q", gold=("A",), reply="r", parsed="B" if i < wrong else "A", score=float(i >= wrong),
            status="ok", finish_reason="stop", mean_logprob=None, output_tokens=1, visuals=(), prompt_sha256="p",
            seed=0,
        )
        for name in names
        for i in range(200)
    ]  # fmt: skip


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(name: str, *, names: tuple[str, ...] = ("a",), wrong: int = 20, digest: str = "1") -> Path:
        engine = EngineInfo("local", "generic", None, frozenset(), {})
        header = RunHeader(
            schema=RUN_SCHEMA, run_id=name, started="2026-11-22T10:00:00+00:00", argv=("fourways", "compare"),
            source=SourceState("0"), seed=7, axes=("accuracy",), limit=None, quick=False,
            candidates=tuple(
                CandidateRecord(Candidate(one, model="m"), "A", {"model.safetensors": digest * 64}, engine)
                for one in names
            ),
            suite=SUITE, definitions={}, environment=Environment("cpu", 1, 1, 1, "Linux", "6", "3.11", {}),
            clock=ClockRecord("c", 1.0, 0.0, ""),
        )  # fmt: skip
        folder = tmp_path / name
        folder.mkdir()
        made = rows(names, wrong)
        (folder / "run.json").write_bytes(msgspec.json.encode(header))
        first = RowsHeader(ROWS_SCHEMA, name, None, None, None)
        (folder / "rows.jsonl").write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in (first, *made)))
        summary = Summary(SUMMARY_SCHEMA, name, compute(made, SUITE))
        (folder / "summary.json").write_bytes(msgspec.json.encode(summary))
        return folder

    return make


def call(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=True)


def test_two_runs_are_laid_side_by_side_with_a_paired_test_and_end_with_0(make_run: MakeRun) -> None:
    found = call("diff", make_run("old"), make_run("new", wrong=60, digest="2"))
    assert found.exit_code == 0
    assert "a (old) is ahead of a (new)" in found.stdout
    assert "160 of 200" in found.stdout
    assert "90.0 %" in found.stdout and "70.0 %" in found.stdout
    assert "candidates.a.sha256.model.safetensors" in found.stdout


def test_figures_that_read_the_same_are_counted_and_listed_with_all(make_run: MakeRun) -> None:
    old, new = make_run("old"), make_run("new")
    short = " ".join(call("diff", old, new).stdout.split())
    assert "6 of 6 chief figures read the same in both runs, or have nothing to show in either" in short
    assert "90.0 %" not in short
    whole = call("diff", old, new, "--all").stdout
    assert whole.count("90.0 %") >= 4
    assert "chief figures read the same" not in whole
    moved = call("diff", old, make_run("moved", wrong=60)).stdout
    assert "90.0 %" in moved and "70.0 %" in moved
    assert "of 6 chief figures read the same" in moved


def test_runs_that_say_the_same_say_so_and_never_equal(make_run: MakeRun) -> None:
    found = call("diff", make_run("old"), make_run("new"))
    assert "the headers say the same of everything that was run" in found.stdout
    assert "not separated (every answer scored the same)" in found.stdout
    assert "200 of 200" in found.stdout
    assert "few images leave it wide even where every answer is the same" in found.stdout
    assert "equal" not in found.stdout


def test_a_run_that_did_not_end_says_how_to_go_on(make_run: MakeRun) -> None:
    old, stopped = make_run("old"), make_run("stopped")
    (stopped / "summary.json").unlink()
    found = call("reproduce", old, "--rerun", stopped)
    assert isinstance(found.exception, UserError)
    assert "is not finished" in found.exception.message
    assert found.exception.hint == f"fourways compare --resume {stopped}"


def test_other_names_are_matched_by_new_and_old(make_run: MakeRun) -> None:
    old, new = make_run("old", names=("a", "b")), make_run("new", names=("c", "d"), wrong=50)
    found = call("diff", old, new, "--candidate", "c=b")
    assert found.exit_code == 0
    assert "c=b" in found.stdout
    assert "d is only in" in found.stderr and "a is only in" in found.stderr
    wrong = call("diff", old, new)
    assert isinstance(wrong.exception, UserError)
    assert "no candidate is in both" in wrong.exception.message


def test_json_and_page_hold_the_whole_comparison(make_run: MakeRun, tmp_path: Path) -> None:
    page = tmp_path / "diff.html"
    found = call("diff", make_run("old"), make_run("new", wrong=60), "--json", "--html", page)
    made = msgspec.json.decode(found.stdout.encode(), type=Comparison)
    assert json.loads(found.stdout)["schema"] == "fourways.comparison/v1"
    assert (made.old, made.new) == ("old", "new")
    assert "Two runs side by side" in page.read_text()


def test_a_re_run_that_is_there_is_judged_and_the_exit_code_says_whether_anything_differs(make_run: MakeRun) -> None:
    old = make_run("old")
    same = call("reproduce", old, "--rerun", make_run("same"))
    assert same.exit_code == 0
    assert "all 200 answers are the same" in " ".join(same.stdout.split())
    other = call("reproduce", old, "--rerun", make_run("other", digest="2"), "--json")
    assert other.exit_code == 1
    verdicts = {one["ground"]: one["verdict"] for one in json.loads(other.stdout)["verdicts"]}
    assert verdicts == {"hashes": "not reproduced", "accuracy": "reproduced"}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("diff", "{old}", "nowhere"), "nowhere holds no run"),
        (("diff", "{old}", "{old}", "--candidate", "x"), "has no candidate 'x'"),
        (("diff", "{old}", "{old}", "--html", "/nowhere/at/all.html"), "cannot be written"),
        (("reproduce", "nowhere"), "nowhere holds no run"),
        (("reproduce", "{old}", "--axes", "speed"), "there is no axis 'speed'"),
        (("reproduce", "{old}", "--axes", "memory"), "has no memory axis"),
        (("reproduce", "{old}", "--rerun", "{old}", "--out", "x"), "--rerun runs nothing"),
    ],
)
def test_what_is_wrong_is_told_before_anything_runs(words: tuple[str, ...], told: str, make_run: MakeRun) -> None:
    old = make_run("old")
    found = call(*(word.replace("{old}", str(old)) for word in words))
    assert isinstance(found.exception, UserError)
    assert told in found.exception.message
    assert found.exception.exit_code == 2
