"""What `fourways env pin` sets, and how it is put back.

Contract: two steps. `prepare` checks everything and changes nothing; `supervise.run` then sets what the plan says, and
whatever happens to it puts it back. The CPUs belong to the command and end with it. The settings of the system are
changed under a note, a file in /run that says what they were: only one pinning at a time has them, and where even the
process that puts them back was killed, `undo` does it from the note.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from fourways.core.errors import FourwaysError, UserError
from fourways.evidence.environment.cpulist import format_cpus, parse_cpus
from fourways.evidence.environment.machine import Machine, Unread, cpus
from fourways.evidence.environment.memory import THP, chosen
from fourways.evidence.environment.topology import choose, cores, threads_of

Setting = Literal["vm.nr_hugepages", "transparent_hugepage"]
ThpMode = Literal["always", "madvise", "never"]

NOTE = "run/fourways-pin.json"
_PATHS: dict[Setting, str] = {"vm.nr_hugepages": "proc/sys/vm/nr_hugepages", "transparent_hugepage": THP}
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
_MALLOC = "glibc.malloc.hugetlb"


@dataclass(frozen=True, slots=True)
class Change:
    """A setting of the system: how it stood, and how it shall stand."""

    setting: Setting
    before: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.setting} {self.before} → {self.wanted}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What to set for a command. threads: one for each core. variables: to add to the command's. notes: what the user
    should know."""

    cpus: frozenset[int]
    threads: int
    cores: str
    changes: tuple[Change, ...]
    variables: dict[str, str]
    notes: tuple[str, ...]


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """process: who will put the settings back; started: its start, in the kernel's ticks, so that no other process is
    taken for it. before: setting → how it stood."""

    process: int
    started: int
    before: dict[Setting, str]


def prepare(
    machine: Machine,
    command: Sequence[str],
    *,
    cores_asked: str | None = None,
    huge_pages: int = 0,
    thp: ThpMode | None = None,
) -> Plan:
    """Everything that could be wrong, before anything is changed. huge_pages: to set aside on top of those that are.
    Raises UserError."""
    if shutil.which(command[0], path=machine.variables.get("PATH")) is None:
        raise UserError(f"there is no command {command[0]!r}", hint="is it spelt as in a shell, and in PATH?")
    try:
        taken = _asked(machine, cores_asked) if cores_asked is not None else _chosen(machine)
        threads = threads_of(machine, taken)
        changes = tuple(_changes(machine, huge_pages, thp))
    except Unread as reason:
        raise UserError(
            f"cannot see this machine: {reason}", hint="fourways env pin needs Linux's /proc, /sys"
        ) from None
    _check_rights(machine, changes)
    variables, notes = _variables(machine, taken, threads, huge_pages)
    said = f"{format_cpus(taken)} ({_some(threads, 'core')}, {_some(len(taken), 'hardware thread')})"
    return Plan(taken, threads, said, changes, variables, tuple(notes))


def set_to(machine: Machine, setting: Setting, value: str) -> None:
    """Write it. Raises FourwaysError if the system does not take it, or takes less than was asked."""
    path = machine.root / _PATHS[setting]
    try:
        path.write_text(value)
    except OSError as error:
        raise FourwaysError(f"cannot set {setting} to {value}: {error.strerror}", hint=f"the file is {path}") from None
    if (now := value_of(machine, setting)) != value:
        hint = "memory is in pieces: ask for fewer, or restart the machine" if setting == "vm.nr_hugepages" else None
        raise FourwaysError(f"{setting} was to be {value}, and the kernel made it {now}", hint=hint)


def value_of(machine: Machine, setting: Setting) -> str:
    """How it stands. Raises Unread."""
    text = machine.text(_PATHS[setting])
    return chosen(text) if setting == "transparent_hugepage" else str(machine.number(_PATHS[setting]))


def put_back(machine: Machine, before: dict[Setting, str]) -> list[str]:
    """Sets each to how it stood, as far as it can, and takes the note away if all do. What could not be put back."""
    left = []
    for setting, value in before.items():
        try:
            if value_of(machine, setting) != value:
                set_to(machine, setting, value)
        except (FourwaysError, Unread) as error:
            left.append(f"{setting} should be {value}: {error}")
    if not left:
        (machine.root / NOTE).unlink(missing_ok=True)
    return left


def undo(machine: Machine) -> dict[Setting, str]:
    """Puts back what a pinning left that was killed with the process that watched over it: setting → its value now.
    nothing where nothing was left. Raises UserError if the pinning still runs."""
    path = machine.root / NOTE
    if not path.exists():
        return {}
    note = read_note(path)
    if alive(note):
        raise UserError(f"process {note.process} still has the settings", hint="end its command, and they are put back")
    if left := put_back(machine, note.before):
        raise FourwaysError("; ".join(left), hint="as root: sudo fourways env undo")
    return note.before


def read_note(path: Path) -> Note:
    """Raises UserError if the file is none of ours: it names settings, never paths, and each must be of its kind."""
    try:
        note = msgspec.json.decode(path.read_bytes(), type=Note)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}", hint="as root: sudo fourways env undo") from None
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise UserError(f"{path} is no note of fourways env pin: {error}", hint="look at it, and remove it") from None
    for setting, value in note.before.items():
        known = value in {"always", "madvise", "never"} if setting == "transparent_hugepage" else value.isdecimal()
        if not known:
            raise UserError(f"{path}: {setting} cannot be {value!r}", hint="look at it, and remove it")
    return note


def write_note(machine: Machine, process: int, changes: Sequence[Change]) -> None:
    """Claims the settings. Raises UserError if another pinning has them, or had them when the plan was made."""
    note = Note(process, started(process) or 0, {change.setting: change.before for change in changes})
    path = machine.root / NOTE
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
    except FileExistsError:
        raise _taken(path) from None
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}", hint=_AS_ROOT) from None
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(note) + b"\n")
        for change in changes:
            if (now := value_of(machine, change.setting)) != change.before:
                raise UserError(
                    f"{change.setting} was {change.before} and is {now}: somebody else sets it", hint="try again later"
                )
    except (OSError, Unread) as error:
        path.unlink()
        raise UserError(f"nothing was set: {error}", hint=f"the note of what to put back is {path}") from None
    except UserError:
        path.unlink()
        raise


def alive(note: Note) -> bool:
    """Whether the process that will put the settings back is there."""
    return started(note.process) == note.started


def started(process: int) -> int | None:
    """Its start in ticks since the machine's, None if there is no such process (proc_pid_stat(5), field 22)."""
    try:
        return int(Path(f"/proc/{process}/stat").read_text(errors="replace").rpartition(") ")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None


_AS_ROOT = 'sudo env "PATH=$PATH" fourways env pin …; choosing cores alone needs no rights'


def _taken(path: Path) -> UserError:
    note = read_note(path)
    if alive(note):
        return UserError(f"process {note.process} has the settings", hint="wait for its command, or end it")
    return UserError("an earlier fourways env pin was killed and left settings behind", hint="sudo fourways env undo")


def _some(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"


def _asked(machine: Machine, text: str) -> frozenset[int]:
    try:
        taken = parse_cpus(text)
    except ValueError as error:
        raise UserError(f"--cores: {error}", hint="for example --cores 2-7,10") from None
    online = cpus(machine.text("sys/devices/system/cpu/online"))
    if not taken or taken - online:
        raise UserError(
            f"--cores: {format_cpus(taken - online)} cannot be used" if taken else "--cores names none",
            hint=f"online are {format_cpus(online)}",
        )
    return taken


def _chosen(machine: Machine) -> frozenset[int]:
    return frozenset(cpu for core in choose(machine) for cpu in core.cpus)


def _changes(machine: Machine, huge_pages: int, thp: ThpMode | None) -> list[Change]:
    found = []
    if huge_pages:
        memory = machine.memory_kib()
        size, free = memory.get("Hugepagesize", 0), memory.get("MemAvailable", 0)
        if not size or huge_pages * size > free:
            raise UserError(
                f"--huge-pages {huge_pages}: {huge_pages * size:,} KiB, and {free:,} KiB of memory can be had"
                if size
                else "this kernel has no huge pages",
                hint="ask for fewer" if size else None,
            )
        before = value_of(machine, "vm.nr_hugepages")
        found.append(Change("vm.nr_hugepages", before, str(int(before) + huge_pages)))
    if thp is not None and (mode := value_of(machine, "transparent_hugepage")) != thp:
        found.append(Change("transparent_hugepage", mode, thp))
    return found


def _check_rights(machine: Machine, changes: Sequence[Change]) -> None:
    if not changes:
        return
    if (note := machine.root / NOTE).exists():
        raise _taken(note)
    places = [machine.root / _PATHS[change.setting] for change in changes]
    for place in (*places, note.parent):
        if not os.access(place, os.W_OK):
            raise UserError(f"may not write {place}", hint=_AS_ROOT)


def _variables(
    machine: Machine, taken: frozenset[int], threads: int, huge_pages: int
) -> tuple[dict[str, str], list[str]]:
    """What to add to the command's variables, and what was left as the user has it."""
    wanted = dict.fromkeys(_THREAD_VARIABLES, str(threads))
    isolated = cpus(machine.text_or("sys/devices/system/cpu/isolated", ""))
    notes = []
    if len(taken & isolated) > 1:
        wanted["OMP_PROC_BIND"] = "true"
        notes.append("the kernel spreads no threads over isolated CPUs: each is bound to one (OMP_PROC_BIND=true)")
    elif not isolated and len(cores(machine)) == threads:
        notes.append("these are all cores of the machine: what else runs will run on them too")
    kept = [name for name in wanted if name in machine.variables]
    notes += [f"{name}={machine.variables[name]} stays as it was set" for name in kept]
    wanted = {name: value for name, value in wanted.items() if name not in kept}
    tunables = machine.variables.get("GLIBC_TUNABLES", "")
    if huge_pages and _MALLOC not in tunables:
        wanted["GLIBC_TUNABLES"] = ":".join(filter(None, (tunables, f"{_MALLOC}=2")))
    return wanted, notes
