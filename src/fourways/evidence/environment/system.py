"""The system's knobs: kernel, hypervisor, clock, and what else runs. Paths: proc(5), the kernel's admin guide
(kernel-parameters), accounting/psi."""

from __future__ import annotations

import re

from fourways.evidence.environment.knob import Knob, Said
from fourways.evidence.environment.machine import Machine, Unread

_CLOCK = "sys/devices/system/clocksource/clocksource0"
_SLOW_CLOCKS = frozenset({"hpet", "acpi_pm", "jiffies", "refined-jiffies", "pit"})
_BUSY = 0.25
"""Of the cores that this process may use: load beyond it is somebody's."""
_PRESSED = 10.0
"""Percent of the last ten seconds."""
_TOLD_OPTIONS = re.compile(
    r"(?:isolcpus|nohz_full|rcu_nocbs|mitigations|intel_pstate|amd_pstate|processor\.max_cstate|nosmt"
    r"|intel_idle\.max_cstate|idle|transparent_hugepage|hugepages|hugepagesz|default_hugepagesz|maxcpus|nr_cpus|mem"
    r"|tsc|clocksource|preempt|numa_balancing|cpufreq\.default_governor|norandmaps|init_on_alloc|init_on_free)"
    r"(?:=[\w.,:@-]*)?"
)
"""Options of the kernel's command line that move measurements. The others may hold anything, and are left out."""


class Kernel(Knob):
    """The kernel's release and build."""

    name = "system.kernel"

    def read(self, machine: Machine) -> Said:
        release = machine.text("proc/sys/kernel/osrelease")
        return Said(f"{release} {machine.text_or('proc/sys/kernel/version', '')}")


class KernelOptions(Knob):
    """What the kernel was told when it started, as far as it moves measurements."""

    name = "system.kernel_options"

    def read(self, machine: Machine) -> Said:
        words = machine.text("proc/cmdline").split()
        return Said(" ".join(word for word in words if _TOLD_OPTIONS.fullmatch(word)) or "none that matter")


class Distribution(Knob):
    """The distribution, which brings the C library and its allocator."""

    name = "system.distribution"

    def read(self, machine: Machine) -> Said:
        for line in machine.text("etc/os-release").splitlines():
            if line.startswith("PRETTY_NAME="):
                return Said(line.partition("=")[2].strip("\"'"))
        raise Unread("/etc/os-release has no PRETTY_NAME")


class Hypervisor(Knob):
    """Whether this is a virtual machine, and of which kind."""

    name = "system.hypervisor"

    def read(self, machine: Machine) -> Said:
        vendor = machine.text_or("sys/class/dmi/id/sys_vendor", "")
        product = machine.text_or("sys/class/dmi/id/product_name", "")
        model = " ".join(word for word in (vendor, product) if word)
        kind = machine.text_or("sys/hypervisor/type", "") or self._by_clock(machine)
        flags = re.search(r"^flags\s*:(.*)$", machine.text("proc/cpuinfo"), re.MULTILINE)
        virtual = bool(kind) or (flags is not None and "hypervisor" in flags[1].split())
        seen = f"virtual machine ({kind or 'kind not told'})" if virtual else "none seen"
        return Said(f"{seen}; {model}" if model else seen)

    def _by_clock(self, machine: Machine) -> str:
        """A guest's kernel offers its host's clock."""
        clocks = machine.text_or(f"{_CLOCK}/available_clocksource", "").split()
        known = {"kvm-clock": "KVM", "xen": "Xen", "hyperv_clocksource_tsc_page": "Hyper-V"}
        return next((known[clock] for clock in clocks if clock in known), "")


class ClockSource(Knob):
    """What the kernel reads the time from."""

    name = "system.clock_source"

    def read(self, machine: Machine) -> Said:
        clock = machine.text(f"{_CLOCK}/current_clocksource")
        if clock not in _SLOW_CLOCKS:
            return Said(clock)
        others = machine.text_or(f"{_CLOCK}/available_clocksource", "").split()
        way = (
            f"echo tsc | sudo tee /{_CLOCK}/current_clocksource"
            if "tsc" in others
            else "the kernel does not trust the processor's counter; its log says why: sudo dmesg | grep -i tsc"
        )
        return Said(clock, f"every look at the clock is a slow read of a device: {way}")


class Load(Knob):
    """What has run of late, this process among it."""

    name = "system.load"

    def read(self, machine: Machine) -> Said:
        words = machine.text("proc/loadavg").split()
        loads = [float(word) for word in words[:3]]
        cores = len(machine.affinity())
        value = f"{' '.join(words[:3])} (1, 5, 15 minutes)"
        if loads[0] <= max(_BUSY * cores, 0.5):
            return Said(value)
        return Said(value, f"{loads[0]:g} tasks ran or waited on {cores} cores; see which (top) and let them end first")


class Pressure(Knob):
    """How long tasks waited for processor, memory and disk in the last ten seconds."""

    name = "system.pressure"

    def read(self, machine: Machine) -> Said:
        waits = {kind: self._some(machine.text(f"proc/pressure/{kind}")) for kind in ("cpu", "memory", "io")}
        value = ", ".join(f"{kind} {share:g} %" for kind, share in waits.items())
        pressed = [kind for kind, share in waits.items() if share > _PRESSED]
        if not pressed:
            return Said(value)
        return Said(value, f"tasks wait for {' and '.join(pressed)}: something else runs; see what (top)")

    def _some(self, text: str) -> float:
        found = re.search(r"^some avg10=(\d+\.\d+)", text, re.MULTILINE)
        if found is None:
            raise Unread("/proc/pressure holds no average")
        return float(found[1])


KNOBS: tuple[Knob, ...] = (
    Kernel(), KernelOptions(), Distribution(), Hypervisor(), ClockSource(), Load(), Pressure(),
)  # fmt: skip
