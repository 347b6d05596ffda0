"""What the shipped catalogue unpacks, and hands to a suite, is what the benchmarks' readers read: small contents in the
published shape, pulled from a local server by the shipped rules."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from fourways.benchmarks import registry
from fourways.benchmarks.contract import Sample
from fourways.hub import data
from fourways.hub.data import Silent, Wish, choose, load_catalogue, pull

Offer = Callable[[str, dict[str, bytes]], list[Sample]]


def picture() -> bytes:
    held = io.BytesIO()
    Image.new("RGB", (64, 48), "teal").save(held, "JPEG")
    return held.getvalue()


def archive(members: dict[str, bytes]) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as opened:
        for name, content in members.items():
            opened.writestr(name, content)
    return held.getvalue()


@pytest.fixture
def offer(home: Path, web: Any, kit: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Offer:
    """The shipped edition with these contents behind its files; pulled and read."""

    def read(word: str, contents: dict[str, bytes]) -> list[Sample]:
        monkeypatch.delenv("FOURWAYS_DATA_CATALOGUE", raising=False)
        shipped = json.loads((Path(data.__file__).parent / "catalogue.json").read_bytes())
        key, edition = word.split(":")
        entry = shipped["benchmarks"][key][edition]
        assert set(entry["files"]) == set(contents)
        for number, (name, file) in enumerate(entry["files"].items()):
            web.pages[f"/{number}"] = kit.Page(contents[name])
            rule = {"unzip": file["unzip"]} if "unzip" in file else {}
            own = {"direct": f"{web.url}/{number}", "sha256": kit.sha256(contents[name])}
            entry["files"][name] = {**own, **rule}
        shipped["benchmarks"] = {key: {edition: entry}}
        (tmp_path / "c.json").write_text(json.dumps(shipped))
        monkeypatch.setenv("FOURWAYS_DATA_CATALOGUE", str(tmp_path / "c.json"))
        place = pull(choose(load_catalogue(), word), Wish(), Silent())
        return list(registry.get(key).read(place))

    return read


def questions(split: str, image_id: int) -> bytes:
    asked = {"question_id": image_id * 10, "image_id": image_id, "question": "What colour is it?"}
    return json.dumps({"data_subtype": split, "questions": [asked]}).encode()


def test_vqav2_with_the_pictures_of_val(offer: Offer) -> None:
    answers = [{"answer": "teal", "answer_confidence": "yes", "answer_id": n} for n in range(1, 11)]
    told = {"question_id": 70, "image_id": 7, "question_type": "what color", "answer_type": "other", "answers": answers}
    annotations = json.dumps({"annotations": [{**told, "multiple_choice_answer": "teal"}]}).encode()
    (sample,) = offer(
        "vqav2:val",
        {
            "v2_Questions_Val_mscoco.zip": archive({"v2_OpenEnded_mscoco_val2014_questions.json": questions("v", 7)}),
            "v2_Annotations_Val_mscoco.zip": archive({"v2_mscoco_val2014_annotations.json": annotations}),
            "val2014.zip": archive({"val2014/": b"", "val2014/COCO_val2014_000000000007.jpg": picture()}),
        },
    )
    assert (sample.id, sample.gold[0], sample.image()) == ("70", "teal", picture())


def test_vqav2_test_dev_with_the_pictures_of_test(offer: Offer) -> None:
    both = {
        f"v2_OpenEnded_mscoco_{split}_questions.json": questions(split, 9) for split in ("test2015", "test-dev2015")
    }
    (sample,) = offer(
        "vqav2:test-dev",
        {
            "v2_Questions_Test_mscoco.zip": archive(both),
            "test2015.zip": archive({"test2015/COCO_test2015_000000000009.jpg": picture()}),
        },
    )
    assert (sample.gold, sample.image()) == ((), picture())


def test_refcoco_with_the_pictures_of_train(offer: Offer) -> None:
    place = "data/coco/train2014/COCO_train2014_000000000005.jpg"
    line = json.dumps({"image": place, "sent": "the teal one", "bbox": [1, 2, 30, 40], "width": 64, "height": 48})
    files = {name: line.encode() for name in choose(load_catalogue(), "refcoco:qwen-vl").edition.files}
    files["train2014.zip"] = archive({place.removeprefix("data/coco/"): picture()})
    samples = offer("refcoco:qwen-vl", files)
    assert len({sample.category for sample in samples}) == 8
    assert all(sample.image() == picture() for sample in samples)


def test_mme_as_the_official_folder(offer: Offer) -> None:
    home = "MME_Benchmark_release_version/MME_Benchmark"
    text = b"Is it teal? Please answer yes or no.\tYes\nIs it red? Please answer yes or no.\tNo\n"
    members = {
        f"{home}/color/7.jpg": picture(),
        f"{home}/color/7.txt": text,
        f"{home}/OCR/8.jpg": picture(),
        f"{home}/OCR/8.txt": text,
        "__MACOSX/MME_Benchmark_release_version/._color": b"x",
    }
    samples = offer("mme:release", {"MME_Benchmark_release_version.zip": archive(members)})
    assert sorted((sample.category, sample.gold[0]) for sample in samples) == [
        ("OCR", "no"), ("OCR", "yes"), ("color", "no"), ("color", "yes"),
    ]  # fmt: skip


def test_realworldqa_in_two_shards(offer: Offer) -> None:
    def shard(number: int) -> bytes:
        row = {
            "image": {"bytes": picture(), "path": None},
            "question": f"How many cars, {number}?",
            "answer": str(number),
            "image_path": f"{number}.webp",
        }
        held = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([row]), held)
        return held.getvalue()

    samples = offer("realworldqa:xai", {f"test-0000{n}-of-00002.parquet": shard(n) for n in (0, 1)})
    assert [sample.gold for sample in samples] == [("0",), ("1",)]
