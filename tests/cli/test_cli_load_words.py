"""`fourways load`: a wrong word costs no seconds."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "words",
    [["--slo", "fast"], ["--concurrency", "many"], ["--rate", "x"], ["--ramp", "1"], ["--dtype", "int3"],
     ["--search", "rate"], ["--price-per-hour", "much"], ["--rate", "1", "--concurrency", "1"]],
)  # fmt: skip
def test_a_wrong_word_of_load_is_told_before_what_runs_models_is_imported(words: list[str]) -> None:
    code = (
        "import sys\nfrom fourways.cli.main import app\n"
        "try: app(sys.argv[1:], standalone_mode=False)\n"
        "except Exception as error: print(type(error).__name__, 'torch' in sys.modules)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code, "load", "zoo:qwen", *words], capture_output=True, text=True, check=True
    )
    assert run.stdout.split() == ["UserError", "False"], run.stderr
