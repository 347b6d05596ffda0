"""Requests encoded ahead: far enough, no further, and never in another's place."""

from __future__ import annotations

import asyncio
import io
import threading
import time

import numpy as np
import pytest
from PIL import Image as Pil

from fourways.core.conversation import Conversation, Image
from fourways.core.request import Generate, Plan, Request
from fourways.load import ahead
from fourways.load.ahead import Ahead
from fourways.media import read_image


def picture(seed: int = 0) -> Image:
    out = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    Pil.fromarray(pixels).save(out, "PNG")
    return read_image(out.getvalue(), name="picture")


def requests(count: int) -> dict[int, Request]:
    image = picture()
    return {i: Request(f"r{i}", Conversation.ask("Hi", image), Plan("c"), Generate(1)) for i in range(count)}


class Encoder:
    def __init__(self, seconds: float = 0.0, broken: str = "") -> None:
        self.seen: list[str] = []
        self._seconds, self._broken = seconds, broken

    def encode_ahead(self, request: Request) -> Request:
        time.sleep(self._seconds)
        if request.id == self._broken:
            raise ValueError("odd")
        self.seen.append(request.id)
        return Request(f"made {request.id}", request.conversation, request.plan, request.output)


async def settled(encoder: Encoder, at_least: int) -> int:
    until = time.monotonic() + 5
    while len(encoder.seen) < at_least and time.monotonic() < until:
        time.sleep(0.01)
    time.sleep(0.05)
    return len(encoder.seen)


async def test_it_begins_when_it_is_as_far_ahead_as_it_may_be_and_keeps_that_distance() -> None:
    encoder = Encoder()
    async with Ahead(encoder, requests(100)) as made:
        assert await settled(encoder, ahead.MOST) == ahead.MOST
        for index in range(10):
            request = made.take(index)
            assert request is not None and request.id == f"made r{index}"
        assert await settled(encoder, ahead.MOST + 10) == ahead.MOST + 10


async def test_bytes_bound_it_too_but_one_request_is_always_made(monkeypatch: pytest.MonkeyPatch) -> None:
    own = requests(5)
    monkeypatch.setattr(ahead, "MOST_BYTES", len(own[0].conversation.visuals[0].source) - 1)
    encoder = Encoder()
    async with Ahead(encoder, own) as made:
        for index in range(5):
            assert await settled(encoder, index + 1) == index + 1
            assert made.take(index) is not None


async def test_a_request_taken_before_its_turn_is_left_as_it_is_and_the_later_ones_go_on() -> None:
    encoder = Encoder(seconds=0.01)
    async with Ahead(encoder, requests(ahead.MOST + 20)) as made:
        taken = [made.take(index) for index in range(ahead.MOST + 20)]
    assert all(request is not None for request in taken[: ahead.MOST])
    assert all(request is None or request.id == f"made r{index}" for index, request in enumerate(taken))
    assert None in taken


async def test_what_cannot_be_encoded_is_left_for_the_engine_to_refuse() -> None:
    async with Ahead(Encoder(broken="r1"), requests(3)) as made:
        assert [made.take(index) is not None for index in range(3)] == [True, False, True]


async def test_a_picture_that_can_no_longer_be_read_holds_nothing_up() -> None:
    class Gone(Image):
        __slots__ = ()

        @property
        def source(self) -> bytes:
            raise OSError("gone")

    own = requests(3)
    image = own[1].conversation.visuals[0]
    lost = Gone.__new__(Gone)
    object.__setattr__(lost, "source_sha256", image.source_sha256)
    own[1] = Request("r1", Conversation.ask("Hi", lost), Plan("c"), Generate(1))
    async with asyncio.timeout(5), Ahead(Encoder(), own) as made:
        assert [made.take(index) is not None for index in range(3)] == [True, False, True]


async def test_its_thread_ends_with_it() -> None:
    before = threading.active_count()
    async with Ahead(Encoder(), requests(200)):
        pass
    until = time.monotonic() + 5
    while any(thread.name == "load-ahead" for thread in threading.enumerate()) and time.monotonic() < until:
        time.sleep(0.01)
    assert not any(thread.name == "load-ahead" for thread in threading.enumerate())
    assert threading.active_count() <= before + 1  # asyncio keeps the thread that waited
