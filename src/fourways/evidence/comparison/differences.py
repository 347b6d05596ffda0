"""What two headers say differently, by dotted path; without what differs between any two runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
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
    renamed = {theirs: mine for mine, theirs in pairs}
    return tuple(_walk("", _plain(old, renamed), _plain(new, {})))


def _plain(header: RunHeader, renamed: Mapping[str, str]) -> dict[str, Any]:
    """The header as nested dictionaries; lists of things that have names go by their names."""
    made: dict[str, Any] = msgspec.to_builtins(header, order="deterministic")
    made["candidates"] = {
        renamed.get(one["candidate"]["name"], one["candidate"]["name"]): one for one in made["candidates"]
    }
    for one in made["candidates"].values():
        if one["manifest"] is not None:
            one["manifest"]["files"] = {file["name"]: file for file in one["manifest"]["files"]}
    made["suite"] = {one["key"]: one for one in made["suite"]}
    made["workloads"] = {one["name"]: one for one in made["workloads"]}
    readings = made["environment"].pop("readings")
    made["environment"]["settings"] = {
        one["knob"]: one["value"] for one in readings if one["knob"].rpartition(".")[2] not in _OF_THE_HOUR
    }
    return made


def _walk(where: str, old: Any, new: Any) -> Iterator[Difference]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new} - _ALWAYS):
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
