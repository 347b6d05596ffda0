"""The memory's knobs. Paths: the kernel's admin guide (mm/transhuge, mm/hugetlbpage, sysctl/kernel, sysctl/vm)."""

from __future__ import annotations

import re

from fourways.evidence.environment.knob import Knob, Said
from fourways.evidence.environment.machine import Machine, Unread, cpus

THP = "sys/kernel/mm/transparent_hugepage/enabled"
_NODES = "sys/devices/system/node"
_NO_RANDOM_LAYOUT = 0x0040000
"""ADDR_NO_RANDOMIZE of personality(2)."""
_KIB_PER_GIB = 1 << 20
_LITTLE_LEFT = 0.1


class Physical(Knob):
    """How much memory there is, and how much can be had now."""

    name = "memory.physical"

    def read(self, machine: Machine) -> Said:
        memory = machine.memory_kib()
        total, free = _of(memory, "MemTotal"), _of(memory, "MemAvailable")
        value = f"{total / _KIB_PER_GIB:.1f} GiB, {free / _KIB_PER_GIB:.1f} GiB available"
        if free >= _LITTLE_LEFT * total:
            return Said(value)
        return Said(value, "little is left: the file cache is given up first, and then runs fail; end what else runs")


class Swap(Knob):
    """Memory that lies on a disk."""

    name = "memory.swap"

    def read(self, machine: Machine) -> Said:
        memory = machine.memory_kib()
        total, used = _of(memory, "SwapTotal"), _of(memory, "SwapTotal") - _of(memory, "SwapFree")
        if not total:
            return Said("none")
        value = f"{used / _KIB_PER_GIB:.2f} of {total / _KIB_PER_GIB:.2f} GiB used"
        if used <= 0.01 * total:
            return Said(value)
        return Said(
            value,
            "pages come back from the disk in the middle of a request; where memory suffices for them: "
            "sudo swapoff -a && sudo swapon -a",
        )


class TransparentHugePages(Knob):
    """Whether the kernel gives large pages unasked."""

    name = "memory.thp"

    def read(self, machine: Machine) -> Said:
        mode = chosen(machine.text(THP))
        defrag = machine.text_or(f"{THP.rpartition('/')[0]}/defrag", "")
        value = f"{mode}; defrag {chosen(defrag)}" if defrag else mode
        if mode != "always":
            return Said(value)
        return Said(
            value,
            "resident memory is rounded up to whole large pages, and a page may be waited for; compare memory only "
            "with runs that had the same: fourways env pin --thp madvise -- COMMAND",
        )


class HugePages(Knob):
    """Large pages that are set aside."""

    name = "memory.huge_pages"

    def read(self, machine: Machine) -> Said:
        memory = machine.memory_kib()
        total, free, size = (_of(memory, name) for name in ("HugePages_Total", "HugePages_Free", "Hugepagesize"))
        value = f"{total:,} of {size:,} KiB, {free:,} free"
        promised = memory.get("HugePages_Rsvd", 0) > 0 or _HUGE_MALLOC in machine.variables.get("GLIBC_TUNABLES", "")
        if not total or free < total or promised:
            return Said(value)
        return Said(
            value,
            f"{total * size / _KIB_PER_GIB:.1f} GiB are set aside and nobody uses them: sudo sysctl vm.nr_hugepages=0",
        )


_HUGE_MALLOC = "glibc.malloc.hugetlb"
"""This process's own: `fourways env pin --huge-pages` sets it."""


class AddressLayout(Knob):
    """Whether every process gets its addresses at random (ASLR)."""

    name = "memory.aslr"

    def read(self, machine: Machine) -> Said:
        level = machine.text("proc/sys/kernel/randomize_va_space")
        words = {"0": "off", "1": "partly on", "2": "on"}.get(level)
        if words is None:
            raise Unread(f"/proc/sys/kernel/randomize_va_space holds {level[:20]!r}")
        if level != "0" and int(machine.text_or("proc/self/personality", "0"), 16) & _NO_RANDOM_LAYOUT:
            return Said(f"{words}, but off for this process", f"run it without setarch -R: {_WHY_RANDOM}")
        if level == "2":
            return Said(words)
        return Said(words, f"{_WHY_RANDOM}: sudo sysctl kernel.randomize_va_space=2")


_WHY_RANDOM = (
    "a fixed layout of addresses is lucky or unlucky in every run alike, and no repetition shows it; fresh starts "
    "average over it only where it is random"
)


class Numa(Knob):
    """The machine's memory nodes, and which CPUs are near to each."""

    name = "memory.numa"

    def read(self, machine: Machine) -> Said:
        lists = machine.paths(f"{_NODES}/node[0-9]*/cpulist")
        if not lists:
            raise Unread(f"there is no /{_NODES}")
        nodes = {re.sub(r"\D", "", path): machine.text(path) for path in lists}
        value = ", ".join(f"node {node}: CPUs {listed or 'none'}" for node, listed in nodes.items())
        mine = machine.affinity()
        if sum(bool(cpus(listed) & mine) for listed in nodes.values()) <= 1:
            return Said(value)
        return Said(
            value,
            "this process may run on several nodes, and the memory of another node is slower: fourways env pin -- "
            "COMMAND keeps to one (with numactl --membind=N, its memory too)",
        )


class NumaBalancing(Knob):
    """Whether the kernel moves pages to the node that uses them, while it runs."""

    name = "memory.numa_balancing"

    def read(self, machine: Machine) -> Said:
        on = machine.text("proc/sys/kernel/numa_balancing") != "0"
        if not on or len(machine.paths(f"{_NODES}/node[0-9]*/cpulist")) < 2:
            return Said("on" if on else "off")
        return Said(
            "on",
            "pages are unmapped and moved while requests run; for a pinned process it gains nothing: "
            "sudo sysctl kernel.numa_balancing=0",
        )


def chosen(text: str) -> str:
    """The word in brackets: `always [madvise] never` → `madvise`. Raises Unread."""
    found = re.search(r"\[([\w+-]+)\]", text)
    if found is None:
        raise Unread(f"no choice is marked in {text[:60]!r}")
    return found[1]


def _of(memory: dict[str, int], name: str) -> int:
    if name not in memory:
        raise Unread(f"/proc/meminfo has no {name}")
    return memory[name]


KNOBS: tuple[Knob, ...] = (
    Physical(), Swap(), TransparentHugePages(), HugePages(), AddressLayout(), Numa(), NumaBalancing(),
)  # fmt: skip
