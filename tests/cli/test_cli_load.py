"""`fourways load`, as a person runs it: against the mock server, whose capacity is known, and an embedded model."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from peft import LoraConfig, get_peft_model

from fourways import zoo
from fourways.core.figure import Figure
from fourways.core.rows import ClientRow, FailureRow, ProbeRow, RequestRow, TermsRow
from fourways.core.run_files import read_header, read_rows, read_summary
from fourways.evidence.schemas import load_schema
from fourways.families.registry import find_family
from fourways.hub import look
from fourways.load.mock import MockSettings, Running, running

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def quick() -> Iterator[Running]:
    """Answers in 20 ms, 8 at a time: 400 a second."""
    with running(MockSettings(ttft_ms=10, gap_ms=0.3, tokens=6, slots=8)) as server:
        yield server


def figures_of(folder: Path, metric: str) -> list[Figure]:
    return [figure for figure in read_summary(folder).figures if figure.metric == metric]


def test_a_sweep_leaves_a_run_folder_like_a_comparison(fourways: Run, quick: Running, tmp_path: Path) -> None:
    asked = ["--concurrency", "1,2,4", "--requests", "24", "--blocks", "2", "--slo", "ttft_p95=2s,failures=10%"]
    said = fourways("load", f"m={quick.url}", *asked, "--price-per-hour", "3.6 EUR", "--out", "run")
    assert said.code == 0, said.err
    folder = tmp_path / "run"
    assert {"run.json", "rows.jsonl", "summary.json", "trace.json", "report.html"} <= {p.name for p in folder.iterdir()}
    header, rows = read_header(folder), list(read_rows(folder / "rows.jsonl"))
    assert header.axes == ("latency",) and header.workloads[0].name.startswith("describe-32")
    assert header.argv[1] == "load"
    requests = [row for row in rows if isinstance(row, RequestRow)]
    assert len(requests) == 3 * 24 and {row.concurrency for row in requests} == {1, 2, 4}
    assert sum(isinstance(row, ClientRow) for row in rows) == 6
    assert [row.candidate for row in rows if isinstance(row, TermsRow)] == ["m"]
    for metric in ("slo_attainment", "goodput", "cost_per_1000", "power", "ttft_p50"):
        assert {f.labels.get("concurrency") for f in figures_of(folder, metric)} == {"1", "2", "4"}, metric
    (knee,) = figures_of(folder, "knee_concurrency")
    assert knee.value in (1, 2, 4)
    assert "keeps SLO" in said.out and "knee: " in said.out and f"run: {Path('run')}" in said.out


def test_every_row_fits_the_published_schema(fourways: Run, quick: Running, tmp_path: Path) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    assert fourways("load", f"m={quick.url}", "--rate", "50", "--requests", "20", "--out", "run").code == 0
    fits = jsonschema.validators.validator_for(schema := load_schema("rows"))(schema)
    lines = (tmp_path / "run" / "rows.jsonl").read_text().splitlines()
    assert len(lines) > 20 and not [error for line in lines for error in fits.iter_errors(json.loads(line))]


def test_open_loops_are_sent_at_their_instants(fourways: Run, quick: Running, tmp_path: Path) -> None:
    fourways("load", f"m={quick.url}", "--rate", "40", "--arrivals", "constant", "--duration", "1", "--out", "run")
    requests = [r for r in read_rows(tmp_path / "run" / "rows.jsonl") if isinstance(r, RequestRow)]
    assert len(requests) == 40 and {(r.arrivals, r.rate_per_s) for r in requests} == {("constant", 40.0)}
    due = sorted(r.scheduled_ms for r in requests if r.block == 0)
    assert due == pytest.approx([25.0 * i for i in range(10)], abs=0.01)


def test_a_ramp_and_a_replay_are_sent_too(fourways: Run, quick: Running, tmp_path: Path) -> None:
    trace = tmp_path / "traffic.jsonl"
    trace.write_text("".join(json.dumps({"at_s": i / 50, "answer_tokens": 4}) + "\n" for i in range(12)))
    assert fourways("load", f"m={quick.url}", "--replay", str(trace), "--out", "replay").code == 0
    requests = [r for r in read_rows(tmp_path / "replay" / "rows.jsonl") if isinstance(r, RequestRow)]
    assert len(requests) == 12 and {r.arrivals for r in requests} == {"replay"}
    assert fourways("load", f"m={quick.url}", "--ramp", "10:60", "--requests", "20", "--out", "ramp").code == 0
    assert figures_of(tmp_path / "ramp", "ttft_p50")[0].labels["load"] == "ramp 10-60/s"


def test_a_search_finds_slots_over_e2e(fourways: Run, tmp_path: Path) -> None:
    """2 slots, and 15 + 31 × 0.5 ms for the 32 tokens that are asked for: 65.6 a second."""
    with running(MockSettings(ttft_ms=15, gap_ms=0.5, slots=2)) as server:
        asked = ["--slo", "ttft_p95=1s", "--arrivals", "constant", "--duration", "3", "--out", "run"]
        said = fourways("load", f"m={server.url}", *asked)
    (capacity,) = figures_of(tmp_path / "run", "capacity")
    probes = [row for row in read_rows(tmp_path / "run" / "rows.jsonl") if isinstance(row, ProbeRow)]
    assert capacity.n == len(probes)
    if capacity.value is None or capacity.high is None:
        assert any(probe.verdict == "client_bound" for probe in probes), [p.reason for p in probes]
        pytest.skip("this machine was too busy to send 60 requests a second on time")
    assert said.code == 0 and capacity.low == capacity.value
    assert 0.95 <= capacity.value / (2 / 0.0305) <= 1.05
    assert probes[-1].purpose == "confirm" and probes[-1].verdict == "meets"
    assert "capacity (constant arrivals, ttft_p95=1000ms)" in said.out


def test_an_slo_that_is_missed_is_told_and_ends_with_1(fourways: Run, quick: Running) -> None:
    said = fourways("load", f"m={quick.url}", "--concurrency", "2", "--requests", "20", "--slo", "ttft_p95=1ms")
    assert said.code == 1 and "keeps SLO" in said.out
    assert re.search(
        r"SLO missed: m at closed 2: ttft_p95 \S+ ms > 1 ms \(0 % of requests keep 1 ms, 95 % must\)", said.out
    )


def test_every_target_is_told_whether_it_met_each_objective(fourways: Run, quick: Running) -> None:
    asked = ["--concurrency", "2", "--requests", "80", "--slo", "ttft_p50=1ms,failures=5%"]
    said = fourways("load", f"a={quick.url}", f"b={quick.url}", *asked)
    assert said.code == 1
    for name in "ab":
        assert f"SLO missed: {name} at closed 2: ttft_p50 " in said.out
        assert f"SLO met: {name} at closed 2: failures 0 % ≤ 5 %" in said.out


def test_failures_are_rows_and_count_against_the_slo(fourways: Run, tmp_path: Path) -> None:
    with running(MockSettings(ttft_ms=2, gap_ms=1, tokens=4, error_rate=0.3, error_statuses=(400,))) as server:
        asked = ["--concurrency", "4", "--requests", "60", "--slo", "failures=5%", "--out", "run"]
        said = fourways("load", f"m={server.url}", *asked)
    rows = [row for row in read_rows(tmp_path / "run" / "rows.jsonl") if isinstance(row, RequestRow)]
    failed = sum(row.error is not None for row in rows)
    assert said.code == 1 and len(rows) == 60 and 0 < failed < 60
    (attained,) = figures_of(tmp_path / "run", "slo_attainment")
    assert attained.value == pytest.approx(1 - failed / 60)


def test_a_server_that_is_not_there_is_a_failure_and_the_other_finishes(
    fourways: Run, quick: Running, tmp_path: Path
) -> None:
    asked = ["--concurrency", "2", "--requests", "8", "--out", "run"]
    said = fourways("load", "gone=http://127.0.0.1:9", f"m={quick.url}", *asked)
    assert said.code == 1 and "gone" in said.err and "cannot be reached" in said.err
    rows = list(read_rows(tmp_path / "run" / "rows.jsonl"))
    assert {row.candidate for row in rows if isinstance(row, RequestRow)} == {"m"}
    assert [r.candidate for r in rows if isinstance(r, FailureRow) and r.scope != "sample"] == ["gone"]


def test_blocks_of_two_servers_take_turns_on_the_same_items_and_are_tested(
    fourways: Run, quick: Running, tmp_path: Path
) -> None:
    with running(MockSettings(ttft_ms=60, gap_ms=2, tokens=6)) as slow:
        asked = ["--concurrency", "1", "--requests", "25", "--blocks", "5", "--out", "run"]
        said = fourways("load", f"a={quick.url}", f"b={slow.url}", *asked)
    requests = [r for r in read_rows(tmp_path / "run" / "rows.jsonl") if isinstance(r, RequestRow)]
    order = list(dict.fromkeys((r.block, r.candidate) for r in requests))
    assert order == [(block, name) for block in range(5) for name in ("a", "b")]
    items = {name: [r.item for r in requests if r.candidate == name] for name in ("a", "b")}
    assert items["a"] == items["b"] and len(set(items["a"])) == 25
    (difference,) = figures_of(tmp_path / "run", "ttft_run_difference")
    assert difference.labels["verdict"] == "a is ahead of b" and difference.labels["runs"] == "blocks"
    assert "a − b: ttft p50" in said.out


def test_restarts_are_fresh_processes_that_take_turns(fourways: Run, tmp_path: Path) -> None:
    asked = ["--concurrency", "2", "--restarts", "2", "--requests", "4", "--blocks", "1", "--warm-up", "1"]
    said = fourways("load", "zoo:qwen", *asked, "--out", "run")
    assert said.code == 0, said.err
    requests = [r for r in read_rows(tmp_path / "run" / "rows.jsonl") if isinstance(r, RequestRow)]
    assert [r.restart for r in requests] == [0] * 4 + [1] * 4
    assert len({r.item for r in requests}) == 8, "no start is sent what another was"
    (terms,) = [r for r in read_rows(tmp_path / "run" / "rows.jsonl") if isinstance(r, TermsRow)]
    assert terms.runs == "restarts"


def test_times_are_exported_for_benchstat(fourways: Run, quick: Running, tmp_path: Path) -> None:
    fourways("load", f"m={quick.url}", "--concurrency", "2", "--requests", "8", "--blocks", "2", "--out", "run")
    said = fourways("export", "run", "--to", "benchstat", "--out", "bench")
    assert said.code == 0, said.err
    (file,) = (tmp_path / "bench").iterdir()
    assert file.read_text().count("BenchmarkRequest/candidate=m/") == 2
    again = fourways("export", "run", "--to", "benchstat", "--out", "bench")
    assert again.code == 2 and "has" in again.err


def test_a_dry_run_says_what_would_be_sent_and_sends_nothing(fourways: Run, tmp_path: Path) -> None:
    said = fourways("load", "m=http://127.0.0.1:9", "--rate", "5,10", "--duration", "60", "--dry-run")
    assert said.code == 0 and "poisson 5/s: m: 300 requests" in said.out and "workload describe-32" in said.out
    searched = fourways("load", "m=http://127.0.0.1:9", "--slo", "ttft_p95=500ms", "--dry-run")
    assert "a probe is 130 to" in searched.out
    assert not (tmp_path / "runs").exists()


def test_a_ramp_and_a_replay_are_sent_once_unless_blocks_are_asked_for(fourways: Run, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text("".join(f'{{"at_s": {at}, "images": ["64x64"]}}\n' for at in (0, 0.5, 1.5)))
    server = "http://127.0.0.1:9"
    once = fourways("load", server, "--replay", "t.jsonl", "--dry-run").out
    assert "127.0.0.1_9: 3 requests each, once" in once and "in all: 3 requests and 8 to warm up" in once
    thrice = fourways("load", server, "--replay", "t.jsonl", "--blocks", "3", "--dry-run").out
    assert "9 requests each, 3 times over" in thrice
    ramp = fourways("load", server, "--ramp", "1:8", "--duration", "15", "--dry-run").out
    assert "68 requests each, once, from end to end, about 15 s" in ramp


def test_too_few_fresh_starts_are_told_before_they_are_made(fourways: Run) -> None:
    said = fourways("load", "a=zoo:qwen", "b=zoo:qwen", "--restarts", "2", "--dry-run").out
    assert "--restarts 2: too few to tell candidates apart" in said
    assert "too few" not in fourways("load", "a=zoo:qwen", "b=zoo:qwen", "--restarts", "4", "--dry-run").out


def test_the_cost_names_its_currency(fourways: Run, quick: Running) -> None:
    asked = ["--concurrency", "2", "--requests", "8", "--price-per-hour", "2.50 EUR"]
    assert "cost/1,000 EUR" in fourways("load", quick.url, *asked).out


def test_a_dry_run_counts_fresh_starts(fourways: Run) -> None:
    said = fourways("load", "zoo:qwen", "--concurrency", "2", "--requests", "40", "--restarts", "3", "--dry-run").out
    assert "40 requests each" in said and "120 in all" in said and "in all: 120 requests and 24 to warm up" in said


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--rate", "x"], "no list of numbers"),
        (["--rate", "5", "--concurrency", "2"], "exclude each other"),
        (["--ramp", "3"], "is no ramp"),
        (["--concurrency", "0"], "at least 1"),
        (["--rate", "5,5"], "names a load twice"),
        (["--arrivals", "constant"], "--arrivals belongs to"),
        (["--rate", "5", "--arrivals", "even"], "'even' is not known"),
        (["--search", "rate"], "needs an SLO"),
        (["--search", "speed", "--slo", "ttft_p95=1s"], "'speed' is not known"),
        (["--search", "rate", "--slo", "ttft_p95=1s", "--rate", "5"], "leave out --rate"),
        (["--slo", "ttft=1s"], "is no objective"),
        (["--price-per-hour", "abc"], "is no price"),
        (["--workload", "nope"], "there is no workload 'nope'"),
        (["--replay", "x.jsonl", "--workload", "chat-mixed"], "exclude each other"),
        (["--restarts", "3", "--rate", "5"], "cannot be started from here"),
    ],
)
def test_a_mistake_is_named_before_anything_is_sent(
    words: list[str], message: str, fourways: Run, tmp_path: Path
) -> None:
    said = fourways("load", "m=http://127.0.0.1:9", *words)
    assert said.code == 2 and message in said.err, said.err
    assert not (tmp_path / "runs").exists()


def test_a_load_run_is_not_gone_on_with_by_compare(fourways: Run, quick: Running) -> None:
    fourways("load", f"m={quick.url}", "--concurrency", "1", "--requests", "4", "--out", "run")
    again = fourways("load", f"m={quick.url}", "--out", "run")
    assert again.code == 2 and "hint: name a new folder\n" in again.err and "--resume" not in again.err
    said = fourways("compare", "--resume", "run")
    assert said.code == 2 and "two different hours" in said.err


def test_ctrl_c_keeps_the_rows_and_writes_what_they_give(quick: Running, tmp_path: Path) -> None:
    words = ["load", f"m={quick.url}", "--rate", "20", "--duration", "60", "--out", "run"]
    # A test run in the background hands on that SIGINT is ignored.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    command = [sys.executable, "-c", listening + "from fourways.cli import main; main()", *words]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    rows = tmp_path / "run" / "rows.jsonl"
    until = time.monotonic() + 240
    while not (rows.exists() and rows.read_bytes().count(b'"kind":"request"') >= 10):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 130 and "what was measured until then is in run" in err
    assert re.search(r"stopped after \d+ requests", err) and "its report is run/report.html" in " ".join(err.split())
    assert figures_of(tmp_path / "run", "ttft_p50") and (tmp_path / "run" / "report.html").exists()


def test_the_help_has_examples_and_says_the_exit_codes(fourways: Run) -> None:
    said = " ".join(fourways("load", "--help").out.split())
    assert "fourways load zoo:qwen --concurrency 1,2,4,8" in said and "Exit codes: 0 all measured" in said


def test_terms_read_back_as_they_were_written() -> None:
    terms = TermsRow("a", (), 2.5, "EUR", "restarts")
    assert msgspec.json.decode(msgspec.json.encode(terms), type=TermsRow) == terms


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
@pytest.mark.parametrize("budget", ["64", "[{visual_tokens: null}, {visual_tokens: 64}]"])
def test_a_workload_that_a_server_could_only_refuse_is_told_before_anything_is_sent(
    fourways: Run, tmp_path: Path, more: tuple[str, ...], budget: str
) -> None:
    (tmp_path / "w.yaml").write_text(f"name: receipts\nimages: {{size: 64x64}}\nvisual_budget: {budget}\n")
    with running(MockSettings()) as server:
        said = fourways("load", f"there={server.url}", "--workload", "w.yaml", *more)
        assert not server.log(), "nothing was sent"
    assert said.code == 2
    assert "receipts" in said.err and "visual_budget" in said.err and "there" in said.err
    assert not (tmp_path / "runs").exists()


def test_a_local_model_answers_a_mix_of_adapters_and_one_that_is_none_is_told(fourways: Run, tmp_path: Path) -> None:
    family = find_family("Qwen2_5_VLForConditionalGeneration").load(
        look(zoo.checkpoint("qwen")), dtype="float32", device="cpu"
    )
    model = get_peft_model(family.module, LoraConfig(r=2, target_modules=family.card.lora_targets["llm"]))
    model.save_pretrained(tmp_path / "law")
    mix = "name: mixed\nimages: {size: 64x64}\nanswer: {tokens: 2}\nadapters: [{adapter: null}, {adapter: %s}]\n"
    (tmp_path / "w.yaml").write_text(mix % "./law")
    asked = (
        "zoo:qwen", "--concurrency", "2", "--requests", "16", "--blocks", "1", "--warm-up", "2", "--workload", "w.yaml",
    )  # fmt: skip
    assert fourways("load", *asked, "--out", "run").code == 0
    rows = [row for row in read_rows(tmp_path / "run" / "rows.jsonl") if isinstance(row, RequestRow)]
    assert {row.adapter for row in rows} == {None, "./law"} and not [row for row in rows if row.error]
    (tmp_path / "w.yaml").write_text(mix % "./gone")
    said = fourways("load", *asked, "--out", "lost")
    assert said.code == 1 and "adapter gone: cannot read adapter_config.json" in said.err
