"""The mock server reads HTTP/1.1: whole requests however their bytes arrive, and refuses what is no request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.load.mock.http import MAX_BODY, MAX_HEAD, HttpRequest, Malformed, RequestReader


def counted(body: bytes) -> bytes:
    return b"POST /v1/x?y=1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


def in_chunks(body: bytes, size: int) -> bytes:
    parts = [body[at : at + size] for at in range(0, len(body), size)]
    coded = b"".join(b"%X;note=1\r\n%b\r\n" % (len(part), part) for part in parts)
    return b"POST /v1/x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + coded + b"0\r\nTrailer: t\r\n\r\n"


def read_all(data: bytes, cuts: list[int]) -> list[HttpRequest]:
    reader, found, start = RequestReader(), list[HttpRequest](), 0
    for end in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        reader.feed(data[start:end])
        start = end
        while (request := reader.next()) is not None:
            found.append(request)
    assert reader.waiting == 0
    return found


@given(
    st.lists(st.tuples(st.binary(max_size=60), st.integers(0, 20)), min_size=1, max_size=4),
    st.lists(st.integers(0, 1000), max_size=12),
)
def test_requests_are_the_same_however_the_bytes_are_cut(wanted: list[tuple[bytes, int]], cuts: list[int]) -> None:
    data = b"".join(in_chunks(body, size) if size else counted(body) for body, size in wanted)
    found = read_all(data, cuts)
    assert [request.body for request in found] == [body for body, _ in wanted]
    assert {(request.method, request.path, request.keep) for request in found} == {("POST", "/v1/x", True)}


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"GET / HTTP/2\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (MAX_BODY + 1), 413),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % (MAX_BODY + 1), 413),
        (b"GET / HTTP/1.1\r\nA: " + b"a" * MAX_HEAD, 431),
    ],
)
def test_what_is_no_request_or_too_large_is_refused(data: bytes, status: int) -> None:
    reader = RequestReader()
    reader.feed(data)
    with pytest.raises(Malformed) as caught:
        reader.next()
    assert caught.value.status == status


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_fail_otherwise(data: bytes) -> None:
    reader = RequestReader()
    reader.feed(data)
    try:
        while reader.next() is not None:
            pass
    except Malformed as error:
        assert 400 <= error.status < 500


def test_a_client_that_waits_for_leave_is_told_once() -> None:
    reader = RequestReader()
    reader.feed(b"POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
    assert reader.next() is None
    assert [reader.expects_continue(), reader.expects_continue()] == [True, False]
    reader.feed(b"ok")
    request = reader.next()
    assert request is not None and request.body == b"ok"


def test_a_client_of_http_1_0_gets_no_chunks_and_no_second_request() -> None:
    reader = RequestReader()
    reader.feed(b"GET /health HTTP/1.0\r\n\r\n")
    request = reader.next()
    assert request is not None and not request.keep and not request.chunks
