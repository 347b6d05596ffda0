"""The fixed workload: distinct pictures, other ones to warm up, exactly 32 tokens."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image as Pil

from fourways.core.errors import MediaError, UserError
from fourways.core.request import Generate, Plan
from fourways.load import describe_32


def picture(index: int, kind: str = "PNG", level: int = 6) -> bytes:
    pixels = np.random.default_rng(index).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Pil.fromarray(pixels).save(out, kind, compress_level=level)
    return out.getvalue()


def test_measured_and_warm_up_pictures_are_all_distinct() -> None:
    workload = describe_32(map(picture, range(100)), count=20, warm_up=5)
    hashes = [image.content_hash for image in (*workload.images, *workload.warmed_by)]
    assert (len(workload.images), len(workload.warmed_by), len(set(hashes))) == (20, 5, 25)


def test_the_same_pixels_in_another_file_count_once() -> None:
    sources = [picture(0, level=1), picture(0, level=9), picture(1), picture(2)]
    assert len(describe_32(sources, count=2, warm_up=1).images) == 2
    with pytest.raises(UserError, match="needs 4 distinct pictures, got 3"):
        describe_32(sources, count=3, warm_up=1)


def test_no_more_pictures_are_read_than_needed() -> None:
    taken = []
    describe_32((taken.append(i) or picture(i) for i in range(100)), count=3, warm_up=2)  # type: ignore[func-returns-value]  # append returns None
    assert taken == [0, 1, 2, 3, 4]


def test_every_request_is_for_exactly_32_new_tokens_with_its_own_seed() -> None:
    workload = describe_32(map(picture, range(3)), count=2, warm_up=1)
    one, two = (workload.request(image, Plan("c"), id=f"{i}", seed=7) for i, image in enumerate(workload.images))
    assert isinstance(one.output, Generate) and isinstance(two.output, Generate)
    assert (one.output.max_tokens, one.output.min_tokens, one.output.ignore_eos) == (32, 32, True)
    assert one.output.seed != two.output.seed
    assert one.conversation.visuals == [workload.images[0]]


def test_a_bad_picture_is_named() -> None:
    with pytest.raises(MediaError, match="describe-32, picture 1"):
        describe_32([picture(0), b"nonsense"], count=2, warm_up=0)
