"""The JSON Schema of every file of a run, of a model's manifest and of a health check, made from the types that write
them and shipped beside this module.

`python -m fourways.evidence.schemas` writes them again after a type has changed; a test holds the two in step.
"""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Literal

import msgspec

from fourways.core.figure import Summary
from fourways.core.health import Health
from fourways.core.manifest import Manifest
from fourways.core.rows import Row, RowsHeader
from fourways.core.run import RunHeader, RunState
from fourways.core.verdict import Comparison
from fourways.evidence.statement import Statement

PublishedFile = Literal["check", "comparison", "model", "run", "rows", "state", "statement", "summary"]
VERSION = 1

_TYPES: dict[PublishedFile, tuple[Any, str]] = {
    "check": (Health, "what `fourways models check --json` prints"),
    "comparison": (Comparison, "comparison.json: two runs side by side"),
    "model": (Manifest, "fourways.model.json: what a checkpoint is"),
    "run": (RunHeader, "run.json: the header of a run"),
    "rows": (RowsHeader | Row, "one line of rows.jsonl (or rows.superseded.jsonl): the header (line 1) or a row"),
    "state": (RunState, "state.json: which axes of which candidates are finished"),
    "statement": (Statement, "statement.json: the files of a run by SHA-256, as an in-toto Statement v1"),
    "summary": (Summary, "summary.json: the figures of a run"),
}
_FOLDER = Path(__file__).parent / "published"


def load_schema(name: PublishedFile) -> dict[str, Any]:
    """The published schema (JSON Schema 2020-12) of that file; of rows.jsonl it is the schema of a line."""
    loaded: dict[str, Any] = msgspec.json.decode(_path(name).read_bytes())
    return loaded


def generate(name: PublishedFile) -> bytes:
    """The schema as the types have it now."""
    kind, title = _TYPES[name]
    body = _dedented(msgspec.json.schema(kind))
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:fourways:{name}:v{VERSION}",
        "title": title,
        **{key: value for key, value in body.items() if key != "title"},
    }
    return msgspec.json.format(msgspec.json.encode(schema, order="sorted"), indent=1) + b"\n"


def _dedented(schema: Any) -> Any:
    """Docstrings of the types become descriptions; their indentation does not."""
    if isinstance(schema, dict):
        return {
            key: inspect.cleandoc(item) if key == "description" and isinstance(item, str) else _dedented(item)
            for key, item in schema.items()
        }
    return [_dedented(item) for item in schema] if isinstance(schema, list) else schema


def write() -> list[Path]:
    """Writes every schema into the package."""
    _FOLDER.mkdir(exist_ok=True)
    for name in _TYPES:
        _path(name).write_bytes(generate(name))
    return [_path(name) for name in _TYPES]


def _path(name: PublishedFile) -> Path:
    return _FOLDER / f"{name}.v{VERSION}.schema.json"


if __name__ == "__main__":
    for written in write():
        print(written)
