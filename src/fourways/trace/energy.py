"""Joules that a device drew during a block, from the counters that it keeps itself; never from samples of its power.

A GPU: NVML's total energy since the driver was loaded (Volta and later), in millijoules. Its source is sampled: on
A100 and H100 for a quarter of the time only (Yang et al., arXiv 2312.02741), so a block must last several seconds, and
blocks that begin at different phases must be averaged. A CPU: RAPL's package counters (and DRAM's, where there is
one) below /sys/class/powercap, in microjoules, which wrap. Both count everything that ran on the device meanwhile,
idle power included.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from fourways.core.errors import Undefined
from fourways.trace import nvml

POWERCAP = Path("/sys/class/powercap")
NVML_METHOD = "nvmlDeviceGetTotalEnergyConsumption"


class Drawn(NamedTuple):
    """method: the counter that was read; least_s: how long a block must be for it to be told well."""

    joules: float
    seconds: float
    method: str
    least_s: float


class Counter(Protocol):
    """Something that counts up. `read` gives joules, raises Undefined; `between` knows how it wraps. least_s: of a
    block that it tells well."""

    method: str
    least_s: float

    def read(self) -> Sequence[float]: ...

    def between(self, before: Sequence[float], after: Sequence[float]) -> float: ...


class Nvml:
    """The energy of one CUDA device. Raises Undefined if there is no counter."""

    least_s = 5.0

    def __init__(self, device: str) -> None:
        self.method = NVML_METHOD
        self._nvml = nvml.load()
        self._handle = nvml.handle(self._nvml, device)
        self.read()

    def read(self) -> Sequence[float]:
        try:
            return (self._nvml.nvmlDeviceGetTotalEnergyConsumption(self._handle) / 1e3,)
        except self._nvml.NVMLError as error:
            raise Undefined(f"NVML: {error}") from None

    def between(self, before: Sequence[float], after: Sequence[float]) -> float:
        return after[0] - before[0]


class Rapl:
    """The energy of all processor packages, and of their DRAM where it is counted. Raises Undefined if the kernel
    offers no counter, or keeps it from this user (most do since CVE-2020-8694). A block that draws more than the
    counter's whole range (262 kJ on most: 20 minutes at 200 W) cannot be told from a short one: keep blocks shorter. It
    is renewed about every millisecond."""

    least_s = 0.1

    def __init__(self, root: Path | None = None) -> None:
        root = root or POWERCAP
        zones = [zone for zone in sorted(root.glob("intel-rapl:*")) if _counts(zone)]
        if not zones:
            raise Undefined(f"no counter on this machine: no RAPL counter below {root}")
        self._zones = zones
        self._wraps = [_number(zone / "max_energy_range_uj") for zone in zones]
        self.method = f"RAPL {', '.join(_name(zone) for zone in zones)}"
        self.read()

    def read(self) -> Sequence[float]:
        return [_number(zone / "energy_uj") for zone in self._zones]

    def between(self, before: Sequence[float], after: Sequence[float]) -> float:
        each = zip(before, after, self._wraps, strict=True)
        return sum(now - then if now >= then else now - then + wrap for then, now, wrap in each)


class EnergyMeter:
    """Use around a block; afterwards `drawn` is what the device drew in it.

    device: a torch name ("cpu", "cuda:0"). The block runs with or without a counter: only `drawn` raises Undefined.
    """

    def __init__(self, device: str) -> None:
        self._counter: Counter | None = None
        self._why = "nothing was measured"
        self._before: Sequence[float] = ()
        self._started = 0.0
        self._drawn: Drawn | None = None
        try:
            self._counter = _counter(device)
        except Undefined as error:
            self._why = error.reason

    def __enter__(self) -> EnergyMeter:
        self._drawn = None
        try:
            self._before = self._counter.read() if self._counter else ()
        except Undefined as error:
            self._counter, self._why = None, error.reason
        self._started = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        if self._counter is None:
            return
        seconds = time.perf_counter() - self._started
        try:
            joules = self._counter.between(self._before, self._counter.read())
            self._drawn = Drawn(joules, seconds, self._counter.method, self._counter.least_s)
        except Undefined as error:
            self._counter, self._why = None, error.reason

    @property
    def drawn(self) -> Drawn:
        """Of the last block. Raises Undefined with the reason if no counter can be read."""
        if self._drawn is None:
            raise Undefined(self._why)
        return self._drawn


def _counter(device: str) -> Counter:
    match device.partition(":")[0]:
        case "cuda":
            return Nvml(device)
        case "cpu":
            return Rapl()
        case other:
            raise Undefined(f"no energy counter is known for a device of type {other}")


def _counts(zone: Path) -> bool:
    return (zone / "energy_uj").exists() and _name(zone).startswith(("package", "dram"))


def _name(zone: Path) -> str:
    try:
        return (zone / "name").read_text().strip()
    except OSError:
        return ""


def _number(path: Path) -> float:
    """Joules from a file of microjoules."""
    try:
        return int(path.read_text()) / 1e6
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a number"
        raise Undefined(f"{path} cannot be read: {reason}") from None
