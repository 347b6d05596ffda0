"""A Hugging Face Hub on this machine: its API and its files as far as huggingface_hub asks for them, over real HTTP,
with connections that break and answers that fail as they are told.

It knows `/api/models/ORG/NAME[/revision/R]`, `/api/models/ORG/NAME/tree/R`, and `/ORG/NAME/resolve/R/FILE` with
X-Repo-Commit, ETag, and X-Linked-* for large files.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

_CHUNK = 1 << 14


@dataclass
class Repository:
    """commits: commit → files. refs: branch → commit. large: files that are kept by SHA-256. gated: files may not be
    had. breaks_at: file → bytes of the body after which the connection is closed, one an answer. fails_after: file →
    answers to a GET after which it is answered 503. claims: file → size that the API says, true or not. corrupt: files
    whose last byte comes as another. pause_s: file → after each 16 KiB of it. goes_on: file → bytes after its
    own. elsewhere: URL of another host, to which large files are redirected."""

    commits: dict[str, dict[str, bytes]]
    refs: dict[str, str]
    large: frozenset[str] = frozenset({"model.safetensors"})
    gated: bool = False
    breaks_at: dict[str, list[int]] = field(default_factory=dict)
    fails_after: dict[str, int] = field(default_factory=dict)
    claims: dict[str, int] = field(default_factory=dict)
    corrupt: set[str] = field(default_factory=set)
    pause_s: dict[str, float] = field(default_factory=dict)
    goes_on: dict[str, int] = field(default_factory=dict)
    elsewhere: str | None = None

    def commit_of(self, revision: str) -> str | None:
        return self.refs.get(revision, revision if revision in self.commits else None)


@dataclass
class Hub:
    """asked: (method, path, Range) of every request. tokens: paths of those that had an Authorization."""

    url: str
    repositories: dict[str, Repository] = field(default_factory=dict)
    asked: list[tuple[str, str, str | None]] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)

    def ranges(self, file: str) -> list[str | None]:
        """Of the GETs of one file, in their order."""
        return [start for method, path, start in self.asked if method == "GET" and path.endswith(f"/{file}")]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: Any) -> None: ...

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        self.close_connection = True
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path, self.headers.get("Range")))
        if self.headers.get("Authorization"):
            self.hub.tokens.append(path)
        parts = path.strip("/").split("/")
        if parts[:2] == ["api", "models"]:
            self._api("/".join(parts[2:4]), parts[4:])
        elif len(parts) > 4 and parts[2] == "resolve":
            self._file("/".join(parts[:2]), parts[3], "/".join(parts[4:]))
        else:
            self._fail(404, "EntryNotFound")

    def _api(self, name: str, rest: list[str]) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self._fail(404, "RepoNotFound")
        commit = repository.commit_of("/".join(rest[1:]) or "main")
        if commit is None:
            return self._fail(404, "RevisionNotFound")
        files = [_described(repository, file, body) for file, body in repository.commits[commit].items()]
        gated = "auto" if repository.gated else False
        found: Any = {"id": name, "modelId": name, "sha": commit, "gated": gated, "siblings": files}
        self._send(json.dumps(files if rest[:1] == ["tree"] else found).encode(), {"Content-Type": "application/json"})

    def _file(self, name: str, revision: str, file: str) -> None:
        repository = self.hub.repositories.get(name)
        if repository is None:
            return self._fail(404, "RepoNotFound")
        if repository.gated:
            return self._fail(403, "GatedRepo")
        commit = repository.commit_of(revision)
        body = repository.commits.get(commit or "", {}).get(file)
        if commit is None or body is None:
            return self._fail(404, "EntryNotFound")
        if self.command == "GET" and file in repository.fails_after:
            repository.fails_after[file] -= 1
            if repository.fails_after[file] < 0:
                return self._fail(503, "Trouble")
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_git_id(body)}"', "Accept-Ranges": "bytes"}
        if file in repository.large:
            headers |= {"X-Linked-Etag": f'"{_sha256(body)}"', "X-Linked-Size": str(len(body))}
            if repository.elsewhere is not None:
                return self._redirect(f"{repository.elsewhere}{self.path}", headers)
        if file in repository.corrupt:
            body = body[:-1] + bytes([body[-1] ^ 1])
        body += bytes(repository.goes_on.get(file, 0))
        breaks = repository.breaks_at.get(file)
        breaks_at = breaks.pop(0) if breaks and self.command == "GET" else None
        self._send(body, headers, breaks_at, repository.pause_s.get(file, 0))

    def _send(self, body: bytes, headers: dict[str, str], breaks_at: int | None = None, pause_s: float = 0) -> None:
        asked = self.headers.get("Range", "")
        start = int(asked.removeprefix("bytes=").partition("-")[0]) if asked else 0
        if asked and start >= len(body):
            return self._fail(416, "Range")
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        for name, value in {"Content-Length": str(len(body) - start), "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            with suppress(OSError):
                for at in range(start, len(body) if breaks_at is None else breaks_at, _CHUNK):
                    self.wfile.write(body[at : min(at + _CHUNK, breaks_at or len(body))])
                    time.sleep(pause_s)

    def _redirect(self, to: str, headers: dict[str, str]) -> None:
        self.send_response(302)
        for name, value in {"Location": to, "Content-Length": "0", "Connection": "close", **headers}.items():
            self.send_header(name, value)
        self.end_headers()

    def _fail(self, status: int, code: str) -> None:
        self.send_response(status)
        for name, value in (("X-Error-Code", code), ("Content-Length", "0"), ("Connection", "close")):
            self.send_header(name, value)
        self.end_headers()


def _described(repository: Repository, file: str, body: bytes) -> dict[str, Any]:
    size = repository.claims.get(file, len(body))
    found: dict[str, Any] = {"rfilename": file, "type": "file", "path": file, "oid": _git_id(body), "size": size}
    found["blobId"] = found["oid"]
    if file in repository.large:
        digest = _sha256(body)
        found["lfs"] = {"sha256": digest, "oid": digest, "size": size, "pointerSize": 134}
    return found


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _git_id(body: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(body) + body, usedforsecurity=False).hexdigest()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


@contextmanager
def serve_hub() -> Iterator[Hub]:
    handler = type("Handler", (_Handler,), {})
    server = _Server(("127.0.0.1", 0), handler)
    hub = Hub(f"http://127.0.0.1:{server.server_address[1]}")
    handler.hub = hub  # type: ignore[attr-defined]  # set on a class made here
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
