"""What a signature cannot see: a run whose statement was made over wrong figures or missing rows is refused all the
same, naming the line, the figure or what is missing."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fourways.core.run_files import STATEMENT_FILE, read_header
from fourways.evidence.statement import Tolerances, decode_statement, encode_statement, make_statement
from fourways.evidence.verify import Verification, verify_run

Rows = list[dict[str, Any]]


def restate(run: Path, **more: object) -> None:
    """A statement made anew over whatever lies there."""
    said = decode_statement((run / STATEMENT_FILE).read_bytes())
    made = make_statement(run, read_header(run), said.predicate.definitions)
    predicate = msgspec.structs.replace(said.predicate, **more)
    (run / STATEMENT_FILE).write_bytes(encode_statement(msgspec.structs.replace(made, predicate=predicate)))


def change_json(run: Path, name: str, change: Callable[[Any], None]) -> None:
    content = json.loads((run / name).read_bytes())
    change(content)
    (run / name).write_bytes(json.dumps(content).encode())
    restate(run)


def change_rows(run: Path, change: Callable[[Rows], Iterable[dict[str, Any]]]) -> None:
    first, *lines = (run / "rows.jsonl").read_bytes().splitlines(keepends=True)
    rows = [json.loads(line) for line in lines]
    kept = b"".join(json.dumps(row).encode() + b"\n" for row in change(rows))
    (run / "rows.jsonl").write_bytes(first + kept)
    restate(run)


def refused(run: Path, name: str) -> list[str]:
    found = verify_run(run, None, None)
    assert found.verdict == "refused"
    return list(next(check for check in found.checks if check.name == name).reasons)


def of_kind(row: dict[str, Any], kind: str, **fields: object) -> bool:
    return row["kind"] == kind and all(row[name] == value for name, value in fields.items())


def test_a_run_that_nobody_touched_agrees_with_itself(published_run: Path) -> None:
    found = verify_run(published_run, None, None)
    assert found.verdict == "unsigned"
    assert [check.outcome for check in found.checks] == ["not checked", *["ok"] * 6]
    assert not any(check.remarks for check in found.checks)
    figures = next(check for check in found.checks if check.name == "figures")
    count = len(json.loads((published_run / "summary.json").read_bytes())["figures"])
    assert f"{count} figures computed again from the rows: {count} the same to the last digit" in figures.what


def without(kind: str, **fields: object) -> Callable[[Rows], Rows]:
    """The rows without the first such."""

    def change(rows: Rows) -> Rows:
        gone = next(row for row in rows if of_kind(row, kind, **fields))
        return [row for row in rows if row is not gone]

    return change


def without_all(kind: str, **fields: object) -> Callable[[Rows], Rows]:
    return lambda rows: [row for row in rows if not of_kind(row, kind, **fields)]


def twice(kind: str) -> Callable[[Rows], Rows]:
    return lambda rows: [*rows, next(row for row in rows if of_kind(row, kind))]


def first_with(kind: str, **fields: object) -> Callable[[Rows], Rows]:
    """The rows, the first of the kind changed."""

    def change(rows: Rows) -> Rows:
        next(row for row in rows if of_kind(row, kind)).update(fields)
        return rows

    return change


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (without("answer", benchmark="mme"), "a has 11 answers on mme, and 12 were asked"),
        (without_all("answer", benchmark="vqav2"), "a has 0 answers on vqav2, and 12 were asked"),
        (twice("answer"), "line 190: sample '0' of mme is answered twice by a"),
        (first_with("answer", sample="99", seed=1), "line 2: its seed is not that of sample '99' in a run of seed 7"),
        (first_with("answer", seed=5), "line 2: its seed is not that of sample '0'"),
        (first_with("answer", benchmark="pope"), "line 2: the header has no benchmark 'pope'"),
        (first_with("answer", candidate="c"), "line 2: the header has no candidate 'c'"),
        (without("request", concurrency=2, cache="warm"), "a, closed 2, warm: 5 requests, and 6 were planned"),
        (without_all("request", block=1), "a, closed 1, cold: 3 requests, and 6 were planned"),
        (without_all("request", candidate="b"), "b is finished, and has no timed request"),
        (without("client"), "block 0 of a (describe-32@2, closed 1, cold) has requests, and no client row"),
        (twice("request"), "line 190: item 0 of block 0 stands twice for a"),
        (first_with("request", item=77), "block 0 of a (describe-32@2, closed 1, cold) and b's are not the same items"),
        (without("memory_sample", stage="decode"), "repeat 0 of a lacks decode process_above_load"),
        (without_all("memory_sample", repeat=1), "a has 1 repeats of memory, and 2 were planned"),
        (without_all("memory_sample", candidate="b"), "b is finished, and has no reading of memory"),
        (twice("memory_sample"), "stands twice"),
        (without("train_step", step=2), "step 3 of a, seed 0, and 2 is due"),
        (without("train_step", step=3), "a, seed 0: 3 steps, and 4 were planned"),
        (without_all("train_step", seed=1), "a, seed 1: 0 steps, and 4 were planned"),
        (without("tune_answer", phase="after"), "a, seed 0: 5 samples before and 4 after"),
        (without_all("tune_answer", sample="3"), "a, seed 0: 4 held-out samples, and 5 were planned"),
        (twice("tune_answer"), "sample '0' stands twice before seed 0 of a"),
    ],
)  # fmt: skip
def test_rows_that_are_missing_or_too_many_are_named(run_copy: Path, change: Callable[[Rows], Rows], told: str) -> None:
    change_rows(run_copy, change)
    assert any(told in reason for reason in refused(run_copy, "rows")), refused(run_copy, "rows")


def test_another_sample_in_the_place_of_one_that_was_asked_is_seen_by_the_digest(run_copy: Path) -> None:
    from fourways.core.request import derive_seed

    change_rows(run_copy, first_with("answer", sample="99", seed=derive_seed(7, "mme/99")))
    assert refused(run_copy, "rows") == [
        "rows.jsonl: a on mme: the samples are not those that the header names by digest"
    ]


def failure(axis: str, scope: str, where: str = "", status: str = "failed") -> dict[str, Any]:
    told = {"kind": "failure", "candidate": "a", "axis": axis, "scope": scope, "where": where, "message": "it broke"}
    return {**told, "hint": None, "status": status}


@pytest.mark.parametrize(
    ("gone", "told"),
    [
        (without_all("answer", candidate="a", benchmark="mme"), failure("accuracy", "benchmark", "mme")),
        (without("answer", sample="4"), failure("accuracy", "sample", "4")),
        (without_all("answer", candidate="a"), failure("accuracy", "axis", status="undefined")),
        (without_all("request", candidate="a", block=1), failure("latency", "axis", "block 1")),
        (without_all("memory_sample", candidate="a"), failure("memory", "candidate")),
        (without("memory_sample", stage="train_step"), failure("memory", "sample", "train_step")),
        (without("train_step", step=2), failure("tuning", "sample", "2")),
        (without_all("train_step", candidate="a", seed=1), failure("tuning", "benchmark", "star, seed 1")),
    ],
)  # fmt: skip
def test_what_a_row_says_was_lost_is_not_missed(run_copy: Path, gone: Callable[[Rows], Rows], told: Any) -> None:
    change_rows(run_copy, lambda rows: [told, *gone(rows)])
    found = verify_run(run_copy, None, None)
    assert next(check for check in found.checks if check.name == "rows").reasons == ()


def test_an_axis_that_is_not_finished_needs_a_row_that_says_why(run_copy: Path) -> None:
    change_json(run_copy, "state.json", lambda state: state["finished"]["memory"].remove("a"))
    assert refused(run_copy, "rows") == ["state.json: memory of a is not finished, and no row says why"]
    change_rows(run_copy, lambda rows: [failure("memory", "axis"), *rows])
    assert not any("memory of a" in reason for check in verify(run_copy).checks for reason in check.reasons)


def verify(run: Path) -> Verification:
    return verify_run(run, None, None)


@pytest.mark.parametrize("line", [b'{"kind": "answer"}\n', b"{}\n", b"\n", b"[" * 100_000 + b"\n", b'{"kind": "ans'])
def test_a_line_that_is_no_row_is_named(run_copy: Path, line: bytes) -> None:
    rows = run_copy / "rows.jsonl"
    rows.write_bytes(rows.read_bytes() + line)
    restate(run_copy)
    assert refused(run_copy, "rows")[0].startswith("rows.jsonl, line 190: ")


@pytest.mark.parametrize("field", ["value", "low", "high"])
def test_an_edited_figure_is_named_with_what_the_rows_give(run_copy: Path, field: str) -> None:
    def edit(summary: Any) -> None:
        figure = next(one for one in summary["figures"] if one[field] is not None and one["metric"] == "aggregate")
        figure[field] *= 1 + 1e-15

    change_json(run_copy, "summary.json", edit)
    (reason,) = refused(run_copy, "figures")
    assert reason.startswith("summary.json, figure ") and f"(a aggregate benchmarks=2): {field} is " in reason
    assert "and the rows give" in reason


@pytest.mark.parametrize("axis", ["accuracy", "latency", "memory", "tuning"])
def test_a_figure_that_is_gone_is_missed(run_copy: Path, axis: str) -> None:
    def drop(summary: Any) -> None:
        summary["figures"].remove(next(one for one in summary["figures"] if one["axis"] == axis))

    change_json(run_copy, "summary.json", drop)
    assert any("and the rows give" in reason for reason in refused(run_copy, "figures"))


def test_an_edited_score_changes_a_figure(run_copy: Path) -> None:
    change_rows(run_copy, first_with("tune_answer", score=0.5))
    assert all(reason.startswith("summary.json, figure ") for reason in refused(run_copy, "figures"))


def test_on_another_machine_last_digits_may_differ_and_no_more(run_copy: Path) -> None:
    change_json(run_copy, "run.json", lambda header: header["environment"].update(cpu="another processor"))
    (one,) = (check for check in verify(run_copy).checks if check.name == "figures")
    assert one.outcome == "ok" and one.remarks == ()

    def nudge(by: float, end: float) -> Callable[[Any], None]:
        def change(summary: Any) -> None:
            figure = next(one for one in summary["figures"] if one["metric"] == "aggregate")
            figure["value"] *= 1 + by
            figure["high"] += end * (figure["high"] - figure["low"])

        return change

    change_json(run_copy, "summary.json", nudge(1e-12, 0.02))
    (one,) = (check for check in verify(run_copy).checks if check.name == "figures")
    assert one.outcome == "ok"
    assert "last digits may differ: processor another processor → " in one.remarks[0]
    change_json(run_copy, "summary.json", nudge(0.0, 0.1))
    assert "high is" in refused(run_copy, "figures")[0]


def test_files_of_two_runs_do_not_pass_for_one(run_copy: Path) -> None:
    change_json(run_copy, "summary.json", lambda summary: summary.update(run_id="another"))
    assert refused(run_copy, "header") == [
        "summary.json: its run_id is another, and run.json says 2026-11-22T10-04-05Z-a-b"
    ]
    first, rest = (run_copy / "rows.jsonl").read_bytes().split(b"\n", 1)
    other = json.dumps({**json.loads(first), "run_id": "another", "commit": "0" * 40}).encode()
    (run_copy / "rows.jsonl").write_bytes(other + b"\n" + rest)
    restate(run_copy)
    assert "rows.jsonl, line 1: its run_id is not that of run.json" in refused(run_copy, "header")


def test_the_statement_must_say_what_the_header_says(run_copy: Path) -> None:
    restate(run_copy, seed=8, run_id="another")
    assert refused(run_copy, "header") == [
        "statement.json: its run_id is not that of run.json", "statement.json: its seed is not that of run.json",
    ]  # fmt: skip


def test_looser_tolerances_in_the_statement_loosen_nothing(run_copy: Path) -> None:
    def edit(summary: Any) -> None:
        next(one for one in summary["figures"] if one["metric"] == "aggregate")["value"] *= 1.01

    change_json(run_copy, "summary.json", edit)
    restate(run_copy, tolerances=Tolerances(value=0.5, interval=0.5), proves=("that all numbers are true",))
    assert len(refused(run_copy, "figures")) == 1
    assert "that all numbers are true" not in verify(run_copy).proves


def test_a_definition_that_this_version_does_not_know_is_refused_and_other_words_are_told(run_copy: Path) -> None:
    said = decode_statement((run_copy / STATEMENT_FILE).read_bytes()).predicate.definitions
    name = next(iter(said))
    restate(run_copy, definitions={**said, name: "whatever looks best"})
    (one,) = (check for check in verify(run_copy).checks if check.name == "figures")
    assert one.remarks == (f"statement.json puts {name} in other words than this version",)
    restate(run_copy, definitions={key: text for key, text in said.items() if key != name} | {"best@1": "the best"})
    assert refused(run_copy, "figures") == [
        "statement.json: it defines best@1, which no figure is", f"statement.json: it does not say what {name} is",
    ]  # fmt: skip

    def rename(summary: Any) -> None:
        summary["figures"][0]["definition"] = "best@1"

    change_json(run_copy, "summary.json", rename)
    assert any("does not compute best@1; verify with Fourways" in reason for reason in refused(run_copy, "figures"))


def test_the_page_of_another_run_is_refused(run_copy: Path) -> None:
    page = run_copy / "report.html"
    page.write_bytes(page.read_bytes().replace(b"Run 2026-11-22T10-04-05Z-a-b.", b"Run another."))
    restate(run_copy)
    assert "report.html" in refused(run_copy, "page")[0]


def test_a_header_of_an_older_version_is_checked_as_far_as_it_goes(run_copy: Path) -> None:
    def forget(header: Any) -> None:
        header["plan"] = None
        for record in header["suite"]:
            record["asked"] = record["asked_sha256"] = None

    change_json(run_copy, "run.json", forget)
    found = next(check for check in verify(run_copy).checks if check.name == "rows")
    assert found.outcome == "ok" and len(found.remarks) == 4


def test_whatever_the_rows_say_it_ends_in_a_verdict(published_run: Path, run_copy: Path) -> None:
    """Words and numbers of any row put in the place of others, and stated anew."""
    rng = random.Random("whatever")
    first, *lines = (published_run / "rows.jsonl").read_bytes().splitlines(keepends=True)
    for _ in range(40):
        rows = [json.loads(line) for line in lines]
        for _ in range(rng.randrange(1, 6)):
            row, other = rng.choice(rows), rng.choice(rows)
            field = rng.choice([name for name in row if name != "kind"])
            row[field] = rng.choice([None, "", -1, 0, 1e308, 10**18, "é", [], {}, *other.values()])
        (run_copy / "rows.jsonl").write_bytes(first + b"".join(json.dumps(row).encode() + b"\n" for row in rows))
        restate(run_copy)
        found = verify_run(run_copy, None, None)
        assert found.verdict in ("refused", "unsigned")
        if found.verdict == "refused":
            assert any(".jsonl" in reason or ".json" in reason for check in found.checks for reason in check.reasons)


def test_rows_that_break_a_formula_are_refused_and_the_rest_is_still_counted(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(rows: Iterable[object], suite: object) -> None:
        next(iter(rows))
        raise ZeroDivisionError("of nothing")

    monkeypatch.setattr("fourways.figures.compute", broken)
    assert refused(run_copy, "figures") == [
        "rows.jsonl: no figures can be computed from it: ZeroDivisionError: of nothing"
    ]
    (rows,) = (check for check in verify(run_copy).checks if check.name == "rows")
    assert rows.outcome == "ok" and rows.what.startswith("188 rows")
