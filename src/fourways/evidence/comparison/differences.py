"""What two headers say differently, by dotted path; without what differs between any two runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from fourways.core.run import RunHeader
from fourways.core.verdict import Difference

_ALWAYS = frozenset(
    {
        "schema", "run_id", "started", "argv", "clock", "traces", "crews", "threads_measured", "trial", "kv_bytes",
        "added", "advice", "unread", "path", "at",
    }
)  # fmt: skip
"""Of the hour, the place or the command line, not of what was run."""
_BY_NAME = frozenset(
    {
        "candidates", "suite", "workloads", "definitions", "environment.lock", "environment.packages",
        "environment.variables", "environment.settings",
    }
)  # fmt: skip
"""Where keys are names that others chose: a package may be called `schema`, a candidate `path`."""
_OF_THE_HOUR = frozenset(
    {
        "load", "pressure", "stolen", "throttled", "cpu_throttled", "throttling", "temperature", "clocks", "model",
        "other_processes", "physical",
    }
)  # fmt: skip
"""The last parts of the names of knobs that read another value every minute, or hold what is free just now."""
_LONGEST = 120


def differences(old: RunHeader, new: RunHeader, pairs: Sequence[tuple[str, str]]) -> tuple[Difference, ...]:
    """pairs: (new name, old name) of the candidates that are compared; those of one run only stand as such."""
    after = [(mine, mine) for mine, _ in pairs]
    return tuple(_walk("", _plain(old, pairs), _plain(new, after)))


def _plain(header: RunHeader, called: Sequence[tuple[str, str]]) -> dict[str, Any]:
    """The header as nested dictionaries; lists of things that have names go by their names. called: what a candidate
    that is compared is called in the differences, and its name in this run; one that is not goes by its own."""
    made: dict[str, Any] = msgspec.to_builtins(header, order="deterministic")
    named = {one["candidate"]["name"]: one for one in made["candidates"]}
    for one in named.values():
        if one["manifest"] is not None:
            one["manifest"]["files"] = {file["name"]: file for file in one["manifest"]["files"]}
    compared = {own for _, own in called}
    others = {name: one for name, one in named.items() if name not in compared}
    made["candidates"] = others | {name: named[own] for name, own in called}
    made["suite"] = {one["key"]: one for one in made["suite"]}
    made["workloads"] = {one["name"]: one for one in made["workloads"]}
    readings = made["environment"].pop("readings")
    made["environment"]["settings"] = {
        one["knob"]: one["value"] for one in readings if one["knob"].rpartition(".")[2] not in _OF_THE_HOUR
    }
    return made


def _walk(where: str, old: Any, new: Any) -> Iterator[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new} - (frozenset() if where in _BY_NAME else _ALWAYS)):
            yield from _walk(f"{where}.{key}" if where else str(key), old.get(key), new.get(key))
    elif old != new:
        yield Difference(where, _said(old), _said(new))


def _said(value: Any) -> str | None:
    """A whole record that the other run lacks is only said to be there."""
    if value is None:
        return None
    if isinstance(value, dict):
        return f"{len(value)} entries" if value else "none"
    if isinstance(value, list | tuple):
        value = ", ".join(map(str, value))
    text = str(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
