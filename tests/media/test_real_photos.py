"""Real photographs with questions, from a folder that the person running the tests names."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pil

from fourways.media import read_image

VARIABLE = "FOURWAYS_TEST_MEDIA"
PHOTOS = (".jpg", ".jpeg", ".png", ".webp")


@pytest.fixture(scope="module")
def folder() -> Path:
    value = os.environ.get(VARIABLE)
    if not value:
        pytest.skip(
            f"{VARIABLE} is not set: it names a folder of photographs with a samples.json of questions about them"
        )
    return Path(value)


def test_every_photograph_is_read_as_another_reader_sees_it(folder: Path) -> None:
    photos = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in PHOTOS]
    assert photos, f"{VARIABLE} holds no photographs"
    for path in photos:
        image = read_image(path.read_bytes(), name=path.name)
        plain = Pil.open(io.BytesIO(image.source))
        assert image.pixels.std() > 1, path.name
        if plain.getexif().get(0x0112, 1) == 1 and plain.mode == "RGB":
            assert np.array_equal(image.pixels, np.asarray(plain)), path.name


def test_every_question_is_about_a_photograph_that_can_be_read(folder: Path) -> None:
    samples = json.loads((folder / "samples.json").read_text(encoding="utf-8"))
    assert samples
    for sample in samples:
        image = read_image((folder / sample["image"]).read_bytes(), name=sample["image"])
        assert image.width >= 16 and image.height >= 16
        assert sample["question"] and sample["answer"]
