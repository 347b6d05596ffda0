"""A worker that dies in an unusual way, or does not die and answers nothing, keeps nobody waiting for ever."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from fourways.axes.sharing import Chunk
from fourways.compare.crew import process as crew_process
from fourways.compare.crew import watch
from fourways.compare.crew.foreman import Lost
from fourways.compare.crew.process import Process
from fourways.compare.crew.protocol import Order
from fourways.compare.crew.watch import EXIT_CODE
from fourways.core.candidate import Candidate
from fourways.core.errors import EngineError

CHUNK = Chunk("mme", (("1",),))


def member(monkeypatch: pytest.MonkeyPatch, program: str) -> Process:
    """A member of a crew whose process is this program."""
    monkeypatch.setattr(crew_process, "COMMAND", (sys.executable, "-c", program))
    return Process("replica 1", Order(Candidate("qwen", model="m"), (), 7, "here"))


async def asked(one: Process) -> None:
    try:
        await one.ask(CHUNK)
    finally:
        await one.close()


async def test_a_death_is_noticed_though_a_process_of_its_own_holds_its_standard_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crew_process, "_LAST_WORDS_S", 1.0)
    leaves_one = (
        "import subprocess, sys, os; "
        "child = subprocess.Popen([sys.executable, '-c', 'import sys; sys.stdin.read()'], stdout=subprocess.DEVNULL); "
        "print('no memory', file=sys.stderr, flush=True); os._exit(3)"
    )
    began = time.monotonic()
    with pytest.raises(Lost, match="ended with code 3: no memory"):
        await asked(member(monkeypatch, leaves_one))
    assert time.monotonic() - began < 15


@pytest.mark.parametrize("said", ["no answer at all", "x" * 5000])
async def test_what_cannot_be_read_ends_the_wait(monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    monkeypatch.setattr(crew_process, "_LONGEST_LINE", 1000)
    with pytest.raises(EngineError, match="answer cannot be read"):
        await asked(member(monkeypatch, f"import time; print('{said}', flush=True); time.sleep(20)"))


async def test_a_worker_that_cannot_be_started_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    one = member(monkeypatch, "")
    monkeypatch.setattr(crew_process, "COMMAND", ("/no/such/program",))
    with pytest.raises(EngineError, match="no worker could be started") as caught:
        await asked(one)
    assert "--replicas" in (caught.value.hint or "")


async def test_a_worker_that_breaks_where_nobody_expects_it_dies_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    breaks = (
        "import asyncio\n"
        "from fourways.compare.crew import at_work\n"
        "async def answer(self, asked): raise asyncio.CancelledError('out of turn')\n"
        "at_work.Worker.answer = answer\n"
        "at_work.main()\n"
    )
    with pytest.raises(Lost, match=r"ended with code 1: .*out of turn"):
        await asked(member(monkeypatch, breaks))


WATCHED = """
import runpy, time
watch = runpy.run_path({file!r})["Watch"](0.5)
time.sleep(0.8)  # idle
with watch.work():
    for _ in range(8):
        time.sleep(0.1)
        watch.step()
    print("worked", flush=True)
    time.sleep({hang})
"""


def test_only_a_worker_that_gets_nowhere_is_ended() -> None:
    hangs, ends = (
        subprocess.Popen(
            [sys.executable, "-c", WATCHED.format(file=watch.__file__, hang=hang)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for hang in (60, 0)
    )
    told, why = hangs.communicate(timeout=40)
    assert (hangs.returncode, told) == (EXIT_CODE, "worked\n")
    assert "nothing came of its work" in why
    ends.communicate(timeout=40)
    assert ends.returncode == 0
