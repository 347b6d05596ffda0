"""What stands beside the weights, held against one another: config.json, tokenizer, chat template, generation config.

All of it is read, nothing is loaded. The template is rendered with and without a picture; the control tokens that only
the picture brings are the ones that may be its placeholder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from jinja2 import TemplateError
from tokenizers import Tokenizer
from transformers.utils.chat_template_utils import render_jinja_template

from fourways.compare.health.faults import Finding, finding
from fourways.compare.health.outcome import Outcome
from fourways.core.candidate import Checkpoint
from fourways.core.errors import CheckpointError
from fourways.hub.weights import read_header, weight_files

EMBEDDINGS = re.compile(r"(^|\.)(embed_tokens|tok_embeddings|wte)\.weight$")
_LAYER = re.compile(r"(?:^|\.)(?:model|language_model)\.(?:language_model\.|model\.)*layers\.(\d+)\.")
_IMAGE_KEYS = ("image_token_id", "image_token_index")
_OTHER_KEYS = ("video_token_id", "video_token_index", "vision_start_token_id", "vision_end_token_id", "eos_token_id",
               "pad_token_id", "bos_token_id")  # fmt: skip
_MARKS = re.compile(r"<.+>|\[.+\]")
"""How control tokens look; older tokenizers hold some of them among the ordinary ones."""
_TEXT = "fourways-canary"


class Settings:
    """The small files of one checkpoint, each read when it is first needed. Raises CheckpointError."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.folder, self.config = checkpoint.folder, checkpoint.config
        text = self.config.get("text_config")
        self.text: dict[str, Any] = text if isinstance(text, dict) else self.config

    @cached_property
    def tokenizer(self) -> Tokenizer | None:
        """None where the checkpoint has another kind of file than tokenizer.json."""
        file = self.folder / "tokenizer.json"
        if not file.is_file():
            return None
        try:
            return Tokenizer.from_file(str(file))
        except Exception as error:  # the library raises plain Exception
            raise CheckpointError(f"{file} cannot be read: {error}", fault="tokenizer.damaged") from error

    @cached_property
    def control(self) -> dict[str, int]:
        """Control tokens → ids."""
        if self.tokenizer is None:
            return {}
        return {str(token): index for index, token in self.tokenizer.get_added_tokens_decoder().items()}

    @cached_property
    def template(self) -> str | None:
        """The chat template wherever transformers looks for one; None if there is none."""
        if (file := self.folder / "chat_template.jinja").is_file():
            return file.read_text(encoding="utf-8", errors="replace")
        for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
            kept = self.read(name).get("chat_template")
            if isinstance(kept, list):
                kept = next(
                    (one.get("template") for one in kept if isinstance(one, dict) and one.get("name") == "default"),
                    None,
                )
            if kept:
                return str(kept)
        return None

    def read(self, name: str) -> dict[str, Any]:
        """A JSON object; an empty one if the file is not there or is none."""
        try:
            found = json.loads((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def rendered(self, parts: list[dict[str, str]]) -> str:
        """The prompt of one user turn. Raises TemplateError or TypeError."""
        roles: dict[str, Any] = {
            key: value if isinstance(value, str) else str(value.get("content", ""))
            for key, value in self.read("tokenizer_config.json").items()
            if key.endswith("_token") and isinstance(value, str | dict)
        }
        rendered: Any = render_jinja_template(
            conversations=[[{"role": "user", "content": parts}]],
            chat_template=self.template,
            add_generation_prompt=True,
            **roles,
        )
        return str(rendered[0][0])


def check_settings(checkpoint: Checkpoint) -> Outcome:
    """Raises CheckpointError where a file cannot be read at all."""
    settings = Settings(checkpoint)
    found = [*_vocabulary(settings), *_layers(settings), *_ending(settings), *_template(settings)]
    said = f"{len(settings.control)} control tokens" if settings.control else "no tokenizer.json"
    return Outcome(f"{said}, {'a' if settings.template else 'no'} chat template", tuple(found))


def _vocabulary(settings: Settings) -> Iterator[Finding]:
    tensors = {name: entry for file in weight_files(settings.folder) for name, entry in read_header(file).items()}
    rows = next((int(entry["shape"][0]) for name, entry in tensors.items() if EMBEDDINGS.search(name)), None)
    if settings.tokenizer is None or rows is None:
        return
    highest = max(settings.tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if highest >= rows:
        yield finding("tokenizer.vocabulary", f"the tokenizer's ids go up to {highest}, the embedding has {rows} rows")


def _layers(settings: Settings) -> Iterator[Finding]:
    said = settings.text.get("num_hidden_layers")
    names = (name for file in weight_files(settings.folder) for name in read_header(file))
    held = max((int(found[1]) + 1 for name in names if (found := _LAYER.search(name))), default=0)
    if isinstance(said, int) and held > said:
        yield finding("config.layers", f"config.json says {said} layers, the weights hold {held}")


def _ending(settings: Settings) -> Iterator[Finding]:
    if settings.tokenizer is None or not settings.control:
        return
    said = settings.read("generation_config.json").get("eos_token_id")
    ends = said if isinstance(said, list) else [] if said is None else [said]
    for end in ends:
        token = settings.tokenizer.id_to_token(end) if isinstance(end, int) and end >= 0 else None
        if end not in settings.control.values() and not _MARKS.fullmatch(token or ""):
            what = "no token" if token is None else f"the ordinary token {token!r}"
            yield finding("ending.wrong", f"generation_config.json ends replies on {end!r}, which is {what}")


def _template(settings: Settings) -> Iterator[Finding]:
    if settings.template is None:
        yield finding("template.missing", f"{settings.folder} has no chat template in any place where one may lie")
        return
    try:
        plain = settings.rendered([{"type": "text", "text": _TEXT}])
        seen = settings.rendered([{"type": "image"}, {"type": "text", "text": _TEXT}])
    except (TemplateError, TypeError) as error:
        yield finding("template.wrong", f"the template cannot write a plain question: {error}")
        return
    if _TEXT not in plain or _TEXT not in seen:
        yield finding("template.wrong", "the template leaves out what the user said")
        return
    yield from _image_token(settings, plain, seen)


def _image_token(settings: Settings, plain: str, seen: str) -> Iterator[Finding]:
    key = next((key for key in _IMAGE_KEYS if isinstance(settings.config.get(key), int)), None)
    if key is None or not settings.control:
        return
    said = int(settings.config[key])
    token = next((token for token, index in settings.control.items() if index == said), None)
    if token is None:
        yield finding("image-token.wrong", f"{key} is {said}, which is none of the tokenizer's control tokens")
        return
    others = {name: settings.config[name] for name in _OTHER_KEYS if isinstance(settings.config.get(name), int)}
    if twice := [name for name, index in others.items() if index == said]:
        yield finding("image-token.wrong", f"{key} and {twice[0]} are both {said} ({token})")
        return
    brought = [one for one in settings.control if seen.count(one) > plain.count(one)]
    if not brought:
        yield finding("template.wrong", "the template writes nothing for a picture")
    elif token not in brought:
        yield finding(
            "image-token.wrong", f"{key} is {said} ({token}); for a picture the template writes {' '.join(brought)}"
        )
