"""Files made to crash, stall or fill the process. Made and read in processes of their own."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
MIB = 1 << 20


def run(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(HERE / script), str(folder)], capture_output=True, text=True, timeout=240, check=False
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("hostile")
    made = run("hostile.py", where)
    assert made.returncode == 0, made.stderr
    return where


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of resident memory is read from /proc, which this system lacks")
    read = run("probe.py", folder)
    assert read.returncode == 0, f"reading hostile files ended the process: {read.stderr[-2000:]}"
    assert read.stderr == "", "a decoder wrote to the terminal"
    result: dict[str, Any] = json.loads(read.stdout)
    return result


def test_every_hostile_file_ends_as_it_should(folder: Path, report: dict[str, Any]) -> None:
    expected = json.loads((folder / "expected.json").read_text())
    files = report["files"]
    assert len(files) == len(expected) >= 40
    wrong = {name: files[name]["outcome"] for name in expected if not re.search(expected[name], files[name]["outcome"])}
    assert wrong == {}


def test_every_error_names_its_sample_and_holds_no_decoders_text(report: dict[str, Any]) -> None:
    errors = {name: f["outcome"] for name, f in report["files"].items() if f["outcome"] != "ok"}
    assert [name for name, text in errors.items() if not text.startswith(f"{name}: ")] == []
    assert [
        text for text in errors.values() if re.search(r"\b0x[0-9a-f]{4}|BytesIO|object at|Errno|Traceback", text)
    ] == []


def test_memory_grows_by_less_than_200_mib(report: dict[str, Any]) -> None:
    by_file = {name: f["growth"] // MIB for name, f in report["files"].items() if f["growth"] > MIB}
    assert report["growth"] < 200 * MIB, by_file


def test_no_file_stalls_the_reader(report: dict[str, Any]) -> None:
    assert {name: f["seconds"] for name, f in report["files"].items() if f["seconds"] > 20} == {}
