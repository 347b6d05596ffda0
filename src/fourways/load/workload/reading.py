"""A workload's description: one that ships with Fourways, or a file of one's own."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import msgspec

from fourways.core.digests import hash_file
from fourways.core.errors import UserError
from fourways.core.yaml_file import read_yaml, split_error
from fourways.load.workload import spec as sections
from fourways.load.workload.spec import Section, WorkloadSpec, check

_SHIPPED = Path(__file__).parent / "shipped"
_FILES, _TRACES = (".yaml", ".yml", ".json"), (".jsonl", ".csv")
_SECTIONS: dict[str, type[Section]] = {
    "": WorkloadSpec,
    "images": sections.Images,
    "videos": sections.Videos,
    "prompt": sections.Prompt,
    "prompt.system": sections.System,
    "answer": sections.Answer,
}
_AMOUNT = "a number, a list of {value: 2, weight: 1}, or {median: 40, factor: 2, least: 4, most: 400}"
_SIZE = "WIDTHxHEIGHT, or a list of {size: 640x480, weight: 1}"
_FORMS = {
    **dict.fromkeys(("images.count", "images.pixels", "videos.count", "videos.frames"), _AMOUNT),
    **dict.fromkeys(("prompt.words", "prompt.tokens", "answer.tokens"), _AMOUNT),
    **dict.fromkeys(("images.size", "videos.size"), _SIZE),
    "images.aspect": "WIDTHxHEIGHT, or a list of {aspect: 16x9, weight: 1}",
    "images.format": "jpeg, png, or a list of {format: png, weight: 1}",
    "prompt.language": "de, en, es, zh, or a list of {language: zh, weight: 1}",
    "adapters": "a list of {adapter: NAME, weight: 1}; null for none",
    "visual_budget": "a number of visual tokens, or a list of {visual_tokens: 256, weight: 1}; null for the default",
}


@dataclass(frozen=True, slots=True)
class Description:
    """What a file said. canonical: the same for every way of writing it; sha256: of that, and of the trace. trace:
    where the recorded traffic lies, and trace_sha256 its digest."""

    spec: WorkloadSpec
    canonical: str
    sha256: str
    trace: Path | None = None
    trace_sha256: str | None = None


def names() -> tuple[str, ...]:
    """The workloads that ship."""
    return tuple(sorted(path.stem for path in _SHIPPED.glob("*.yaml")))


def read_workload(word: str) -> Description:
    """The description of a shipped name, of a YAML or JSON file, or of a trace (JSON lines or CSV) with everything it
    does not tell by default. Raises UserError naming the file, the field, and what is allowed."""
    if word in names():
        return _of_file(_SHIPPED / f"{word}.yaml", word)
    path = Path(word).expanduser()
    if path.suffix.lower() in _FILES:
        return _of_file(path, str(path))
    if path.suffix.lower() in _TRACES:
        name = "".join(c if c.isalnum() or c in "._@+-" else "_" for c in path.stem)[:64] or "trace"
        return describe(WorkloadSpec(name, trace=path.name), path.parent)
    raise UserError(
        f"there is no workload {word!r}",
        hint=f"one of {', '.join(names())}, or a file: {', '.join((*_FILES, *_TRACES))}",
    )


def describe(spec: WorkloadSpec, folder: Path | None = None) -> Description:
    """folder: where the path of its trace starts. Raises ValueError for what cannot be, UserError for a trace that is
    not there."""
    check(spec)
    canonical = msgspec.json.encode(msgspec.to_builtins(spec), order="sorted").decode()
    digest = hashlib.sha256(canonical.encode())
    if spec.trace is None:
        return Description(spec, canonical, digest.hexdigest())
    trace = (folder or Path()) / spec.trace
    if not trace.is_file():
        raise UserError(f"{trace}: there is no such trace", hint="the path starts at the workload's own folder")
    trace_sha256 = hash_file(trace)
    digest.update(trace_sha256.encode())
    return Description(spec, canonical, digest.hexdigest(), trace, trace_sha256)


def _of_file(path: Path, shown: str) -> Description:
    loaded = read_yaml(path)
    if not isinstance(loaded, dict):
        raise UserError(f"{shown} is no workload", hint=f"it should have fields: {_fields('')}")
    try:
        spec = msgspec.convert({"name": path.stem, **loaded}, WorkloadSpec)
        return describe(spec, path.parent)
    except msgspec.ValidationError as error:
        what, field = split_error(error)
        raise UserError(f"{shown}: {f'{field}: ' if field else ''}{what}", hint=_hint(field)) from None
    except ValueError as error:
        raise UserError(f"{shown}: {error}", hint=_hint(str(error).partition(":")[0])) from None


def _hint(field: str) -> str:
    """What is allowed where something is wrong."""
    place = re.sub(r"\[[^\]]*\]", "", field)
    form = next((name for name in _FORMS if place == name or place.startswith(f"{name}.")), None)
    if form is not None:
        return f"{form} is {_FORMS[form]}"
    while place not in _SECTIONS:
        place = place.rpartition(".")[0]
    return f"{place or 'the file'} has: {_fields(place)}"


def _fields(section: str) -> str:
    return ", ".join(_SECTIONS[section].__struct_fields__)
