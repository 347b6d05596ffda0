"""What a command does not need it does not import: what runs models takes seconds of a processor."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from fourways.load.mock import MockSettings, running

WRONG = [
    ["load", "zoo:qwen", "--slo", "fast"],
    ["load", "zoo:qwen", "--concurrency", "many"],
    ["load", "zoo:qwen", "--rate", "x"],
    ["load", "zoo:qwen", "--ramp", "1"],
    ["load", "zoo:qwen", "--dtype", "int3"],
    ["load", "zoo:qwen", "--search", "rate"],
    ["load", "zoo:qwen", "--price-per-hour", "much"],
    ["load", "zoo:qwen", "--rate", "1", "--concurrency", "1"],
    ["memory", "zoo:qwen", "--images", "wide"],
    ["memory", "zoo:qwen", "--dtype", "int3"],
    ["memory", "zoo:qwen", "--quant", "int2"],
    ["memory", "zoo:qwen", "--lora", "16"],
    ["memory", "zoo:qwen", "--device", "tpu"],
    ["memory", "zoo:qwen", "--card", "8GB", "--device", "cpu"],
]
_EACH = """
import json, sys
from fourways.cli.main import app
ended = []
for words in json.loads(sys.argv[1]):
    sys.argv = ["fourways", *words]
    try:
        app(words, standalone_mode=False)
        name = "done"
    except (Exception, SystemExit) as error:
        name = type(error).__name__
    ended.append([name, sorted({"torch", "transformers", "mlflow"} & set(sys.modules))])
print(json.dumps(ended), file=sys.stderr)
"""


def ended(commands: list[list[str]], folder: Path) -> list[tuple[str, list[str]]]:
    """How each of these ended, one after the other in one process, and which heavy packages were imported by then."""
    run = subprocess.run(
        [sys.executable, "-c", _EACH, json.dumps(commands)], capture_output=True, text=True, check=True, cwd=folder
    )
    return [(name, heavy) for name, heavy in json.loads(run.stderr.splitlines()[-1])]


def test_a_wrong_word_is_told_before_what_runs_models_is_imported(tmp_path: Path) -> None:
    found = ended(WRONG, tmp_path)
    assert [(words, *found[n]) for n, words in enumerate(WRONG) if found[n] != ("UserError", [])] == []


def test_a_server_is_loaded_and_its_run_read_without_what_runs_models(tmp_path: Path) -> None:
    with running(MockSettings(ttft_ms=1, gap_ms=0.1)) as server:
        load = ["load", f"m={server.url}", "--concurrency", "1", "--requests", "4", "--blocks", "1", "--out", "run"]
        commands = [
            [*load, "--dry-run"],
            load,
            ["export", "run", "--to", "benchstat", "--out", "bench"],
            ["export", "run", "--to", "csv", "--out", "tables"],
            ["verify", "run", "--unsigned"],
            ["evidence", "table", "run"],
            ["diff", "run", "run"],
        ]
        *found, merged = ended([*commands, ["merge", "whole", "run"]], tmp_path)
    assert found == [("done", [])] * len(commands)
    assert merged == ("UserError", []), "what was loaded is no shard"
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_server_is_checked_without_what_runs_models(tmp_path: Path) -> None:
    with running(MockSettings(ttft_ms=1, gap_ms=0.1)) as server:
        words = ["models", "check", "--url", server.url, "--model", "mock", "--json", "--junit", "check.xml"]
        assert ended([words], tmp_path) == [("done", [])]
    assert (tmp_path / "check.xml").is_file()
