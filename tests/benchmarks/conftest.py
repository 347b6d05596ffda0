from __future__ import annotations

import base64
import io
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from PIL import Image

from fourways.benchmarks.contract import Benchmark, ReplyContext, Sample
from fourways.core.rows import AnswerRow

Answer = Callable[[Benchmark, Sample, str], AnswerRow]


@pytest.fixture
def jpeg() -> Callable[[int], bytes]:
    """JPEG bytes that differ by number."""

    def make(number: int, size: tuple[int, int] = (48, 32)) -> bytes:
        out = io.BytesIO()
        Image.new("RGB", size, (number * 37 % 256, number * 91 % 256, number % 256)).save(out, "JPEG")
        return out.getvalue()

    return make


@pytest.fixture
def answer() -> Answer:
    """The row of a reply, as the accuracy axis makes it."""

    def make(benchmark: Benchmark, sample: Sample, reply: str) -> AnswerRow:
        parsed = benchmark.parse(sample, reply, ReplyContext(None, ()))
        return AnswerRow(
            candidate="c", benchmark=benchmark.key, sample=sample.id, group=sample.group, image=sample.image_key,
            category=sample.category, question=sample.question, gold=sample.gold, reply=reply, parsed=parsed,
            score=benchmark.score(sample, parsed), status="unparsed" if parsed is None else "ok", finish_reason="stop",
            mean_logprob=None, output_tokens=1, visuals=(), prompt_sha256="", seed=0, extra=sample.extra,
        )  # fmt: skip

    return make


@pytest.fixture
def write_tsv(tmp_path: Path) -> Callable[[Sequence[dict[str, object]]], Path]:
    """A TSV as pandas writes it."""

    def write(rows: Sequence[dict[str, object]]) -> Path:
        def cell(value: object) -> str:
            text = base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)
            quoted = any(mark in text for mark in '\t\n"\r')
            return '"' + text.replace('"', '""') + '"' if quoted else text

        path = tmp_path / "table.tsv"
        lines = ["\t".join(rows[0]), *("\t".join(cell(row[name]) for name in rows[0]) for row in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write
