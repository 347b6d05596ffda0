"""From the words of a command line to candidates: names, URLs, and YAML files of candidates."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import msgspec

from fourways import zoo
from fourways.core.boxes import BoxFormat
from fourways.core.candidate import Candidate, Dtype, Quantization, Sampling
from fourways.core.errors import UserError
from fourways.core.yaml_file import read_yaml, split_error
from fourways.hub.registry.lookup import registered_adapter

_NAME = re.compile(r"[\w.@+-]{1,64}")
_URL = re.compile(r"https?://", re.IGNORECASE)
_FILES = (".yaml", ".yml")

Positive = Annotated[int, msgspec.Meta(ge=1)]


@dataclass(frozen=True, slots=True)
class Defaults:
    """What holds for every candidate that does not say otherwise."""

    device: str = "cpu"
    dtype: Dtype = "float32"
    weights: Literal["trained", "random"] = "trained"


class _SamplingEntry(msgspec.Struct, forbid_unknown_fields=True):
    temperature: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    top_k: Annotated[int, msgspec.Meta(ge=0)] = 0
    presence_penalty: float = 0.0
    repetition_penalty: Annotated[float, msgspec.Meta(gt=0)] = 1.0


class _Entry(msgspec.Struct, forbid_unknown_fields=True):
    """A candidate in a YAML file."""

    name: str | None = None
    model: str | None = None
    url: str | None = None
    served_model: str | None = None
    dtype: Dtype | None = None
    device: str | None = None
    quantization: Quantization | None = None
    adapter: str | None = None
    visual_budget: Positive | None = None
    sampling: _SamplingEntry = msgspec.field(default_factory=_SamplingEntry)
    weights: Literal["trained", "random"] | None = None
    threads: Positive | None = None
    dialect: str | None = None
    box_format: BoxFormat | None = None
    api_key_env: str | None = None
    server_log: str | None = None


_WITH_FIELDS = {"sampling": _SamplingEntry.__struct_fields__, "box_format": BoxFormat.__struct_fields__}


def parse_candidates(
    words: Sequence[str], defaults: Defaults, budgets: Sequence[int | None] = (None,)
) -> tuple[Candidate, ...]:
    """Candidates in the order named; with several visual budgets, each candidate at each.

    A word is `zoo` (all embedded models), MODEL (what `hub.locate` takes), the URL of a server (named
    host_port), NAME=MODEL, NAME=URL, or a YAML file: a list of candidates, or one under `candidates:`. Raises UserError
    naming the word, or the file, the candidate and the field.
    """
    found = [candidate for word in words for candidate in _of_word(word, defaults)]
    spread = [_at_budget(candidate, budget, len(budgets) > 1) for candidate in found for budget in budgets]
    counts = Counter(candidate.name for candidate in spread)
    if twice := [name for name, count in counts.items() if count > 1]:
        raise UserError(f"two candidates are called {twice[0]!r}", hint=f"name them apart: {twice[0]}-2=MODEL")
    return tuple(spread)


def parse_budgets(text: str) -> tuple[int | None, ...]:
    """`native,256,1024` → (None, 256, 1024). Raises UserError."""
    budgets: list[int | None] = []
    for word in text.split(","):
        word = word.strip()
        if word == "native":
            budgets.append(None)
        elif word.isdecimal() and int(word) > 0:
            budgets.append(int(word))
        else:
            raise UserError(
                f"--visual-tokens: {word!r} is no budget", hint="for example: --visual-tokens native,256,1024"
            )
    if len(set(budgets)) < len(budgets):
        raise UserError("--visual-tokens names a budget twice")
    return tuple(budgets)


def _of_word(word: str, defaults: Defaults) -> list[Candidate]:
    if word in ("zoo", "zoo:"):
        return [_named(name, f"zoo:{name}", defaults) for name in zoo.NAMES]
    if word.lower().endswith(_FILES):
        return _of_file(Path(word).expanduser(), defaults)
    name, equals, target = word.partition("=")
    if equals and _NAME.fullmatch(name) and not Path(word).exists():
        if not target:
            raise UserError(f"{word!r} names no model", hint="write NAME=URL or NAME=MODEL")
        return [_named(name, target, defaults)]
    if _URL.match(word):
        return [_named(_server_name(word), word, defaults)]
    return [_named(_short_name(word), word, defaults)]


def _named(name: str, target: str, defaults: Defaults) -> Candidate:
    if _URL.match(target):
        return Candidate(name, url=target, device="", dtype=defaults.dtype)
    return Candidate(name, model=target, dtype=defaults.dtype, device=defaults.device, weights=defaults.weights)


def _short_name(model: str) -> str:
    last = model.removeprefix("zoo:").partition("@")[0].rstrip("/").rpartition("/")[2]
    name = re.sub(r"[^\w.@+-]", "_", Path(last).name or last)[:64]
    return name or "model"


def _server_name(url: str) -> str:
    """Its host and port, never who logs in there."""
    try:
        parts = urlsplit(url)
        words = [parts.hostname or "", *([] if parts.port is None else [str(parts.port)])]
    except ValueError as error:
        raise UserError(f"{url!r} is no URL: {error}", hint="for example: http://127.0.0.1:8000/v1") from error
    if not words[0]:
        raise UserError(f"{url!r} names no host", hint="for example: http://127.0.0.1:8000/v1")
    return re.sub(r"[^\w.@+-]", "_", "_".join(words))[-64:]


def _of_file(path: Path, defaults: Defaults) -> list[Candidate]:
    loaded = read_yaml(path)
    entries = loaded.get("candidates") if isinstance(loaded, dict) else loaded
    if not isinstance(entries, list) or not entries:
        raise UserError(
            f"{path} holds no candidates",
            hint="it should be a list: - {name: qwen-bf16, model: zoo:qwen, dtype: bfloat16}",
        )
    return [_of_entry(path, number, entry, defaults) for number, entry in enumerate(entries, 1)]


def _of_entry(path: Path, number: int, raw: Any, defaults: Defaults) -> Candidate:
    where = f"{path}, candidate {number}"
    try:
        entry = msgspec.convert(raw, _Entry)
    except msgspec.ValidationError as error:
        raise UserError(f"{where}: {_readable(error)}", hint=_fields(error)) from error
    target = entry.model or entry.url
    if target is None or (entry.model and entry.url):
        raise UserError(f"{where}: it needs exactly one of model and url")
    if entry.url and not _URL.match(entry.url):
        raise UserError(f"{where}: url must start with http:// or https://, got {entry.url!r}")
    name = entry.name or (_short_name(target) if entry.model else None)
    if name is None or not _NAME.fullmatch(name):
        raise UserError(
            f"{where}: name must be 1 to 64 letters, digits or . _ @ + -", hint="for example: name: qwen-int4"
        )
    if entry.url and (entry.quantization or entry.threads):
        raise UserError(f"{where}: quantization and threads are the server's own choice; a url cannot set them")
    if entry.server_log and not entry.url:
        raise UserError(f"{where}: server_log is for a server; a model in this process needs none")
    return Candidate(
        name=name,
        model=entry.model,
        url=entry.url,
        served_model=entry.served_model,
        dtype=entry.dtype or defaults.dtype,
        device="" if entry.url else entry.device or defaults.device,
        quantization=entry.quantization,
        adapter=_adapter(entry.adapter) if entry.model and entry.adapter else entry.adapter,
        visual_budget=entry.visual_budget,
        sampling=msgspec.convert(msgspec.to_builtins(entry.sampling), Sampling),
        weights=entry.weights or ("trained" if entry.url else defaults.weights),
        threads=entry.threads,
        dialect=entry.dialect,
        box_format=entry.box_format,
        api_key_env=entry.api_key_env,
        server_log=entry.server_log,
    )


def _adapter(word: str) -> str:
    """The folder of an adapter: one that is here, else that of a registered adapter. Raises CheckpointError for a
    registered one that is not there or not what was registered."""
    folder = Path(word).expanduser()
    if folder.is_dir() or (entry := registered_adapter(word)) is None:
        return str(folder)
    return entry.folder


def _readable(error: msgspec.ValidationError) -> str:
    what, field = split_error(error)
    return f"{field}: {what}" if field else what


def _fields(error: msgspec.ValidationError) -> str:
    """The fields of the thing that is wrong: of a field that has its own, or of a candidate."""
    outer = split_error(error)[1].partition(".")[0]
    if outer in _WITH_FIELDS:
        return f"the fields of {outer} are {', '.join(_WITH_FIELDS[outer])}"
    return f"its fields are {', '.join(_Entry.__struct_fields__)}"


def _at_budget(candidate: Candidate, budget: int | None, several: bool) -> Candidate:
    if not several and budget is None:
        return candidate
    name = f"{candidate.name}@{'native' if budget is None else budget}"
    return msgspec.structs.replace(candidate, name=name, visual_budget=budget)
