from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from fourways.benchmarks.answers.boxes import render
from fourways.benchmarks.contract import ReplyContext, Sample
from fourways.benchmarks.refcoco import RefCOCO
from fourways.core.boxes import BoxFormat
from fourways.core.engine import Capability, EngineInfo
from fourways.core.errors import BenchmarkFormatError
from fourways.core.events import VisualGeometry
from fourways.core.rows import AnswerRow

Answer = Callable[..., AnswerRow]
BENCHMARK = RefCOCO()


def line(image: str = "images/1.jpg", bbox: tuple[float, ...] = (4, 4, 20, 20), **more: object) -> str:
    return json.dumps({"image": image, "sent": "the dog", "bbox": bbox, "width": 48, "height": 32, **more}) + "\n"


@pytest.fixture
def folder(tmp_path: Path, jpeg: Callable[[int], bytes]) -> Path:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/1.jpg").write_bytes(jpeg(1))
    (tmp_path / "refcoco_testA.jsonl").write_text(line())
    (tmp_path / "refcoco_val.jsonl").write_text(line() + "\n" + line("1.jpg", (0, 0, 10, 10)) + line())
    return tmp_path


def test_a_folder_holds_splits_in_the_published_order(folder: Path, jpeg: Callable[[int], bytes]) -> None:
    samples = list(BENCHMARK.read(folder))
    assert [s.id for s in samples] == ["refcoco_val/1", "refcoco_val/3", "refcoco_val/4", "refcoco_testA/1"]
    assert samples[0].gold == (4, 4, 20, 20) and samples[0].category == "refcoco_val"
    assert samples[1].image() == jpeg(1)


def test_a_file_is_one_split(folder: Path) -> None:
    assert [s.id for s in BENCHMARK.read(folder / "refcoco_testA.jsonl")] == ["refcoco_testA/1"]


def test_the_mean_is_over_splits_not_over_expressions(folder: Path, answer: Answer) -> None:
    """val: 1 of 3, testA: 1 of 1. The replies use the format that the generic prompt states."""
    stated = BoxFormat("norm_1000", "brackets")
    right = {"refcoco_val/1", "refcoco_testA/1"}
    rows = [
        answer(BENCHMARK, s, render((4, 4, 20, 20), stated, (48, 32)) if s.id in right else "there")
        for s in BENCHMARK.read(folder)
    ]
    assert [row.status for row in rows] == ["ok", "unparsed", "unparsed", "ok"]
    metrics = {(m.name, m.labels.get("category", "")): m for m in BENCHMARK.metrics(rows)}
    mean = metrics["acc@0.5", ""]
    assert mean.primary
    assert sum(p.coefficient * sum(p.values) / len(p.values) for p in mean.parts) == pytest.approx((1 / 3 + 1) / 2)
    iou = metrics["mean_iou", ""].parts[0].values
    assert iou == pytest.approx((1, 0, 0, 1), abs=0.05)


def test_the_declared_format_and_the_seen_size_decide() -> None:
    sample = Sample("s", "g", "k", bytes, "x", (0, 0, 320, 240), extra={"width": "640", "height": "480"})
    seen = VisualGeometry((640, 480), (308, 224), 1, 1, False)
    reply = '```json\n[{"bbox_2d": [0, 0, 154, 112], "label": "x"}]\n```'
    qwen = ReplyContext(BoxFormat("seen_pixels", "json_bbox_2d"), (seen,))
    assert BENCHMARK.score(sample, BENCHMARK.parse(sample, reply, qwen)) == 1.0
    thousandths = ReplyContext(BoxFormat("norm_1000", "json_bbox_2d"), (seen,))
    assert BENCHMARK.score(sample, BENCHMARK.parse(sample, reply, thousandths)) == 0.0


def test_a_box_that_cannot_be_mapped_is_undefined_not_wrong() -> None:
    def said(dialect: str, box_format: BoxFormat | None, *capabilities: Capability) -> str | None:
        return BENCHMARK.undefined(EngineInfo("e", dialect, box_format, frozenset(capabilities), {}))

    pixels, thousandths = BoxFormat("seen_pixels", "json_bbox_2d"), BoxFormat("norm_1000", "double_brackets")
    assert "does not tell its size" in (said("qwen2.5-vl", pixels, "generate") or "")
    assert "how qwen2.5-vl writes boxes" in (said("qwen2.5-vl", None, "generate") or "")
    assert said("qwen2.5-vl", pixels, "generate", "visual_features") is None
    assert said("internvl", thousandths, "generate") is None
    assert said("generic", None, "generate") is None


def test_prompts_are_the_families_own() -> None:
    sample = Sample("s", "g", "k", bytes, "the {odd} dog", ())
    sentence = "Please provide the bounding box coordinate of the region this sentence describes: "
    qwen = "Locate the {odd} dog in this image and output the bbox coordinates in JSON format."
    assert BENCHMARK.prompt(sample, "qwen2.5-vl") == qwen
    assert BENCHMARK.prompt(sample, "internvl") == f"{sentence}<ref>the {{odd}} dog</ref>"
    assert BENCHMARK.prompt(sample, "llava-next") == f"{sentence}the {{odd}} dog"
    assert '"the {odd} dog"' in BENCHMARK.prompt(sample, "qwen3-vl")
    assert "0 to 1000" in BENCHMARK.prompt(sample, "generic")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not json\n", "line 1"),
        (line().replace('"sent"', '"sentence"'), "sent"),
        (line(bbox=(4, 4, 4, 20)), "not x1 < x2"),
        (line(bbox=(4, 4, 20)), "line 1"),
        (line(image="/etc/passwd"), "does not stay below"),
        (line(image="../../x.jpg"), "does not stay below"),
        (line(image="images/2.jpg"), "not found"),
    ],
)
def test_an_ill_formed_line_is_named(folder: Path, text: str, said: str) -> None:
    (folder / "refcoco_val.jsonl").write_text(text)
    with pytest.raises(BenchmarkFormatError, match=said) as caught:
        list(BENCHMARK.read(folder))
    assert "refcoco_val.jsonl, line 1" in caught.value.message


def test_a_folder_without_splits_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFormatError, match=r"no \.jsonl"):
        list(BENCHMARK.read(tmp_path))
