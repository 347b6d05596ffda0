"""Lists of CPUs as the kernel writes them: `0-3,8` (Documentation/admin-guide/cputopology)."""

from __future__ import annotations

from collections.abc import Iterable

MOST_CPUS = 1 << 16
"""Beyond any machine; keeps `0-99999999999` from becoming a list."""


def parse_cpus(text: str) -> frozenset[int]:
    """`0-3,8` → {0, 1, 2, 3, 8}; nothing → no CPU. Raises ValueError that names what cannot be read."""
    found: set[int] = set()
    for part in filter(None, (one.strip() for one in text.split(","))):
        first, dash, last = part.partition("-")
        low, high = _cpu(first, part), _cpu(last if dash else first, part)
        if low > high:
            raise ValueError(f"{part[:40]!r} runs backwards")
        found.update(range(low, high + 1))
    return frozenset(found)


def format_cpus(cpus: Iterable[int]) -> str:
    """The shortest list that `parse_cpus` reads back; "none" for no CPU."""
    parts: list[str] = []
    run: list[int] = []
    for cpu in [*sorted(set(cpus)), None]:
        if run and (cpu is None or cpu != run[-1] + 1):
            parts.append(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}")
            run = []
        if cpu is not None:
            run.append(cpu)
    return ",".join(parts) or "none"


def _cpu(text: str, part: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 6 and int(text) < MOST_CPUS):
        raise ValueError(f"{part[:40]!r} is no list of CPUs such as 0-3,8")
    return int(text)
