"""A real HTTP(S) server on this machine whose pages misbehave as they are told, and catalogues that point at it."""

from __future__ import annotations

import hashlib
import json
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHUNK = 1 << 14


@dataclass
class Page:
    """breaks_at: the connection is closed after so many bytes of the body, one entry an answer. statuses: answered
    first, one each. declares: a Content-Length that need not be true; -1: none."""

    body: bytes = b""
    etag: str | None = '"v1"'
    breaks_at: list[int] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    redirect: str | None = None
    ignores_range: bool = False
    ignores_if_range: bool = False
    declares: int | None = None
    pause_s: float = 0.0
    headers: dict[str, str] = field(default_factory=dict)


@dataclass
class Web:
    """pages: by path. asked: (path, headers) of every request."""

    url: str
    port: int
    pages: dict[str, Page] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    def ranges(self) -> list[str | None]:
        return [headers.get("range") for _, headers in self.asked]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def log_message(self, *_: Any) -> None: ...

    def do_GET(self) -> None:
        self.close_connection = True
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.web.asked.append((self.path, headers))
        page = self.web.pages.get(self.path)
        if page is None:
            self._end(404)
        elif page.statuses:
            self._end(page.statuses.pop(0), {"Retry-After": "0"})
        elif page.redirect is not None:
            self._end(302, {"Location": page.redirect, **page.headers})
        else:
            self._send(page, headers)

    def _end(self, status: int, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": "0", "Connection": "close", **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()

    def _send(self, page: Page, headers: dict[str, str]) -> None:
        start, whole = self._start(page, headers), len(page.body)
        if start is not None and start >= whole:
            self._end(416, {"Content-Range": f"bytes */{whole}"})
            return
        body = page.body[start or 0 :]
        self.send_response(200 if start is None else 206)
        if start is not None:
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        if page.declares != -1:
            self.send_header("Content-Length", str(len(body) if page.declares is None else page.declares))
        if page.etag:
            self.send_header("ETag", page.etag)
        for name, value in page.headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        end = page.breaks_at.pop(0) if page.breaks_at else len(body)
        with suppress(OSError):
            for at in range(0, end, CHUNK):
                self.wfile.write(body[at : min(at + CHUNK, end)])
                self.wfile.flush()
                time.sleep(page.pause_s)

    def _start(self, page: Page, headers: dict[str, str]) -> int | None:
        asked = headers.get("range", "")
        if not asked or page.ignores_range:
            return None
        if not page.ignores_if_range and headers.get("if-range") not in (None, page.etag):
            return None
        return int(asked.removeprefix("bytes=").partition("-")[0])


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


@contextmanager
def serve(certificate: Path | None = None) -> Iterator[Web]:
    """With a certificate (and its key in one file): https."""
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    port = server.server_address[1]
    web = Web(f"http{'s' if certificate else ''}://localhost:{port}", port)
    handler.web = web  # type: ignore[attr-defined]  # set on a class made here
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def make_certificate(folder: Path) -> Path:
    """A key and a certificate for localhost that signed itself, in one file; valid for two days."""
    key, certificate, both = folder / "key.pem", folder / "cert.pem", folder / "both.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)],
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_bytes(key.read_bytes() + certificate.read_bytes())
    return both


def noise(size: int, seed: int = 1) -> bytes:
    """Bytes that look random and are always the same."""
    return hashlib.shake_256(str(seed).encode()).digest(size)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def write_catalogue(
    file: Path, files: dict[str, dict[str, Any]], *, key: str = "mme", edition: str = "small", path: str = "."
) -> Path:
    """A catalogue of one edition."""
    about = {"about": "for a test", "license": "none", "path": path, "files": files}
    content = {"schema": "fourways.data-catalogue/1", "benchmarks": {key: {edition: about}}}
    file.write_text(json.dumps(content))
    return file
