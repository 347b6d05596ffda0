"""A worker in a process of its own on this machine, spoken to over its standard input and output.

Contract: the process ends when it is told to, when its input ends (so never later than the run itself, however that
ended), and not by Ctrl-C, which is the run's to hear. What it prints goes to standard error; its last lines are what is
known of a death.
"""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections import deque
from contextlib import suppress

from fourways.axes.sharing import Chunk
from fourways.compare.crew.foreman import Lost, answered, described
from fourways.compare.crew.protocol import Answered, Asked, Order, Reply, decode_reply, encode
from fourways.core.errors import EngineError
from fourways.core.run import CandidateRecord

COMMAND = (sys.executable, "-m", "fourways.compare.crew.at_work")
_LONGEST_LINE = 1 << 30
_LAST_LINES = 20
_LAST_WORDS_S = 5.0
"""How long a dead worker's standard error is read on: a process of its own may hold it open."""


class Process:
    """A member of a crew (foreman.py). Its process is started by the first chunk, and again after its death."""

    def __init__(self, name: str, order: Order) -> None:
        self._name, self._order = name, order
        self._lock = asyncio.Lock()
        self._running: _Running | None = None
        self._count = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def pid(self) -> int | None:
        """None while there is no process."""
        return None if self._running is None else self._running.pid

    async def ask(self, chunk: Chunk) -> Answered:
        return answered(self._name, await self._reply(chunk))

    async def describe(self) -> CandidateRecord:
        return described(self._name, await self._reply(None))

    async def _reply(self, chunk: Chunk | None) -> Reply:
        async with self._lock:
            if self._running is None or self._running.dead:
                self._running = await _Running.start(self._order)
            running = self._running
        self._count += 1
        return await running.ask(Asked(self._count, chunk))

    async def close(self) -> None:
        if self._running is not None:
            await self._running.kill()


class _Running:
    """One life of the process."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._waiting: dict[int, asyncio.Future[Reply]] = {}
        self._said: deque[str] = deque(maxlen=_LAST_LINES)
        self.dead = False
        self._listening = asyncio.create_task(self._listen())
        self._noting = asyncio.create_task(self._note())

    @classmethod
    async def start(cls, order: Order) -> _Running:
        pipe = asyncio.subprocess.PIPE
        try:
            process = await asyncio.create_subprocess_exec(
                *COMMAND, stdin=pipe, stdout=pipe, stderr=pipe, limit=_LONGEST_LINE, start_new_session=True
            )
        except OSError as error:
            raise EngineError(f"no worker could be started: {error}", hint="try fewer --replicas") from error
        running = cls(process)
        running._write(encode(order))
        return running

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, asked: Asked) -> Reply:
        if self.dead:
            raise Lost(self._why())
        future = self._waiting[asked.number] = asyncio.get_running_loop().create_future()
        self._write(encode(asked))
        reply: Reply = await future
        return reply

    async def kill(self) -> None:
        self.dead = True
        if self._process.returncode is None:
            self._process.kill()
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._gone()
        with suppress(TimeoutError):  # its pipes end with it, unless somebody else holds them
            await asyncio.wait_for(self._process.wait(), _LAST_WORDS_S)
        for task in (self._listening, self._noting):
            task.cancel()
        await asyncio.gather(self._listening, self._noting, return_exceptions=True)

    async def _gone(self) -> None:
        """Returns when the process has ended. `Process.wait` would wait for whoever else holds its standard error. One
        that has closed its output but stays is ended."""
        began = time.monotonic()
        while self._process.returncode is None:
            if time.monotonic() - began > _LAST_WORDS_S:
                self._process.kill()
            await asyncio.sleep(0.02)

    def _write(self, line: bytes) -> None:
        """A process that is gone is noticed by its output's end."""
        assert self._process.stdin is not None
        self._process.stdin.write(line + b"\n")

    async def _listen(self) -> None:
        """Whatever happens, nobody who asked waits for ever."""
        try:
            await self._take_replies()
            await self._gone()
            await asyncio.wait({self._noting}, timeout=_LAST_WORDS_S)
            self._end(Lost(self._why()))
        except Exception as error:
            if self._process.returncode is None:
                self._process.kill()
            self._end(EngineError(f"a worker's answer cannot be read: {error}"))

    async def _take_replies(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            if not line.endswith(b"\n"):
                return  # it died in the middle of an answer
            reply = decode_reply(line)
            if (future := self._waiting.pop(reply.number, None)) is not None and not future.done():
                future.set_result(reply)

    def _end(self, error: Exception) -> None:
        self.dead = True
        for future in self._waiting.values():
            if not future.done():
                future.set_exception(error)

    async def _note(self) -> None:
        assert self._process.stderr is not None
        while line := await self._process.stderr.readline():
            if text := line.decode(errors="replace").strip():
                self._said.append(text[-500:])

    def _why(self) -> str:
        code = self._process.returncode or 0
        if code == -signal.SIGKILL:
            return "killed (SIGKILL): the system had no memory left, or somebody stopped it"
        if code < 0:
            return f"killed ({signal.Signals(-code).name}){': ' + self._said[-1] if self._said else ''}"
        return f"ended with code {code}: {self._said[-1] if self._said else 'it said nothing'}"
