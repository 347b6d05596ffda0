"""What `fourways models list`, `show` and `discover` print."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from rich.table import Table

from fourways.cli.data_progress import in_words
from fourways.core.plain_text import clean

if TYPE_CHECKING:
    from fourways.hub.discover import Finding
    from fourways.hub.registry import Entry
    from fourways.hub.registry.condition import Condition

SCHEMA = "fourways.models/v1"


def overview(listed: Sequence[tuple[Entry, Condition]], title: str) -> Table:
    """A line an entry."""
    table = Table(title=title, title_justify="left")
    for column in ("name", "what", "weights", "parameters", "state", "from"):
        table.add_column(column, justify="right" if column == "parameters" else "left", overflow="fold")
    for entry, condition in listed:
        manifest = entry.manifest
        parameters = f"{manifest.parameters:,}" if manifest is not None else ""
        cells = (entry.name, _what(entry), _weights(entry), parameters, condition.state, _from(entry))
        table.add_row(*map(clean, cells))
    return table


def details(entry: Entry, condition: Condition) -> list[tuple[str, str]]:
    """Everything of one entry, as (what, value)."""
    lines = [
        ("name", entry.name),
        ("kind", entry.kind),
        ("state", f"{condition.state}: {condition.why}" if condition.why else condition.state),
        ("folder", entry.folder),
        ("registered", f"{entry.added} on {entry.host}"),
        ("source", _from(entry)),
        ("identity", entry.identity or "not known yet: not every file was hashed"),
        *(_of_adapter(entry) if entry.adapter is not None else _of_model(entry)),
    ]
    files = [(file.name, f"{file.bytes:,} bytes  {file.sha256 or '(not hashed)'}") for file in entry.files]
    return [line for line in lines if line[1]] + [
        ("files", f"{len(files)}"),
        *((f"  {name}", rest) for name, rest in files),
    ]


def found(listed: Sequence[tuple[Finding, str]], registered: Collection[str]) -> Table:
    """A line a finding, and the name it is or would be registered by. registered: folders."""
    table = Table(title="Found", title_justify="left")
    for column in ("name", "state", "kind", "what", "size", "from", "folder", "trouble"):
        table.add_column(column, justify="right" if column == "size" else "left", overflow="fold")
    for one, name in listed:
        origin = one.origin
        at = f"@{', '.join(origin.refs) or origin.revision}" if origin.revision else ""
        source = f"{origin.source}{at}" if origin.source else ""
        state = "registered" if str(one.folder) in registered else "unusable" if one.trouble else "new"
        cells = (name, state, one.kind, one.what, in_words(one.bytes), source, str(one.folder), one.trouble or "")
        table.add_row(*map(clean, cells))
    return table


def record(entry: Entry, condition: Condition) -> dict[str, Any]:
    """For machines."""
    return {**msgspec.to_builtins(entry), "state": condition.state, "why": condition.why}


def finding_record(one: Finding, name: str, registered: bool) -> dict[str, Any]:
    """For machines."""
    return {
        "name": name,
        "registered": registered,
        "kind": one.kind,
        "folder": os.fsencode(one.folder).decode(errors="replace"),
        "layout": one.origin.layout,
        "source": one.origin.source,
        "revision": one.origin.revision,
        "refs": list(one.origin.refs),
        "what": one.what,
        "bytes": one.bytes,
        "trouble": one.trouble,
    }


def as_json(key: str, records: Any) -> str:
    return msgspec.json.format(msgspec.json.encode({"schema": SCHEMA, key: records}), indent=1).decode()


def _what(entry: Entry) -> str:
    if entry.adapter is None:
        return entry.manifest.architecture if entry.manifest is not None else "?"
    rank = f" r={entry.adapter.rank}" if entry.adapter.rank is not None else ""
    return f"{entry.adapter.peft_type}{rank} for {entry.base or entry.adapter.base or '?'}"


def _weights(entry: Entry) -> str:
    if entry.manifest is None:
        return ""
    quantization = entry.manifest.quantization
    return entry.manifest.weight_dtype + (f" ({quantization.method})" if quantization is not None else "")


def _from(entry: Entry) -> str:
    if entry.source is None:
        return ""
    return f"{entry.source}@{entry.revision}" if entry.revision else entry.source


def _of_model(entry: Entry) -> list[tuple[str, str]]:
    manifest = entry.manifest
    if manifest is None:
        return []
    parts = (f"{part} {size.parameters:,}" for part, size in manifest.parts.items())
    return [
        ("architecture", f"{manifest.architecture} ({manifest.architecture_class}), {manifest.layout} layout"),
        ("family", manifest.family_entry_point or "none: Fourways cannot load it as it stands"),
        ("weights", f"{_weights(entry)}, {manifest.shards} files, {manifest.tensors:,} tensors"),
        ("parameters", f"{manifest.parameters:,}: {', '.join(parts)}"),
        ("takes", ", ".join(manifest.modalities)),
        ("context", f"{manifest.context:,} tokens" if manifest.context else ""),
        ("requires", ", ".join(f"{name}>={least}" if least else name for name, least in manifest.requires.items())),
        ("licence", manifest.licence or ""),
        (
            "converted",
            f"from {manifest.converted.layout} by {manifest.converted.converter}" if manifest.converted else "",
        ),
    ]


def _of_adapter(entry: Entry) -> list[tuple[str, str]]:
    adapter = entry.adapter
    if adapter is None:
        return []
    targets = adapter.target_modules
    base = f"{entry.base} (registered), identity then {entry.base_identity or 'not known'}" if entry.base else ""
    return [
        ("adapter", f"{adapter.peft_type}, rank {adapter.rank}, alpha {adapter.alpha}"),
        ("modules", ", ".join(targets) if isinstance(targets, tuple) else targets or ""),
        ("base", base or f"{adapter.base or 'not said'} (not registered)"),
    ]
