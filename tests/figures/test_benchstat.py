"""The Go benchmark text, against the format's own grammar and against benchstat's reading of a name."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from fourways.core.candidate import Candidate
from fourways.core.rows import RequestRow
from fourways.core.run import CandidateRecord, RunHeader
from fourways.evidence import build_header
from fourways.figures import benchstat

MakeRow = Callable[..., RequestRow]
_KEY = re.compile(r"[a-z][^\sA-Z:]*:[ \t]+\S.*")


def header(name: str = "a") -> RunHeader:
    record = CandidateRecord(Candidate(name, model="zoo:qwen"), None, {}, None)
    return build_header(
        run_id="r", argv=(), seed=7, axes=("latency",), limit=None, quick=False, candidates=[record], suite=(),
        definitions={},
    )  # fmt: skip


def read(text: str) -> list[tuple[str, int, dict[str, float]]]:
    """What design 14313 says a reader must do: configuration lines, result lines of fields, all else ignored."""
    found = []
    for line in text.splitlines():
        fields = line.split()
        if not fields or not fields[0].startswith("Benchmark"):
            assert not line or _KEY.fullmatch(line) or line.startswith("Unit "), line
            continue
        assert len(fields) >= 4 and len(fields) % 2 == 0, line
        assert fields[0] == "Benchmark" or fields[0][len("Benchmark")].isupper()
        found.append((fields[0], int(fields[1]), dict(zip(fields[3::2], map(float, fields[2::2]), strict=True))))
    return found


def test_a_block_is_a_line_and_blocks_of_one_load_have_one_name(request_row: MakeRow) -> None:
    lines = read(benchstat(header(), [request_row(i, 100.0 + i // 20) for i in range(60)]))
    assert len(lines) == 3 and len({name for name, _, _ in lines}) == 1
    assert [values["ns/op"] for _, _, values in lines] == [100e6, 101e6, 102e6]
    name, n, values = lines[0]
    assert name == "BenchmarkRequest/candidate=a/workload=describe-32/load=closed-1/cache=warm" and n == 20
    assert values["ttft-ns/op"] == 25e6 and values["req/s"] == pytest.approx(20 / 19.1, rel=1e-5)
    assert values["failed/op"] == 0


def test_a_name_ends_in_no_number_that_would_be_read_as_processors_and_holds_no_space(request_row: MakeRow) -> None:
    rows = [
        request_row(i, candidate="a b/c=d-8", arrivals="poisson", concurrency=None, rate_per_s=20.5) for i in range(3)
    ]
    ((name, _, _),) = read(benchstat(header(), rows))
    assert not re.search(r"-\d+$", name)
    assert name.split("/") == [
        "BenchmarkRequest", "candidate=a-b-c-d-8", "workload=describe-32", "load=poisson-20.5-per-s", "cache=warm",
    ]  # fmt: skip
    assert all(part.count("=") == 1 for part in name.split("/")[1:])


def test_failed_requests_are_counted_and_not_timed(request_row: MakeRow) -> None:
    bad = request_row(3, error="x", ttft_ms=None, e2e_ms=None, tpot_ms=None)
    ((_, n, values),) = read(benchstat(header(), [*(request_row(i) for i in range(3)), bad]))
    assert (n, values["failed/op"]) == (3, 0.25)


def test_the_machine_and_the_commit_stand_above(request_row: MakeRow) -> None:
    text = benchstat(header(), [request_row(0)])
    assert re.search(r"^cpu: \S", text, re.MULTILINE) and "seed: 7\n" in text and text.endswith("\n")


def test_nothing_answered_gives_no_text(request_row: MakeRow) -> None:
    assert benchstat(header(), [request_row(3, error="x", ttft_ms=None, e2e_ms=None, tpot_ms=None)]) == ""
