"""The page of a load run shows what it has: a sweep and its knee, the SLO, a search, A against B, and nothing else."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import pytest

from fourways.core.load import Load
from fourways.core.objective import Objective
from fourways.core.rows import ProbeRow, ProbeVerdict, RequestRow, Row, TermsRow
from fourways.core.run import RunHeader
from fourways.report import write_report

MakeRun = Callable[[Path, list[Row], RunHeader], Path]
SLO = (Objective("ttft", 0.05, 200.0), Objective("failures", 0.01))


def terms(name: str, *, slo: Sequence[Objective] = (), price: float | None = None) -> TermsRow:
    return TermsRow(name, tuple(slo), price, "EUR", "blocks")


def block(name: str, load: Load, number: int, service_ms: float, count: int = 30) -> list[Row]:
    """Requests one after another; those of an overfull server wait longer each time."""
    luck = random.Random(f"{name}{load.label}{number}")
    rate = load.rate_per_s or (load.concurrency or 1) / 0.2
    rows: list[Row] = []
    for i in range(count):
        wait = max(0.0, i * (service_ms - 1000 / rate))
        ttft = 50 + wait + luck.random() * 20
        rows.append(
            RequestRow(
                candidate=name, workload="describe-32", concurrency=load.concurrency, cache="cold", block=number,
                item=i, image=f"i{i}", scheduled_ms=1000 * i / rate, dispatched_ms=1000 * i / rate + 0.1, ttft_ms=ttft,
                e2e_ms=ttft + 62, tpot_ms=2.0, chunk_gaps_ms=(2.0,) * 31, prompt_tokens=60, visual_tokens=16,
                output_tokens=32, stages_ms={}, arrivals=load.arrivals, rate_per_s=load.rate_per_s,
            )
        )  # fmt: skip
    return rows


def sweep(slo: Sequence[Objective] = SLO, price: float | None = 2.5) -> list[Row]:
    rows: list[Row] = [terms(name, slo=slo, price=price) for name in ("a", "b")]
    for rate in (5.0, 10.0, 20.0):
        for number in range(4):
            for name, service_ms in (("a", 60.0), ("b", 20.0)):
                rows += block(name, Load("poisson", rate_per_s=rate), number, service_ms)
    return rows


def probe(size: float, verdict: ProbeVerdict, number: int, purpose: str = "narrow") -> ProbeRow:
    load = Load("poisson", rate_per_s=size)
    return ProbeRow("a", "describe-32", load, "cold", number, purpose, verdict, f"why {number}", 104, 3)  # type: ignore[arg-type]  # a literal


def searched() -> list[Row]:
    probes = [
        probe(10, "meets", 0, "bracket"), probe(20, "misses", 1, "bracket"), probe(14, "undecided", 2),
        probe(13, "client_bound", 3), probe(12, "meets", 4), probe(12, "meets", 5, "confirm"),
    ]  # fmt: skip
    rows: list[Row] = [terms("a", slo=SLO)]
    for one in probes:
        rows += [*block("a", one.load, one.block, 20.0), one]
    return rows


def load_header(header: RunHeader, names: Sequence[str]) -> RunHeader:
    record = header.candidates[-1]
    candidates = tuple(
        msgspec.structs.replace(record, candidate=msgspec.structs.replace(record.candidate, name=name))
        for name in names
    )
    return msgspec.structs.replace(header, axes=("latency",), candidates=candidates, suite=())


@pytest.fixture
def page(tmp_path: Path, make_run: MakeRun, made_up_header: RunHeader) -> Callable[[list[Row]], str]:
    def write(rows: list[Row]) -> str:
        names = list(dict.fromkeys(row.candidate for row in rows if isinstance(row, TermsRow)))
        run = make_run(tmp_path / "run", rows, load_header(made_up_header, names))
        return write_report(run, images=lambda _: None).read_text("utf-8")

    return write


def section(text: str, name: str = "load") -> str:
    return text.partition(f'<section id="{name}">')[2].partition("</section>")[0]


def words(section: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", section)).strip()


def panel(section: str, title: str) -> str:
    return next(
        p for p in section.split('<figure class="panel">')[1:] if title in words(p.partition("</figcaption>")[0])
    )


def test_a_sweep_is_drawn_as_one_curve_a_candidate_with_the_knee_marked(page: Callable[[list[Row]], str]) -> None:
    found = section(page(sweep()))
    assert "The sweep: requests/s, Poisson" in words(found)
    drawn = panel(found, "ttft p50")
    assert drawn.count('class="curve"') == 2 and drawn.count('class="ring"') == 2
    assert "a: poisson 5/s:" in drawn and "knee at" in words(found)
    achieved = panel(found, "answers a second ; dashed: all that is sent")
    assert achieved.count('class="reference"') == 1
    for title in ("tokens a second", "power", "goodput", "cost of 1,000 answers"):
        assert panel(found, title).count('class="curve"') == 2


def test_an_slo_has_a_panel_an_objective_with_what_is_needed(page: Callable[[list[Row]], str]) -> None:
    found = section(page(sweep()))
    assert "0.95 is needed" in words(panel(found, "ttft_p95=200ms: share that keeps it"))
    assert "0.99 is needed" in words(panel(found, "failures=1%: share that keeps it"))
    assert "keep the SLO" in words(found) and "goodput" in words(found)


def test_what_was_not_asked_for_is_not_shown(page: Callable[[list[Row]], str]) -> None:
    said = words(section(page(sweep(slo=(), price=None))))
    assert "The sweep" in said
    for absent in ("SLO", "cost", "The search", "goodput"):
        assert absent not in said


def test_a_single_load_has_a_table_and_no_curve(page: Callable[[list[Row]], str]) -> None:
    rows: list[Row] = [terms("a")]
    for number in range(4):
        rows += block("a", Load("constant", rate_per_s=5.0), number, 20.0)
    found = section(page(rows))
    assert "constant 5/s" in words(found) and 'class="curve"' not in found and "Run against run" not in found


def test_runs_are_dots_and_the_verdict_stands_beside_them(page: Callable[[list[Row]], str]) -> None:
    found = section(page(sweep()))
    drawn = panel(found, "e2e p50 of each run (ms), poisson 20/s")
    assert drawn.count("<circle") - 1 == drawn.count("<polygon") - 1 == 4  # the heading has one of each
    said = words(found)
    assert "a \N{MINUS SIGN} b" in said and "not separated" in said


def test_a_search_shows_every_probe_by_its_verdict_and_the_bracket(page: Callable[[list[Row]], str]) -> None:
    text = page(searched())
    found = section(text)
    drawn = panel(found, "requests/s")
    assert drawn.count('class="dot"') == 3 and drawn.count('class="hollow"') == 2 and drawn.count('class="stroke"') == 2
    assert drawn.count('class="stage"') == 1
    assert "10 met, 20 missed, 14 could not tell, 13 client-bound, 12 met, 12 met" in drawn
    said = words(found)
    assert "12.0 requests/s 12.0 – 20.0" in said and "why 3" in said and "to confirm" in said
    result = words(section(text, "result"))
    assert "no confidence interval" in result and "95 % interval" not in result
    assert "capacity" in result and "Poisson arrivals, ttft_p95=200ms and failures=1%" in result
    latency = words(section(text, "latency"))
    assert "poisson 12/s" in latency and "e2e , poisson 20/s" not in latency


def test_the_page_says_in_its_title_what_was_done_and_shows_one_axis(page: Callable[[list[Row]], str]) -> None:
    text = page(sweep())
    assert "<title>a and b under load</title>" in text
    result = words(section(text, "result"))
    assert "its 95 % interval" in result
    assert "poisson 5/s" in result and "accuracy" not in result and "one picture a candidate" not in result
    assert "<title>a: the greatest load that meets an SLO</title>" in page(searched())
