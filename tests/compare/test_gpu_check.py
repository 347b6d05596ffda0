"""The GPU check runs on a CPU too, on small shapes, so that it goes through every step wherever tests do."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "bench" / "gpu" / "check.py"
BROUGHT_ALONG = {"av", "httptools", "openpyxl", "ray", "datasets"}
"""What Fourways depends on, or can use, and a machine that only runs this check may not have."""


@pytest.fixture(scope="module")
def check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("gpu_check", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["gpu_check"] = module
    spec.loader.exec_module(module)
    return module


_AS_ASKED = """
import sys
from pathlib import Path
script, loaded = sys.argv.pop(1), sys.argv.pop(1)
sys.path.insert(0, str(Path(script).parent))
import check
Path(loaded).write_text(" ".join(sys.modules))
sys.exit(check.main())
"""
"""The script with its own arguments; what it has imported by the time it begins stays in a file."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[subprocess.CompletedProcess[str], Path]:
    """As a person runs it, of one model."""
    out = tmp_path_factory.mktemp("gpu") / "run"
    asked = ["--device", "cpu", "--small", "--models", "zoo:qwen", "--out", str(out), "--keep", str(out.parent)]
    command = [sys.executable, "-c", _AS_ASKED, str(SCRIPT), str(out.parent / "loaded"), *asked]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    return done, out


def test_every_step_is_made_and_none_fails(made: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    done, out = made
    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((out / "check.json").read_bytes())
    assert [step["step"] for step in told["steps"]] == [
        "open", "1 at a time", "8 at a time", "32 at a time", "clock", "trace overhead", "physical limits", "close",
        "memory",
    ]  # fmt: skip
    assert told["failures"] == []


def test_it_leaves_a_run_folder(made: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, out = made
    names = {path.name for path in out.iterdir()}
    assert {"run.json", "rows.jsonl", "summary.json", "state.json", "report.html", "trace.json", "check.json"} <= names


def test_the_summary_answers_what_the_check_asks(made: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, out = made
    (kept,) = out.parent.glob("gpu_check-*-cpu.json")
    told: dict[str, Any] = json.loads(kept.read_bytes())
    found = {one["metric"].partition("@")[0] for one in told["figures"]}
    assert {"ttft_p50", "tpot_p50", "e2e_p50", "roofline_share", "stage_peak", "predicted_over_measured"} <= found
    loads = {one["labels"]["concurrency"] for one in told["figures"] if one["metric"].startswith("ttft_p50")}
    assert loads == {"1", "8", "32"}
    exact = [line for line in told["memory"] if line["quantity"] == "exact"]
    assert exact and all(line["measured"] == line["predicted"] for line in exact)
    assert told["trace_overhead"]["pairs"] == 6 and told["room"][0]["requests_at_once"] > 0


def test_the_summary_names_no_place_on_this_machine(made: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, out = made
    text = (out / "check.json").read_text()
    assert str(out.parent) not in text and str(SCRIPT.parent) not in text and str(Path.home()) not in text


def test_it_needs_none_of_what_only_other_parts_need(made: tuple[subprocess.CompletedProcess[str], Path]) -> None:
    _, out = made
    loaded = (out.parent / "loaded").read_text().split()
    assert "torch" in loaded
    assert BROUGHT_ALONG & {name.partition(".")[0] for name in loaded} == set()


def test_a_step_that_breaks_is_a_line_and_the_next_is_made(check: ModuleType) -> None:
    async def broken() -> None:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    async def whole() -> int:
        return 7

    async def both() -> list[int | None]:
        return [await steps.run("m", "first", broken), await steps.run("m", "second", whole)]

    steps = check.Steps(time.monotonic() + 60)
    assert asyncio.run(both()) == [None, 7]
    assert steps.failures == ["m: first: RuntimeError: CUDA error: an illegal memory access was encountered"]


def test_a_step_that_takes_too_long_is_stopped_and_later_ones_are_not_begun(check: ModuleType) -> None:
    async def endless() -> None:
        await asyncio.sleep(60)

    async def both() -> None:
        await steps.run("m", "first", endless)
        await steps.run("m", "second", endless)

    steps = check.Steps(time.monotonic() + 0.2)
    asyncio.run(both())
    assert steps.failures == ["m: first: stopped after 0 s", "m: second: not begun: no time was left"]
