"""What the small JSON files beside the weights say. A file that is not JSON is an error; a value of a strange type is
taken as not said, because every release of a model writes its own."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from fourways.core.errors import CheckpointError
from fourways.hub.small_files import read_object, whole

Settings = dict[str, Any]


def read_settings(file: Path) -> Settings:
    """A JSON object; empty where there is no such file. Raises CheckpointError if it is not one."""
    try:
        return read_object(file)
    except FileNotFoundError:
        return {}


def inner(settings: Settings, *keys: str) -> Settings:
    """The object behind these keys, one in another; empty where one of them is missing."""
    for key in keys:
        value = settings.get(key)
        if not isinstance(value, dict):
            return {}
        settings = value
    return settings


def count(value: object) -> int | None:
    """A number of things: a whole number above 0, else None."""
    found = whole(value)
    return found if found is not None and found > 0 else None


def image_processor(folder: Path) -> Settings:
    """The settings of the image preprocessing, from the file that transformers prefers."""
    shared = inner(read_settings(folder / "processor_config.json"), "image_processor")
    return shared or read_settings(folder / "preprocessor_config.json")


def context_of(config: Settings) -> int | None:
    """The most positions that the language model has. A sliding window inside them is not one."""
    places = (
        inner(config, "text_config"),
        inner(config, "llm_config"),
        inner(config, "thinker_config", "text_config"),
        config,
    )
    found = (count(place.get("max_position_embeddings")) for place in places)
    return next((one for one in found if one is not None), count(config.get("max_target_positions")))


def chat_template(folder: Path) -> str | None:
    """As the families find it: the jinja file, then the JSON beside it, then the tokenizer's own."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        try:
            return file.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise CheckpointError(f"{file} is not UTF-8 text", hint="copy or download the file again") from error
    beside = (read_settings(folder / name) for name in ("chat_template.json", "tokenizer_config.json"))
    return next((text for text in map(_template, beside) if text), None)


def chat_template_sha256(folder: Path) -> str | None:
    """Of the template's text in UTF-8; None without one."""
    text = chat_template(folder)
    return None if text is None else hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _template(settings: Settings) -> str | None:
    """One text, or several by name, of which `default` counts."""
    found = settings.get("chat_template")
    if isinstance(found, list):
        found = next(
            (one.get("template") for one in found if isinstance(one, dict) and one.get("name") == "default"), None
        )
    return found if isinstance(found, str) else None
