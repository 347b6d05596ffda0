"""What must be alike before times and memory of two runs say anything of each other."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

from fourways.core.run import CandidateRecord, Environment
from fourways.evidence.comparison.facts import Both

_VERSIONS = ("torch", "transformers", "numpy", "torchao", "peft")
"""Packages that compute. Others may move a time by little, and stand among the differences."""
_ASKED = ("dtype", "device", "quantization", "adapter", "visual_budget", "sampling", "weights")
_OF_THE_HOUR = frozenset({"kv_bytes", "threads_measured", "concurrency", "url"})
"""Settings of an engine that follow what was free, or where it happened to be."""
POLICIES = (
    "cpu.governor", "cpu.energy_preference", "cpu.frequency", "cpu.turbo", "cpu.smt", "container.cpu_limit",
    "gpu.driver", "gpu*.power_cap", "gpu*.mig",
)  # fmt: skip
"""Knobs, as the environment names them, that decide how fast the same machine is; `gpu*`: of any card."""
_MEMORY_SLACK = 0.05


def apart(both: Both) -> tuple[str, ...]:
    """Why the two machines or engines are not of one class, each with both values; empty if they are."""
    old, new = both.records
    machines = _machines(both.old_run.header.environment, both.new_run.header.environment)
    policies = _policies(both.old_run.header.environment, both.new_run.header.environment)
    return (*machines, *policies, *_candidates(old, new), *_engines(old, new))


def bit_exact(both: Both) -> bool:
    """Whether the same arithmetic on the same kind of machine was asked for: then answers and losses are expected to
    be the same, up to ties of the two best scores (fp32, CPU, local engine, same versions and threads). How fast the
    machine was set changes no answer."""
    old, new = both.records
    asked = new.candidate
    plain = asked.device == "cpu" and asked.dtype == "float32" and asked.quantization is None
    local = all(one.engine is not None and one.engine.engine == "local" for one in (old, new))
    machines = _machines(both.old_run.header.environment, both.new_run.header.environment)
    return plain and local and not any((*machines, *_candidates(old, new), *_engines(old, new)))


def _machines(old: Environment, new: Environment) -> Iterator[str]:
    for what, before, after in (
        ("processor", old.cpu, new.cpu),
        ("usable cores", old.cores, new.cores),
        ("accelerators", ", ".join(old.accelerators) or "none", ", ".join(new.accelerators) or "none"),
        ("system", old.system, new.system),
        ("Python", _minor(old.python), _minor(new.python)),
        *((name, old.packages.get(name), new.packages.get(name)) for name in _VERSIONS),
    ):
        if before != after:
            yield f"{what}: {before} → {after}"
    if abs(new.memory_bytes - old.memory_bytes) > _MEMORY_SLACK * old.memory_bytes:
        yield f"memory: {old.memory_bytes / 2**30:.1f} GiB → {new.memory_bytes / 2**30:.1f} GiB"


def _policies(old: Environment, new: Environment) -> Iterator[str]:
    before, after = ({one.knob: one.value for one in machine.readings} for machine in (old, new))
    for knob in sorted(before.keys() & after.keys()):
        values = before[knob], after[knob]
        if any(fnmatchcase(knob, name) for name in POLICIES) and None not in values and values[0] != values[1]:
            yield f"{knob}: {values[0]} → {values[1]}"


def _candidates(old: CandidateRecord, new: CandidateRecord) -> Iterator[str]:
    for name in _ASKED:
        before, after = getattr(old.candidate, name), getattr(new.candidate, name)
        if before != after:
            yield f"{name}: {before} → {after}"


def _engines(old: CandidateRecord, new: CandidateRecord) -> Iterator[str]:
    if old.engine is None or new.engine is None:
        return
    if old.engine.engine != new.engine.engine:
        yield f"engine: {old.engine.engine} → {new.engine.engine}"
    before, after = old.engine.settings, new.engine.settings
    for name in sorted({*before, *after} - _OF_THE_HOUR - {"torch", "transformers"}):
        if before.get(name) != after.get(name):
            yield f"engine's {name}: {before.get(name)} → {after.get(name)}"


def _minor(version: str) -> str:
    return ".".join(version.split(".")[:2])
