"""HTTP/1.1 (RFC 9112), as much as a server of small JSON requests needs: bytes in, whole requests out."""

from __future__ import annotations

from dataclasses import dataclass

MAX_HEAD = 64 << 10
MAX_BODY = 64 << 20
_REASONS = {
    200: "OK", 400: "Bad Request", 404: "Not Found", 405: "Method Not Allowed", 413: "Content Too Large",
    429: "Too Many Requests", 431: "Request Header Fields Too Large", 500: "Internal Server Error", 502: "Bad Gateway",
    503: "Service Unavailable", 504: "Gateway Timeout",
}  # fmt: skip

_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\n"
CHUNKED_HEAD = _STREAM + b"Transfer-Encoding: chunked\r\n\r\n"
CLOSING_HEAD = _STREAM + b"Connection: close\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"


class Malformed(Exception):
    """No request can be read from here on: answer `status` and close."""

    def __init__(self, status: int, complaint: str) -> None:
        super().__init__(complaint)
        self.status, self.complaint = status, complaint


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """path: without the query. keep: the connection stays open after the answer. chunks: the client knows chunked
    bodies (an HTTP/1.0 client does not, and reads to the end of the connection)."""

    method: str
    path: str
    body: bytes
    keep: bool
    chunks: bool


@dataclass(slots=True)
class _Head:
    method: str
    path: str
    keep: bool
    chunks: bool
    length: int | None
    expects: bool
    """length: of the body; None if it comes in chunks. expects: the client waits to be told to send it."""


class RequestReader:
    """Fed with what a connection brings; `next` gives a request once it is whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._head: _Head | None = None
        self._chunks: bytearray = bytearray()

    @property
    def waiting(self) -> int:
        """Bytes that no request has taken yet."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def expects_continue(self) -> bool:
        """Whether the client waits for leave to send the body; true once a request."""
        if self._head is None or not self._head.expects:
            return False
        self._head.expects = False
        return not self._buffer

    def next(self) -> HttpRequest | None:
        """Raises Malformed."""
        if self._head is None:
            self._head = self._read_head()
        head = self._head
        if head is None:
            return None
        body = self._counted(head.length) if head.length is not None else self._chunked()
        if body is None:
            return None
        self._head = None
        return HttpRequest(head.method, head.path, body, head.keep, head.chunks)

    def _read_head(self) -> _Head | None:
        while self._buffer.startswith(b"\r\n"):  # an empty line before a request is to be passed over
            del self._buffer[:2]
            self._searched = 0
        end = self._buffer.find(b"\r\n\r\n", self._searched)
        if end > MAX_HEAD or (end < 0 and len(self._buffer) > MAX_HEAD):
            raise Malformed(431, f"the request's head is longer than {MAX_HEAD} bytes")
        if end < 0:
            self._searched = max(0, len(self._buffer) - 3)
            return None
        lines = bytes(self._buffer[:end]).split(b"\r\n")
        del self._buffer[: end + 4]
        self._searched = 0
        return _parse_head(lines)

    def _counted(self, length: int) -> bytes | None:
        if len(self._buffer) < length:
            return None
        body = bytes(self._buffer[:length])
        del self._buffer[:length]
        return body

    def _chunked(self) -> bytes | None:
        while (end := self._buffer.find(b"\r\n")) >= 0:
            size = _hex(bytes(self._buffer[:end]).partition(b";")[0].strip())
            if len(self._chunks) + size > MAX_BODY:
                raise Malformed(413, f"the body is longer than {MAX_BODY} bytes")
            if size == 0:
                return self._last_chunk(end)
            if len(self._buffer) < end + 2 + size + 2:
                return None
            if self._buffer[end + 2 + size : end + 4 + size] != b"\r\n":
                raise Malformed(400, "a chunk is longer than it said")
            self._chunks += self._buffer[end + 2 : end + 2 + size]
            del self._buffer[: end + 4 + size]
        if len(self._buffer) > 4096:
            raise Malformed(400, "a chunk's first line is too long")
        return None

    def _last_chunk(self, end: int) -> bytes | None:
        """The body, once the empty chunk and any trailer fields have come."""
        if self._buffer[end + 2 : end + 4] == b"\r\n":
            stop = end + 4
        else:
            trailer = self._buffer.find(b"\r\n\r\n", end + 2)
            if trailer < 0:
                if len(self._buffer) > MAX_HEAD:
                    raise Malformed(431, f"the trailer is longer than {MAX_HEAD} bytes")
                return None
            stop = trailer + 4
        del self._buffer[:stop]
        body, self._chunks = bytes(self._chunks), bytearray()
        return body


def _parse_head(lines: list[bytes]) -> _Head:
    parts = lines[0].decode("latin-1").split(" ")
    if len(parts) != 3 or not parts[2].startswith("HTTP/1."):
        raise Malformed(400, "this is no HTTP/1 request")
    fields: dict[bytes, bytes] = {}
    for line in lines[1:]:
        name, colon, value = line.partition(b":")
        key = name.lower()
        if not colon or not name or name != name.strip():
            raise Malformed(400, "a header field cannot be read")
        if key in (b"content-length", b"transfer-encoding") and key in fields:
            raise Malformed(400, f"{key.decode()} stands twice")
        fields[key] = value.strip()
    coding, wish = fields.get(b"transfer-encoding"), fields.get(b"connection", b"").lower()
    if coding is not None and (coding.lower() != b"chunked" or b"content-length" in fields):
        raise Malformed(400, "the length of the body is ambiguous")
    length = None if coding is not None else _decimal(fields.get(b"content-length", b"0"))
    chunks = parts[2] != "HTTP/1.0"
    keep = wish != b"close" and chunks
    expects = fields.get(b"expect", b"").lower() == b"100-continue"
    return _Head(parts[0], parts[1].partition("?")[0], keep, chunks, length, expects)


def _decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 18:
        raise Malformed(400, "content-length is no number")
    if (length := int(text)) > MAX_BODY:
        raise Malformed(413, f"the body is longer than {MAX_BODY} bytes")
    return length


def _hex(text: bytes) -> int:
    if not text or len(text) > 15 or text.strip(b"0123456789abcdefABCDEF"):
        raise Malformed(400, "a chunk's size is no number")
    return int(text, 16)


def answer(status: int, body: bytes, *, kind: str = "application/json", keep: bool = True) -> bytes:
    """A whole answer."""
    reason = _REASONS.get(status, "Error" if status >= 400 else "OK")
    close = "" if keep else "Connection: close\r\n"
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{close}\r\n"
    return head.encode() + body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
