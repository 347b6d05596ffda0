"""run.json: built once before the first row, then only compared.

Contract: what is written here is redacted, names as well as values. A resumed run is refused if anything that could
change its rows differs; what it may change (the command line, the hour, how long an engine's trial of its threads took,
what memory was free for its keys and values, how many workers ask, what a finished axis added, how loaded the machine
was, packages that nothing of the run imports) is in `_MAY_DIFFER`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from fourways.core.clock import host_clock
from fourways.core.run import (
    RUN_SCHEMA,
    BenchmarkRecord,
    CandidateRecord,
    CrewRecord,
    PlanRecord,
    RunHeader,
    ShardRecord,
    ThreadChoice,
    WorkloadRecord,
)
from fourways.core.run_files import RUN_FILE, write_whole
from fourways.evidence.environment import environment
from fourways.evidence.redact import redact, redact_argv
from fourways.evidence.source import source_state

_MAY_DIFFER = {
    "": frozenset({"run_id", "started", "argv", "thread_choice", "crews", "clock", "traces"}),
    "settings": frozenset({"threads_measured", "concurrency", "kv_bytes"}),
    "environment": frozenset({"readings", "lock"}),
}
"""Part of the header → its fields. A file of a checkpoint may bear any of these names, and is compared all the same."""


def new_run_id(names: Sequence[str], now: datetime | None = None) -> str:
    """`<UTC stamp>-<names>`: safe as a folder name, at most 120 characters. This process is never given one twice: it
    waits for the next second."""
    safe = ["".join(c if c.isalnum() or c in "._@+" else "_" for c in name) for name in names]
    while True:
        stamp = (now or datetime.now(UTC)).strftime("%Y-%m-%dT%H-%M-%SZ")
        run_id = "-".join([stamp, *safe])[:120].rstrip("-._")
        if now is not None or run_id not in _given:
            _given.add(run_id)
            return run_id
        time.sleep(0.1)


_given: set[str] = set()


def build_header(
    *,
    run_id: str,
    argv: Sequence[str],
    seed: int,
    axes: Sequence[str],
    limit: int | None,
    quick: bool,
    candidates: Sequence[CandidateRecord],
    suite: Sequence[BenchmarkRecord],
    definitions: dict[str, str],
    shard: ShardRecord | None = None,
    crews: Sequence[CrewRecord] = (),
    thread_choice: ThreadChoice | None = None,
    workloads: Sequence[WorkloadRecord] = (),
    plan: PlanRecord | None = None,
) -> RunHeader:
    """The header of a run on this machine, now, with every text redacted."""
    header = RunHeader(
        schema=RUN_SCHEMA,
        run_id=run_id,
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        argv=redact_argv(argv),
        source=source_state(),
        seed=seed,
        axes=tuple(axes),
        limit=limit,
        quick=quick,
        candidates=tuple(candidates),
        suite=tuple(suite),
        definitions=definitions,
        environment=environment(),
        clock=host_clock(),
        shard=shard,
        crews=tuple(crews),
        thread_choice=thread_choice,
        workloads=tuple(workloads),
        plan=plan,
    )
    return msgspec.convert(_redacted(msgspec.to_builtins(header)), RunHeader)


def write_header(header: RunHeader, folder: Path) -> Path:
    """run.json in the folder, whole or not at all."""
    path = folder / RUN_FILE
    write_whole(path, msgspec.json.format(msgspec.json.encode(header, order="sorted"), indent=1) + b"\n")
    return path


def changes(old: msgspec.Struct, new: msgspec.Struct) -> list[str]:
    """What differs between two headers, or the same part of two, in a way that could change rows, as
    `where: old → new`; empty if the run may go on."""
    before, after = (msgspec.to_builtins(part, order="deterministic") for part in (old, new))
    return [line.removeprefix(".") for line in _differences("", "", before, after)]


def _redacted(value: Any) -> Any:
    match value:
        case str():
            return redact(value)
        case dict():
            return {redact(key): _redacted(item) for key, item in value.items()}
        case list() | tuple():
            return [_redacted(item) for item in value]
        case _:
            return value


def _differences(where: str, part: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted({*old, *new} - _MAY_DIFFER.get(part, frozenset())):
            yield from _differences(f"{where}.{key}", key, old.get(key), new.get(key))
    elif isinstance(old, list | tuple) and isinstance(new, list | tuple) and len(old) == len(new):
        for index, (left, right) in enumerate(zip(old, new, strict=True)):
            yield from _differences(f"{where}[{_name(left, index)}]", "[]", left, right)
    elif old != new:
        yield f"{where}: {_short(old)} → {_short(new)}"


def _name(item: Any, index: int) -> str:
    if isinstance(item, dict):
        inner = item.get("candidate")
        name = inner.get("name") if isinstance(inner, dict) else item.get("key")
        return str(name) if name else str(index)
    return str(index)


def _short(value: Any) -> str:
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= 40 else f"{text[:37]}…"
