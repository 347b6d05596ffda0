"""What stands beside the weights, held against one another: config.json, tokenizer, chat template, generation config.

All of it is read, nothing is loaded. The template is rendered with and without a picture; the control tokens that only
the picture brings are the ones that may be its placeholder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any, TypeGuard

from tokenizers import Tokenizer
from transformers.utils.chat_template_utils import render_jinja_template

from fourways.compare.health.faults import finding
from fourways.compare.health.outcome import Outcome
from fourways.core.candidate import Checkpoint
from fourways.core.errors import CheckpointError
from fourways.core.health import Finding
from fourways.hub.manifest.settings import chat_template, image_processor, inner, read_settings
from fourways.hub.weights import Header, read_headers

EMBEDDINGS = re.compile(r"(^|\.)(embed_tokens|tok_embeddings|wte)\.weight$")
_LAYER = re.compile(r"(?:^|\.)(?:model|language_model)\.(?:language_model\.|model\.)*layers\.(\d+)\.")
_IMAGE_KEYS = ("image_token_id", "image_token_index")
_OTHER_KEYS = ("video_token_id", "video_token_index", "vision_start_token_id", "vision_end_token_id", "eos_token_id",
               "pad_token_id", "bos_token_id")  # fmt: skip
_MARKS = re.compile(r"<.+>|\[.+\]")
"""How control tokens look; older tokenizers hold some of them among the ordinary ones."""
_TEXT, _REPLY = "fourways-canary", "fourways-reply"
_WRITTEN = re.compile(r"<\|\w+\|>")
"""How most templates mark their turns."""


class Settings:
    """The small files of one checkpoint, each read when it is first needed. Raises CheckpointError."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.folder, self.config = checkpoint.folder, checkpoint.config
        self.text = inner(self.config, "text_config") or self.config

    @cached_property
    def tensors(self) -> Header:
        """Of all weight files."""
        return {name: entry for held in read_headers(self.folder).values() for name, entry in held.items()}

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
    def ends(self) -> list[object]:
        """What ends a reply, by generation_config.json, else config.json, else the tokenizer's settings."""
        places = (read_settings(self.folder / "generation_config.json"), self.text, self.config)
        said = next((found for place in places if (found := place.get("eos_token_id")) is not None), None)
        if said is None:
            token = _token(read_settings(self.folder / "tokenizer_config.json").get("eos_token"))
            said = self.control.get(token) if token is not None else None
        return said if isinstance(said, list) else [] if said is None else [said]

    @cached_property
    def template(self) -> str | None:
        """The chat template where the families look for one, or where older processors kept it; None if there is
        none."""
        found = chat_template(self.folder)
        kept = read_settings(self.folder / "processor_config.json").get("chat_template") if found is None else found
        return kept if isinstance(kept, str) else None

    def rendered(self, *parts: dict[str, str], reply: str | None = None) -> str:
        """The prompt of one user turn, or of it and its reply. Raises whatever the template does: it is a program."""
        told = read_settings(self.folder / "tokenizer_config.json")
        roles: dict[str, Any] = {
            key: token for key, value in told.items() if key.endswith("_token") and (token := _token(value)) is not None
        }
        turns: list[dict[str, Any]] = [{"role": "user", "content": list(parts)}]
        if reply is not None:
            turns.append({"role": "assistant", "content": [{"type": "text", "text": reply}]})
        rendered: Any = render_jinja_template(
            conversations=[turns], chat_template=self.template, add_generation_prompt=reply is None, **roles
        )
        return str(rendered[0][0])


def _token(said: object) -> str | None:
    """As tokenizer_config.json writes one: its text, or an object that holds it."""
    found = said.get("content") if isinstance(said, dict) else said
    return found if isinstance(found, str) else None


def check_settings(checkpoint: Checkpoint) -> Outcome:
    """Raises CheckpointError where a file cannot be read at all."""
    settings = Settings(checkpoint)
    looks = (_vocabulary, _layers, _pictures, _ending, _template)
    found = [one for look in looks for one in look(settings)]
    said = f"{len(settings.control)} control tokens" if settings.control else "no tokenizer.json"
    return Outcome(f"{said}, {'a' if settings.template else 'no'} chat template", tuple(found))


def _vocabulary(settings: Settings) -> Iterator[Finding]:
    shapes = (entry["shape"] for name, entry in settings.tensors.items() if EMBEDDINGS.search(name))
    rows = next((shape[0] for shape in shapes if len(shape) == 2), None)
    if rows is None:
        return
    said = settings.text.get("vocab_size")
    if isinstance(said, int) and said != rows:
        yield finding("weights.shape", f"config.json says {said} words, the embedding has {rows} rows")
    if settings.tokenizer is None:
        return
    highest = max(settings.tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if highest >= rows:
        yield finding("tokenizer.vocabulary", f"the tokenizer's ids go up to {highest}, the embedding has {rows} rows")


def _layers(settings: Settings) -> Iterator[Finding]:
    said = settings.text.get("num_hidden_layers")
    held = max((int(found[1]) + 1 for name in settings.tensors if (found := _LAYER.search(name))), default=0)
    if isinstance(said, int) and held > said:
        yield finding("config.layers", f"config.json says {said} layers, the weights hold {held}")


def _pictures(settings: Settings) -> Iterator[Finding]:
    """A spread of zero makes every pixel infinite."""
    spread = image_processor(settings.folder).get("image_std")
    if isinstance(spread, list) and any(one == 0 for one in spread):
        yield finding("preprocessor.invalid", f"image_std is {spread}: pixels are divided by zero")


def _ending(settings: Settings) -> Iterator[Finding]:
    """Ids that are no token at all end nothing, which does no harm beside one that does."""
    if settings.tokenizer is None or not settings.control or not settings.ends:
        return
    tokens = [(end, settings.tokenizer.id_to_token(end) if _is_id(end) else None) for end in settings.ends]
    ordinary = [(end, token) for end, token in tokens if token is not None and not _is_control(settings, end, token)]
    for end, token in ordinary:
        yield finding("ending.wrong", f"replies end on {end!r}, which is the ordinary token {token!r}")
    if all(token is None for _, token in tokens):
        yield finding("ending.wrong", f"replies end on {settings.ends}, which is no token")


def _is_id(said: object) -> TypeGuard[int]:
    return isinstance(said, int) and 0 <= said < 1 << 32


def _is_control(settings: Settings, end: object, token: str) -> bool:
    return end in settings.control.values() or _MARKS.fullmatch(token) is not None


def _template(settings: Settings) -> Iterator[Finding]:
    if settings.template is None:
        yield finding("template.missing", f"{settings.folder} has no chat template in any place where one may lie")
        return
    asked = {"type": "text", "text": _TEXT}
    try:
        plain, seen = settings.rendered(asked), settings.rendered({"type": "image"}, asked)
    except Exception as error:
        told = str(error) or type(error).__name__
        yield finding("template.wrong", f"the template cannot write a plain question: {told}")
        return
    if _TEXT not in plain or _TEXT not in seen:
        yield finding("template.wrong", "the template leaves out what the user said")
        return
    ends = [token for token, index in settings.control.items() if index in settings.ends]
    if ended := [token for token in ends if plain.rstrip().endswith(token)]:
        yield finding("template.wrong", f"its prompts end with {ended[0]}, as a reply does: none is begun")
        return
    found = list(_image_token(settings, plain, seen))
    tokenizer = settings.tokenizer
    strange = [one for one in _WRITTEN.findall(seen) if tokenizer is not None and tokenizer.token_to_id(one) is None]
    if found and strange:
        told = f"the template writes {strange[0]}, which this tokenizer does not know; {found[0].message}"
        found = [finding("tokenizer.wrong", told)]
    yield from found
    yield from _turn(settings, ends)


def _turn(settings: Settings, ends: list[str]) -> Iterator[Finding]:
    """How the template ends a reply that was given is how the model learned to end one."""
    try:
        told = settings.rendered({"type": "text", "text": _TEXT}, reply=_REPLY).rpartition(_REPLY)[2].strip()
    except Exception:  # a template for one turn only
        return
    closing = [token for token in settings.control if told.startswith(token)]
    if ends and closing and not set(closing) & set(ends):
        named = " ".join(ends)
        yield finding("ending.unlike", f"the template ends a reply with {closing[0]}, the settings name {named}")


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
    if not brought and (written := _MARKS.fullmatch(_more(plain, seen))):
        yield finding("image-token.wrong", f"for a picture the template writes {written[0]}, which is no control token")
    elif not brought:
        yield finding("template.wrong", "the template writes nothing for a picture")
    elif token not in brought:
        yield finding(
            "image-token.wrong", f"{key} is {said} ({token}); for a picture the template writes {' '.join(brought)}"
        )


def _more(plain: str, seen: str) -> str:
    """What stands in the second text and not in the first, where they differ in one place."""
    begin = _alike(plain, seen)
    end = _alike(plain[begin:][::-1], seen[begin:][::-1])
    return seen[begin : len(seen) - end].strip()


def _alike(one: str, other: str) -> int:
    """Characters at the beginning of both."""
    return next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
