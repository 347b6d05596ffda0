"""Runs a command as a plan says, and puts everything back, whatever happens.

Contract: three processes. The supervisor waits for the command, hands on the signals that it gets, and ends with the
command's exit code. The keeper is forked before anything is changed; it sits on a pipe whose other end only the
supervisor holds, so it wakes when the supervisor ends, is killed, or says that it is done, and puts the settings back.
The command gets SIGTERM if the supervisor is killed. Signals are blocked and waited for, so none can fall between two
steps.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
from collections.abc import Callable, Sequence

from fourways.core.errors import FourwaysError, UserError
from fourways.evidence.environment.cpulist import format_cpus
from fourways.evidence.environment.machine import Machine
from fourways.evidence.environment.pinning import NOTE, Change, Plan, Setting, put_back, set_to, write_note

_HANDED_ON = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2})
_WAITED_FOR = _HANDED_ON | {signal.SIGCHLD}
_FROM_KERNEL = 0x80
"""SI_KERNEL: a key was pressed, and the terminal has sent the signal to the command as well."""
_PR_SET_PDEATHSIG = 1
_READY = "ready"


def run(plan: Plan, command: Sequence[str], machine: Machine, say: Callable[[str], None]) -> int:
    """The command's exit code, 128 + N if signal N ended it. say: gets what was set and what was put back, a line each.
    Raises UserError or FourwaysError where something could not be set; what was set is put back then, too."""
    _check_cpus(plan.cpus)
    reaped = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # ignored by who started us, it would lose the exit code
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED_FOR)
    try:
        keeper = Keeper(machine, plan.changes) if plan.changes else None
        try:
            for change in plan.changes:
                set_to(machine, change.setting, change.wanted)
                say(f"set {change}")
            code = _command(plan, command, machine, unblocked)
        finally:
            if keeper is not None:
                keeper.end(say)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        signal.signal(signal.SIGCHLD, reaped)
    return code


class Keeper:
    """The process that puts the settings back. It holds the note, and nothing but SIGKILL ends it before its time."""

    def __init__(self, machine: Machine, changes: Sequence[Change]) -> None:
        self._machine, self._changes = machine, changes
        ear, self._mouth = os.pipe()
        ready, told = os.pipe()
        self._process = os.fork()
        if not self._process:
            os.close(self._mouth)
            os.close(ready)
            self._keep(ear, told)
        os.close(ear)
        os.close(told)
        with os.fdopen(ready) as answer:
            said = answer.read()
        if said != _READY:
            os.close(self._mouth)
            os.waitpid(self._process, 0)
            message, _, hint = said.partition("\n")
            raise UserError(message or "the process that puts settings back could not start", hint=hint or None)

    def end(self, say: Callable[[str], None]) -> None:
        """Wakes it and waits; does its work where it was killed. Raises FourwaysError if not all was put back."""
        os.close(self._mouth)
        _, status = os.waitpid(self._process, 0)
        if os.waitstatus_to_exitcode(status) != 0 and (left := put_back(self._machine, self._before())):
            raise FourwaysError("; ".join(left), hint=f"sudo fourways env undo; the note is /{NOTE}")
        for change in self._changes:
            say(f"put back {change.setting} {change.before}")

    def _keep(self, ear: int, told: int) -> None:
        """In the forked process; never returns."""
        code = 1
        try:
            os.setsid()
            try:
                write_note(self._machine, os.getpid(), self._changes)
            except UserError as error:
                os.write(told, f"{error.message}\n{error.hint or ''}".encode())
                return
            os.write(told, _READY.encode())
            os.close(told)
            while os.read(ear, 1):
                pass
            code = 1 if put_back(self._machine, self._before()) else 0
        finally:
            os._exit(code)

    def _before(self) -> dict[Setting, str]:
        return {change.setting: change.before for change in self._changes}


def _check_cpus(wanted: frozenset[int]) -> None:
    """The kernel silently leaves out what a container was not given: try it, and go back. Raises UserError."""
    before = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, wanted)
        got = os.sched_getaffinity(0)
    except OSError:
        got = set()
    finally:
        os.sched_setaffinity(0, before)
    if missing := wanted - got:
        raise UserError(f"CPUs {format_cpus(missing)} are not given to this process", hint="name others: --cores LIST")


def _command(plan: Plan, command: Sequence[str], machine: Machine, unblocked: set[signal.Signals | int]) -> int:
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def pin() -> None:
        """In the command's process, before it starts."""
        os.sched_setaffinity(0, plan.cpus)
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(128 + signal.SIGTERM)
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)

    try:
        child = subprocess.Popen(list(command), env={**machine.variables, **plan.variables}, preexec_fn=pin)  # noqa: PLW1509  # no threads here
    except OSError as error:
        raise UserError(f"cannot run {command[0]!r}: {error.strerror}") from None
    while (code := child.poll()) is None:
        got = signal.sigwaitinfo(_WAITED_FOR)
        if got.si_signo in _HANDED_ON and got.si_code != _FROM_KERNEL:
            child.send_signal(got.si_signo)
    return code if code >= 0 else 128 - code
