"""The container's knobs: which engine, which image, which limits (the kernel's admin guide: cgroup-v1, cgroup-v2)."""

from __future__ import annotations

import re

from fourways.evidence.environment.cgroup import hierarchy
from fourways.evidence.environment.cpulist import format_cpus
from fourways.evidence.environment.knob import Knob, Said
from fourways.evidence.environment.machine import Machine, Unread, as_number, cpus

IMAGE_VARIABLE = "FOURWAYS_IMAGE"
"""Set by the image's maker, because no engine but podman tells a container what it was made from."""
_UNLIMITED_V1 = 1 << 60
_MARKS = {
    "kubepods": "kubernetes",
    "docker": "docker",
    "libpod": "podman",
    "lxc": "lxc",
    "containerd": "containerd",
    "crio": "cri-o",
    "machine.slice": "systemd-nspawn",
}


class Engine(Knob):
    """What runs the container, if this is one."""

    name = "container.engine"

    def read(self, machine: Machine) -> Said:
        return Said(", ".join(engines(machine)) or "none seen")


class Image(Knob):
    """What the container was made from."""

    name = "container.image"

    def read(self, machine: Machine) -> Said:
        if told := machine.variables.get(IMAGE_VARIABLE):
            return Said(told)
        lines = machine.text_or("run/.containerenv", "").splitlines()
        podman = dict(re.findall(r'^(image|imageid)="(.*)"$', "\n".join(lines), re.MULTILINE))
        if "image" in podman:
            return Said(" ".join(podman[key] for key in ("image", "imageid") if key in podman))
        if not engines(machine):
            raise Unread("no container is seen")
        raise Unread(f"the engine does not tell; set {IMAGE_VARIABLE} to the image's name and digest")


class CpuLimit(Knob):
    """How much processor time the container may use."""

    name = "container.cpu_limit"

    def read(self, machine: Machine) -> Said:
        allowed = cpu_limit(machine)
        if allowed is None:
            return Said("none")
        usable = len(machine.affinity())
        value = f"{allowed:g} cores' time"
        if allowed >= usable:
            return Said(value)
        return Said(
            value,
            f"{usable} CPUs may be used at once, and all stand still when the time of {allowed:g} is used up, until "
            "the next period: give whole CPUs instead (docker run --cpuset-cpus=…; Kubernetes: the static CPU manager)",
        )


class CpuThrottled(Knob):
    """How often the container stood still because its time was used up."""

    name = "container.cpu_throttled"

    def read(self, machine: Machine) -> Said:
        stats = next(hierarchy(machine, "cpu").files(machine, "cpu.stat"), None)
        counts = dict(line.split(" ", 1) for line in (stats or "").splitlines() if " " in line)
        if not {"nr_periods", "nr_throttled"} <= set(counts):
            raise Unread("the control group does not count it")
        periods, stood = (as_number(counts[name], "cpu.stat") for name in ("nr_periods", "nr_throttled"))
        return Said(
            f"in {stood:,} of {periods:,} periods since it started",
            "the container used up its processor time: use fewer threads, or give it whole CPUs" if stood else None,
        )


class MemoryLimit(Knob):
    """How much memory the container may use before its processes are killed."""

    name = "container.memory_limit"

    def read(self, machine: Machine) -> Said:
        group = hierarchy(machine, "memory")
        name = "memory.max" if group.version == 2 else "memory.limit_in_bytes"
        found = [text for text in group.files(machine, name) if text != "max"]
        limits = [limit for text in found if (limit := as_number(text, name)) < _UNLIMITED_V1]
        return Said(f"{min(limits) / 2**30:.2f} GiB" if limits else "none")


class Cpuset(Knob):
    """The CPUs that the container was given."""

    name = "container.cpuset"

    def read(self, machine: Machine) -> Said:
        return Said(format_cpus(cpus_given(machine)))


def cpus_given(machine: Machine) -> frozenset[int]:
    """The CPUs that the container may name. Raises Unread."""
    group = hierarchy(machine, "cpuset")
    names = ("cpuset.cpus.effective",) if group.version == 2 else ("cpuset.effective_cpus", "cpuset.cpus")
    for name in names:
        for text in group.files(machine, name):
            if text:
                return cpus(text)
    raise Unread("the control group does not tell")


def cpu_limit(machine: Machine) -> float | None:
    """Cores' time that the container may use, the least of all its groups; None for no limit. Raises Unread."""
    group = hierarchy(machine, "cpu")
    if group.version == 2:
        limits = [text.split() for text in group.files(machine, "cpu.max")]
    else:
        quotas = group.files(machine, "cpu.cfs_quota_us")
        limits = [list(pair) for pair in zip(quotas, group.files(machine, "cpu.cfs_period_us"), strict=False)]
    return min((cores for limit in limits if (cores := _cores(limit)) is not None), default=None)


def engines(machine: Machine) -> list[str]:
    """Every engine that left a mark, outermost first as far as marks tell; empty where none did."""
    found: list[str] = []
    if "KUBERNETES_SERVICE_HOST" in machine.variables or machine.there("var/run/secrets/kubernetes.io"):
        found.append("kubernetes")
    if machine.there(".dockerenv"):
        found.append("docker")
    if machine.there("run/.containerenv"):
        found.append("podman")
    started = machine.text_or("proc/1/environ", "").split("\0")
    told = [word.removeprefix("container=") for word in started if word.startswith("container=")]
    told.append(machine.text_or("run/systemd/container", ""))
    found += [_word(word) for word in told if word]
    groups = machine.text_or("proc/1/cgroup", "") + machine.text_or("proc/self/cgroup", "")
    found += [engine for mark, engine in _MARKS.items() if re.search(rf"[/.-]{re.escape(mark)}[/.-]", groups)]
    return list(dict.fromkeys(found))


def _word(text: str) -> str:
    """A name that a stranger's file gives, kept short and plain."""
    return re.sub(r"[^\w.-]", "_", text)[:40]


def _cores(limit: list[str]) -> float | None:
    """(quota, period) in µs → cores; None for no limit."""
    if len(limit) != 2 or limit[0] in {"max", "-1"}:
        return None
    quota, period = (as_number(word, "cpu.max") for word in limit)
    return quota / period if period > 0 else None


KNOBS: tuple[Knob, ...] = (Engine(), Image(), CpuLimit(), CpuThrottled(), MemoryLimit(), Cpuset())
