"""docs/benchmarks.md names every benchmark, its primary figure, and the prompts that are sent."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fourways.benchmarks import registry
from fourways.benchmarks.contract import Sample

PAGE = (Path(__file__).resolve().parents[2] / "docs/benchmarks.md").read_text("utf-8")
DIALECTS = ("qwen2-vl", "qwen2.5-vl", "qwen3-vl", "llava-next", "internvl", "generic")


@pytest.mark.parametrize("key", [*registry.keys(), "choice:NAME", "yes_no:NAME", "open:NAME"])
def test_every_benchmark_stands_in_the_table_with_its_primary_figure(key: str) -> None:
    row, *_ = [line for line in PAGE.splitlines() if line.startswith("| `") and f"`{key}`" in line.split("|")[1]]
    assert f"`{registry.get(key).primary}`" in row


@pytest.mark.parametrize("key", [*registry.keys(), "choice:x", "yes_no:x", "open:x"])
def test_what_is_added_to_a_question_stands_on_the_page(key: str) -> None:
    options = {"A": "one", "B": "two"} if key.startswith(("mmbench", "choice", "mmstar")) else {}
    extra = {"options": "inside"} if key == "mmstar" else {}
    question = "Red? Please answer yes or no." if key == "mme" else "Red?"
    sample = Sample(
        "1", "1", "k", bytes, question, (), options=options, extra=extra, language="zh" if key == "mmbench_cn" else "en"
    )
    for dialect in DIALECTS:
        asked = registry.get(key).prompt(sample, dialect)
        closing = asked.removeprefix(sample.question).removeprefix("Red?").rsplit("\n", 1)[-1].strip()
        closing = re.sub(r"(<ref>)?Red\?(</ref>)?.*", "", closing).strip(' "')
        assert closing in PAGE, (dialect, asked)
