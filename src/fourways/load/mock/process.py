"""A server in a process of its own, for tests, benches and users' pytest."""

from __future__ import annotations

import select
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from fourways.core.errors import EngineError
from fourways.load.mock.connection import TALLY
from fourways.load.mock.log import Served, read_log
from fourways.load.mock.server import Tally
from fourways.load.mock.settings import MockSettings

_START_S = 60.0
_LOG_S = 10.0


class Running:
    """url: `http://127.0.0.1:PORT`; chat is below `/v1`. pid: of the server's process."""

    def __init__(self, url: str, pid: int, log: Path) -> None:
        self.url, self.pid, self._log = url, pid, log

    def tally(self) -> Tally:
        """What the server has done so far. Raises EngineError where it does not answer."""
        try:
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is on this machine
            with opener.open(self.url + TALLY, timeout=_START_S) as reply:
                return msgspec.json.decode(reply.read(), type=Tally)
        except (OSError, msgspec.DecodeError) as error:
            raise EngineError(f"the mock server at {self.url} does not answer: {error}") from None

    def log(self) -> list[Served]:
        """All requests that have ended, in the order in which they did. Raises EngineError."""
        wanted, until = self.tally().requests, time.monotonic() + _LOG_S
        while len(found := read_log(self._log)) < wanted:
            if time.monotonic() > until:
                raise EngineError(f"the mock server's log has {len(found)} of {wanted} requests after {_LOG_S:g} s")
            time.sleep(0.01)
        return found


@contextmanager
def running(settings: MockSettings | None = None) -> Iterator[Running]:
    """A server on a free port of 127.0.0.1. It ends with the block, or with this process, however that ends (it watches
    a pipe whose other end is here). Raises EngineError where it does not start."""
    with tempfile.TemporaryDirectory(prefix="fourways-mock-") as folder:
        log = Path(folder) / "served.jsonl"
        told = msgspec.json.encode(settings or MockSettings()).decode()
        child = subprocess.Popen(
            [sys.executable, "-m", "fourways.load.mock", told, str(log)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # a Ctrl-C in the terminal is the parent's to handle
        )
        try:
            yield Running(_first_line(child), child.pid, log)
        finally:
            _end(child)


def _first_line(child: subprocess.Popen[bytes]) -> str:
    """The URL, which the server prints once it listens."""
    out = child.stdout
    if out is None:
        raise EngineError("the mock server has no output to read")
    readable, _, _ = select.select([out], [], [], _START_S)
    url = out.readline().decode().strip() if readable else ""
    if not url:
        raise EngineError(f"the mock server did not start (exit status {child.poll()}); what it said stands above")
    return url


def _end(child: subprocess.Popen[bytes]) -> None:
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            pipe.close()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
