"""The pieces of the openai engine that need no server."""

from __future__ import annotations

import time
from email.utils import formatdate
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.engines.openai import sse
from fourways.engines.openai.retry import LONGEST_S, pause_s, retry_after_s
from fourways.engines.openai.sse import EventSplitter, EventTooLarge
from fourways.engines.openai.wire import complaint


def _read(chunks: list[bytes]) -> list[bytes]:
    splitter = EventSplitter()
    return [event for chunk in chunks for event in splitter.feed(chunk)]


@given(
    lines=st.lists(
        st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=12), min_size=1, max_size=6
    ),
    ending=st.sampled_from(["\n", "\r\n"]),
    cuts=st.lists(st.integers(0, 200), max_size=8),
)
@settings(max_examples=200, deadline=None)
def test_events_do_not_depend_on_how_the_bytes_arrive(lines: list[str], ending: str, cuts: list[int]) -> None:
    stream = "".join(f": comment{ending}event: x{ending}data: {line}{ending}{ending}" for line in lines).encode()
    edges = sorted({0, len(stream), *(min(cut, len(stream)) for cut in cuts)})
    chunks = [stream[a:b] for a, b in pairwise(edges)]
    assert _read(chunks) == [line.encode() for line in lines]


def test_several_data_lines_are_one_event_and_a_cut_off_event_is_none() -> None:
    assert _read([b"data: a\ndata:b\n\n", b"data: lost"]) == [b"a\nb"]


def test_a_byte_order_mark_and_an_empty_line_of_data_change_no_event() -> None:
    assert _read([b"\xef", b"\xbb\xbfdata: a\n\n", b"data: b\n\n"]) == [b"a", b"b"]
    assert _read([b"data:\n", b"data: x\n\n"]) == [b"\nx"]


@pytest.mark.parametrize("piece", [b"x", b"data:x\n", b": x\ndata:x\n"])
def test_an_event_without_end_is_given_up_in_time_that_grows_with_its_length_only(
    piece: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 1 << 20)
    splitter, before = EventSplitter(), time.thread_time()
    splitter.feed(b"data: a")
    with pytest.raises(EventTooLarge):
        for _ in range(2 << 20):
            splitter.feed(piece)
    assert time.thread_time() - before < 20, "quadratic, it would take minutes"


def test_the_pause_doubles_is_the_requests_own_and_obeys_the_server() -> None:
    assert pause_s(1, 3.0, "r") == 3.0 and pause_s(1, 9e9, "r") == LONGEST_S
    assert pause_s(2, None, "r") == pause_s(2, None, "r") != pause_s(2, None, "s")
    assert all(0.125 * 2**n <= pause_s(n, None, "r") < 0.375 * 2**n for n in range(1, 6))


@pytest.mark.parametrize(("value", "seconds"), [("7", 7.0), ("0", 0.0), ("", None), ("soon", None), ("-3", None)])
def test_retry_after_is_read_as_seconds(value: str, seconds: float | None) -> None:
    assert retry_after_s({"retry-after": value}) == seconds


def test_retry_after_is_read_as_a_date() -> None:
    assert retry_after_s({"retry-after": formatdate(time.time() + 30, usegmt=True)}) == pytest.approx(30, abs=2)
    assert retry_after_s({"retry-after": formatdate(time.time() - 30, usegmt=True)}) == 0.0


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'{"error": {"message": "no"}}', "no"),
        (b'{"error": "no"}', "no"),
        (b'{"detail": "no"}', "no"),
        (b'{"message": "no", "code": 400}', "no"),
        (b'{"detail": [{"msg": "no"}]}', '[{"msg":"no"}]'),
        (b"{}", "{}"),
        (b"plain text", "plain text"),
        (b'{"error": {"message": 5}}', '{"error": {"message": 5}}'),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b'{"detail": ' + b"[" * 100_000, '{"detail": ' + "[" * 989),
    ],
)
def test_a_complaint_is_found_in_every_usual_form(content: bytes, says: str) -> None:
    assert complaint(content) == says
