"""The processor's knobs. Paths: the kernel's admin guide (cputopology, pm/cpufreq, pm/cpuidle, pm/intel_pstate,
hw-vuln); advice: what LLVM's benchmarking tips and pyperf's system page say of each, where it holds for requests that
take milliseconds."""

from __future__ import annotations

from fourways.evidence.environment.container import cpus_given
from fourways.evidence.environment.cpulist import format_cpus
from fourways.evidence.environment.knob import Knob, Said, counted
from fourways.evidence.environment.machine import Machine, Unread, cpus

_CPU = "sys/devices/system/cpu"
_SLOW_WAKE_US = 100


class Cores(Knob):
    """The CPUs that this process may use."""

    name = "cpu.cores"

    def read(self, machine: Machine) -> Said:
        online = cpus(machine.text(f"{_CPU}/online"))
        mine = machine.affinity()
        return Said(f"{len(mine)} of {len(online)} online: {format_cpus(mine)}")


class Isolated(Knob):
    """CPUs that the kernel was told to keep free of other work."""

    name = "cpu.isolated"

    def read(self, machine: Machine) -> Said:
        isolated = cpus(machine.text(f"{_CPU}/isolated"))
        quiet = machine.text_or(f"{_CPU}/nohz_full", "").replace("(null)", "").strip()
        value = format_cpus(isolated) + (f"; no timer ticks on {quiet}" if quiet else "")
        reached = isolated & _given(machine, isolated)
        if not reached or machine.affinity() & isolated:
            return Said(value)
        listed = format_cpus(reached)
        return Said(
            value,
            f"these CPUs are kept free, and this process does not use them: fourways env pin --cores {listed} -- "
            "COMMAND. The kernel spreads no threads over isolated CPUs: set OMP_PROC_BIND=true too",
        )


class Governor(Knob):
    """Who decides the clock of a core, and by which rule."""

    name = "cpu.governor"

    def read(self, machine: Machine) -> Said:
        governors = _policies(machine, "scaling_governor")
        drivers = counted(_policies(machine, "scaling_driver") or ["driver not named"])
        if not governors:
            raise Unread("no frequency driver: the host, the firmware or a fixed clock decides")
        value = f"{counted(governors)} ({drivers})"
        if set(governors) == {"performance"}:
            return Said(value)
        return Said(
            value,
            "the clock follows the load, so short bursts are timed on a slow clock: "
            "sudo cpupower frequency-set -g performance",
        )


class EnergyPreference(Knob):
    """How far a processor that picks its own clock leans to saving energy."""

    name = "cpu.energy_preference"

    def read(self, machine: Machine) -> Said:
        found = _policies(machine, "energy_performance_preference")
        if not found:
            raise Unread("this frequency driver has none")
        if not {"power", "balance_power"} & set(found):
            return Said(counted(found))
        return Said(
            counted(found),
            "the processor leans to saving energy: echo performance | sudo tee "
            f"/{_CPU}/cpufreq/policy*/energy_performance_preference",
        )


class Frequency(Knob):
    """The bounds of the clock, and those of the hardware."""

    name = "cpu.frequency"

    def read(self, machine: Machine) -> Said:
        low, high, most = (_policies(machine, name) for name in ("scaling_min_freq", "scaling_max_freq", _MOST))
        if not (low and high and most):
            raise Unread("no frequency driver: the host, the firmware or a fixed clock decides")
        top, bound = max(map(int, most)), min(map(int, high))
        value = f"{min(map(int, low)) // 1000} to {max(map(int, high)) // 1000} MHz, hardware {top // 1000} MHz"
        if all(int(mine) >= int(hard) for mine, hard in zip(high, most, strict=True)):
            return Said(value)
        return Said(
            value,
            f"some cores may not go beyond {bound // 1000} MHz. That is steady, and slower than the hardware: "
            f"sudo cpupower frequency-set -u {top}",
        )


_MOST = "cpuinfo_max_freq"


class Turbo(Knob):
    """Whether cores may run above their base clock."""

    name = "cpu.turbo"

    def read(self, machine: Machine) -> Said:
        for path, on, off in ((f"{_CPU}/intel_pstate/no_turbo", "0", "1"), (f"{_CPU}/cpufreq/boost", "1", "0")):
            if machine.there(path):
                state = machine.text(path)
                if state not in {on, off}:
                    raise Unread(f"/{path} holds {state[:20]!r}")
                return Said("off") if state == off else Said("on", self._advice(path, off))
        raise Unread("no switch for it is seen: the host, the firmware or the hardware decides")

    def _advice(self, path: str, off: str) -> str:
        return (
            "the clock depends on heat and on how many cores work, so equal runs differ. Leave it on for the speed "
            f"that users will see; for differences of a few percent: echo {off} | sudo tee /{path}"
        )


class IdleStates(Knob):
    """How deep an idle core may sleep, and how long it takes to wake."""

    name = "cpu.c_states"

    def read(self, machine: Machine) -> Said:
        states = machine.paths(f"{_CPU}/cpu0/cpuidle/state[0-9]*/latency")
        if not states:
            raise Unread("no idle driver: the host or the firmware decides")
        slowest, said = 0, []
        for path in states:
            folder = path.removesuffix("/latency")
            latency_us, disabled = machine.number(path), machine.text_or(f"{folder}/disable", "0") != "0"
            slowest = slowest if disabled else max(slowest, latency_us)
            said.append(f"{machine.text(f'{folder}/name')} {'disabled' if disabled else f'{latency_us} µs'}")
        value = f"{', '.join(said)} ({machine.text_or(f'{_CPU}/cpuidle/current_driver', 'driver not named')})"
        if slowest < _SLOW_WAKE_US:
            return Said(value)
        return Said(
            value,
            f"an idle core takes up to {slowest} µs to wake, at every pause between requests and threads; it matters "
            "where a step takes a few ms: sudo cpupower idle-set -D 20 (undo: sudo cpupower idle-set -E)",
        )


class Smt(Knob):
    """Whether two hardware threads share a core."""

    name = "cpu.smt"

    def read(self, machine: Machine) -> Said:
        active = machine.text(f"{_CPU}/smt/active") == "1"
        control = machine.text_or(f"{_CPU}/smt/control", "no switch")
        value = f"{'on' if active else 'off'} ({control})"
        if not active:
            return Said(value)
        switch = f"; off altogether: echo off | sudo tee /{_CPU}/smt/control" if control == "on" else ""
        return Said(
            value,
            "two threads share a core and slow each other down, now and then: fourways env pin -- COMMAND keeps to "
            f"whole cores, with a thread for each{switch}",
        )


class Throttled(Knob):
    """How often heat took the clock down, since the machine started."""

    name = "cpu.throttled"

    def read(self, machine: Machine) -> Said:
        counts = machine.paths(f"{_CPU}/cpu[0-9]*/thermal_throttle/core_throttle_count")
        if not counts:
            raise Unread("this machine does not count it")
        times = sum(machine.number(path) for path in counts)
        return Said(
            f"{times:,} times since the machine started",
            "heat took the clock down; look at it again after the run, and cool the machine if it has grown"
            if times
            else None,
        )


class Stolen(Knob):
    """The share of processor time that a host gave to other machines."""

    name = "cpu.stolen"

    def read(self, machine: Machine) -> Said:
        first = machine.text("proc/stat").splitlines()[0].split()
        times = [int(word) for word in first[1:9]]
        if first[0] != "cpu" or len(times) < 8 or not sum(times):
            raise Unread("/proc/stat does not tell")
        share = times[7] / sum(times)
        return Said(
            f"{share:.2%} of processor time since the machine started",
            "the host gives this machine's processors to others; nothing here changes that: ask for dedicated cores"
            if share > 0.01
            else None,
        )


class Microcode(Knob):
    """The processor's microcode."""

    name = "cpu.microcode"

    def read(self, machine: Machine) -> Said:
        lines = machine.text("proc/cpuinfo").splitlines()
        found = [line.partition(":")[2].strip() for line in lines if line.startswith("microcode")]
        if not found:
            raise Unread("/proc/cpuinfo does not tell")
        return Said(counted(found))


class Mitigations(Knob):
    """What the kernel does about the processor's vulnerabilities; it costs time at every system call."""

    name = "cpu.mitigations"

    def read(self, machine: Machine) -> Said:
        paths = machine.paths(f"{_CPU}/vulnerabilities/*")
        if not paths:
            raise Unread(f"there is no /{_CPU}/vulnerabilities")
        states = {path.rpartition("/")[2]: machine.text(path) for path in sorted(paths)}
        said = [f"{name}: {state}" for name, state in states.items() if state != "Not affected"]
        clean = len(states) - len(said)
        return Said("; ".join([*said, f"{clean} not affected"]))


def _given(machine: Machine, otherwise: frozenset[int]) -> frozenset[int]:
    """What a container was given; a process cannot be moved beyond it."""
    try:
        return cpus_given(machine)
    except Unread:
        return otherwise


def _policies(machine: Machine, name: str) -> list[str]:
    return [machine.text(path) for path in machine.paths(f"{_CPU}/cpufreq/policy[0-9]*/{name}")]


KNOBS: tuple[Knob, ...] = (
    Cores(), Isolated(), Governor(), EnergyPreference(), Frequency(), Turbo(), IdleStates(), Smt(), Throttled(),
    Stolen(), Microcode(), Mitigations(),
)  # fmt: skip
