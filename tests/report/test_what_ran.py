"""What ran, and what was lost, in plain words."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from fourways.core.candidate import Sampling
from fourways.core.load import Load
from fourways.core.rows import CAUSE, PICTURE, AnswerRow, ClientRow, FailureRow, RequestRow, Row
from fourways.core.run import CrewRecord, PartRecord, RunHeader, Shard, ShardRecord, SourceState
from fourways.report import write_report
from fourways.report.candidates import setting

MakeRun = Callable[[Path, list[Row], RunHeader], Path]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("1: 12.4 ms, 2: 288.8 ms", "a short trial took 12.4 ms with 1 thread, 288.8 ms with 2 threads"),
        ("as asked", "number of threads as asked"),
    ],
)
def test_how_many_threads_were_tried_is_said_in_words(value: str, words: str) -> None:
    assert setting("threads_measured", value) == words


def test_a_lost_axis_is_named(
    make_run: Callable[[Path, list[Row], RunHeader], Path], made_up_header: RunHeader, tmp_path: Path
) -> None:
    name = made_up_header.candidates[0].candidate.name
    run = make_run(tmp_path / "lost", [FailureRow(name, "memory", "axis", "", "broke")], made_up_header)
    text = write_report(run, images=lambda sha: None).read_text("utf-8")
    assert "the whole memory axis" in text
    assert "one picture a candidate" not in text
    assert 'class="legend"' not in text


def shown(run: Path) -> str:
    page = write_report(run, images=lambda sha: None).read_text("utf-8")
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_a_client_that_did_not_keep_up_is_told_setting_by_setting(
    made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path
) -> None:
    name, alone = made_up_header.candidates[0].candidate.name, Load(concurrency=1)
    rows: list[Row] = []
    for cache, why in (("cold", "9 of 16 requests left the client late"), ("warm", None)):
        rows += [
            RequestRow(
                name, "w", 1, cache, 0, i, "", 10.0 * i, 10.0 * i, 3.0, 9.0, 1.0, (), 5, 4, 7, {}
            )  # type: ignore[arg-type]  # one of two caches
            for i in range(16)
        ]  # fmt: skip
        rows.append(ClientRow(name, "w", alone, cache, 0, 1e3, 9.0, 50, 0.1, 0.2, 0.3, False, why))  # type: ignore[arg-type]  # the same
    said = shown(make_run(tmp_path / "bound", rows, made_up_header))
    assert f"{name}, w, concurrency 1, cold cache: client-bound in its block: 9 of 16 requests left" in said
    assert f"{name}, w, concurrency 1, warm cache: client-bound" not in said


def test_a_part_of_a_suite_says_that_it_is_a_part(made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path) -> None:
    part = msgspec.structs.replace(made_up_header, shard=ShardRecord(Shard(3, 16), {"mme": 160}, {"mme": 10}))
    assert "Part 3/16 of every benchmark" in shown(make_run(tmp_path / "part", [], part))
    assert "of every benchmark: every figure" not in shown(make_run(tmp_path / "whole", [], made_up_header))


def test_who_asked_and_what_was_merged_is_said(made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path) -> None:
    crews = (CrewRecord("2026-11-22T10:00:00+00:00", "ray", 4, "ray://head:10001"),)
    parts = tuple(
        PartRecord(f"run-{i}", "2026-11-22T10:00:00+00:00", Shard(i, 2), made_up_header.environment) for i in (1, 2)
    )
    header = msgspec.structs.replace(made_up_header, crews=crews, parts=parts)
    said = shown(make_run(tmp_path / "merged", [], header))
    assert "4 Ray actors, cluster ray://head:10001, from 2026-11-22T10:00:00+00:00 on" in said
    assert "1/2: run run-1" in said and "2/2: run run-2" in said


def test_the_edition_of_the_data_and_all_of_the_sampling_are_said(
    made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path
) -> None:
    suite = (msgspec.structs.replace(made_up_header.suite[0], edition="dev v1.1", columns={"question": "q"}),)
    first, *rest = made_up_header.candidates
    drawn = Sampling(temperature=1.0, top_k=40, presence_penalty=2.0)
    first = msgspec.structs.replace(first, candidate=msgspec.structs.replace(first.candidate, sampling=drawn))
    header = msgspec.structs.replace(made_up_header, suite=suite, candidates=(first, *rest))
    said = shown(make_run(tmp_path / "run", [], header))
    assert "dev v1.1; question from q" in said
    assert "temperature 1.0, top k 40, presence penalty 2.0" in said


def test_failures_are_counted_apart_from_what_could_not_be_asked(
    made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path
) -> None:
    name = made_up_header.candidates[0].candidate.name
    undefined = [FailureRow(name, "accuracy", "sample", str(i), "no access", status="undefined") for i in range(250)]
    broke = [FailureRow(name, "accuracy", "sample", str(i), "broke") for i in range(3)]
    said = shown(make_run(tmp_path / "run", [*undefined, *broke], made_up_header))
    assert "Failures: 3 " in said
    assert "What could not be asked: 250, the first 200 here" in said


def test_a_counter_that_is_not_there_is_told_once_and_is_no_failure(
    made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path
) -> None:
    names = [record.candidate.name for record in made_up_header.candidates]
    why = "no counter on this machine: no RAPL counter below /sys/class/powercap"
    absent: list[Row] = [
        FailureRow(name, "latency", "sample", "energy", why, status="undefined") for name in (*names, names[0])
    ]
    said = shown(make_run(tmp_path / "run", absent, made_up_header))
    assert "Nothing failed." in said and "What could not be asked" not in said
    assert said.count("energy (beside latency)") == 1 and f"{why} ; for" in said
    broke = FailureRow(names[0], "latency", "sample", "physical limits", "broke")
    said = shown(make_run(tmp_path / "broke", [*absent, broke], made_up_header))
    assert "Failures: 1 " in said and "Nothing failed." not in said


def test_timed_requests_that_failed_are_counted_by_their_reasons_the_most_common_first(
    made_up_rows: list[Row], made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path
) -> None:
    request = next(row for row in made_up_rows if isinstance(row, RequestRow))
    why = [f"the server is busy (HTTP 503): no slot, request cmpl-{n:x}7-a" for n in range(7)]
    why += ["the connection was lost"] * 4
    why += [f"reason {'x' * number}" for number in range(300)]
    lost = [msgspec.structs.replace(request, error=error, ttft_ms=None, e2e_ms=None) for error in why]
    said = shown(make_run(tmp_path / "run", lost, made_up_header))
    assert "Timed requests that failed: 311 " in said
    busy, dropped = (
        said.index("7 the server is busy (HTTP 503): no slot, request …"),
        said.index("4 the connection was lost"),
    )
    assert said.index("other reasons") < busy < dropped, "many of one request each stand together"
    assert "rarer reasons" in said


def test_questions_that_failed_are_counted_with_the_first_reason(
    made_up_rows: list[Row], made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path
) -> None:
    first, second, third, *rest = (row for row in made_up_rows if isinstance(row, AnswerRow) and row.status == "ok")
    assert first.candidate == second.candidate and first.benchmark == second.benchmark
    gone = {"error": "the server is gone"}
    broken = msgspec.structs.replace(first, status="failed", score=0.0, extra=gone)
    unread = msgspec.structs.replace(second, status="failed", score=0.0, extra={"error": "no PNG", CAUSE: PICTURE})
    whole = shown(make_run(tmp_path / "whole", [first, second, third], made_up_header))
    said = shown(make_run(tmp_path / "run", [broken, unread, third, *rest], made_up_header))
    assert "Nothing failed." in whole and "Questions that failed" not in whole
    assert "Questions that failed: 2" in said and "the server is gone" in said and "Nothing failed." not in said


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (SourceState("1.2"), "Fourways 1.2, in no checkout that git would read"),
        (SourceState("1.2", "c0ffee" * 6, "main", "D", False), "commit c0ffeec0ffee of D on main "),
        (SourceState("1.2", "c0ffee" * 6, None, "D", True, "ab" * 32), "D on no branch, with changes abababababab "),
        (SourceState("1.2", "c0ffee" * 6, "main", "D"), "on main; whether it was changed is not known"),
    ],
    ids=["none", "clean", "alone and changed", "not told"],
)
def test_which_source_ran_is_said_and_what_is_not_known_of_it(
    source: SourceState, words: str, made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path
) -> None:
    said = shown(make_run(tmp_path / "source", [], msgspec.structs.replace(made_up_header, source=source)))
    assert words in said


def test_a_run_without_a_suite_shows_no_empty_table(
    made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path
) -> None:
    for suite, heads in ((made_up_header.suite, True), ((), False)):
        header = msgspec.structs.replace(made_up_header, suite=suite)
        assert ("data SHA-256" in shown(make_run(tmp_path / str(len(suite)), [], header))) == heads


def test_an_engines_sizes_are_told_in_binary_units_and_nothing_twice(
    made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path
) -> None:
    first, *rest = made_up_header.candidates
    assert first.engine is not None
    settings = {"device": first.candidate.device, "dtype": "float8", "kv_bytes": "2147483648", "threads": "3"}
    engine = msgspec.structs.replace(first.engine, settings=settings)
    header = msgspec.structs.replace(made_up_header, candidates=(msgspec.structs.replace(first, engine=engine), *rest))
    said = shown(make_run(tmp_path / "run", [], header))
    assert "threads 3, and 2 settings more dtype float8 kv 2.00 GiB" in said
    assert "2147483648" not in said and f"device {first.candidate.device}" not in said


@pytest.mark.parametrize(("value", "words"), [("1536", "kv 1.50 KiB"), ("as needed", "kv bytes as needed")])
def test_a_size_that_is_no_number_stands_as_it_is(value: str, words: str) -> None:
    assert setting("kv_bytes", value) == words
