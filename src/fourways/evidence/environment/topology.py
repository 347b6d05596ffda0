"""Which hardware threads share a core, which cores share a memory node, and which of them to take for measurements."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from fourways.evidence.environment.container import cpu_limit
from fourways.evidence.environment.machine import Machine, Unread, cpus

_ENOUGH = 4
"""Cores of a node of which the one that holds CPU 0, where most interrupts land, can be spared."""


@dataclass(frozen=True, slots=True)
class Core:
    """cpus: its hardware threads that are online. node: of memory, 0 where the machine has no nodes."""

    cpus: frozenset[int]
    node: int


def cores(machine: Machine) -> list[Core]:
    """Every core, by its lowest CPU. Raises Unread. A CPU whose siblings are not told is a core of its own."""
    online = cpus(machine.text("sys/devices/system/cpu/online"))
    nodes = _nodes(machine)
    found: dict[frozenset[int], Core] = {}
    for cpu in sorted(online):
        told = machine.text_or(f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", str(cpu))
        siblings = (cpus(told) & online) | {cpu}
        found.setdefault(siblings, Core(siblings, nodes.get(cpu, 0)))
    return list(found.values())


def choose(machine: Machine) -> list[Core]:
    """Whole cores of one node: the node on which this process may use most. Spares the core of CPU 0 where three are
    left, and takes no more cores than the container has time for. Raises Unread."""
    allowed = machine.affinity()
    every = cores(machine)
    usable = [core for core in every if core.cpus <= allowed]
    if not usable:  # a container may have been given half of each core
        usable = [Core(core.cpus & allowed, core.node) for core in every if core.cpus & allowed]
    if not usable:
        raise Unread("none of the CPUs that this process may use is online")
    nodes: dict[int, list[Core]] = defaultdict(list)
    for core in usable:
        nodes[core.node].append(core)
    chosen = max(nodes.values(), key=lambda found: (len(found), not _has_first(found), -found[0].node))
    if len(chosen) >= _ENOUGH:
        chosen = [core for core in chosen if 0 not in core.cpus]
    return chosen[: _cores_of_time(machine)]


def threads_of(machine: Machine, taken: frozenset[int]) -> int:
    """How many cores the CPUs belong to: a thread for each is what computes fastest. Raises Unread."""
    return sum(bool(core.cpus & taken) for core in cores(machine))


def _nodes(machine: Machine) -> dict[int, int]:
    """CPU → node."""
    found = {}
    for path in machine.paths("sys/devices/system/node/node[0-9]*/cpulist"):
        node = int(re.sub(r"\D", "", path))
        found.update(dict.fromkeys(cpus(machine.text(path)), node))
    return found


def _has_first(found: Sequence[Core]) -> bool:
    return any(0 in core.cpus for core in found)


def _cores_of_time(machine: Machine) -> int | None:
    try:
        limit = cpu_limit(machine)
    except Unread:
        return None
    return None if limit is None else max(1, int(limit))
