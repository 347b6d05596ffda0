"""From a conversation to token ids: the checkpoint's own chat template, with text that can never act as control.

The template is rendered with a mark in place of every text, so what the template wrote and what a person wrote stay
apart. A control token counts only where the template wrote it; the same characters in a text are encoded as text.
Nothing here knows of pixels: a family says what stands in a visual's place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from tokenizers import Tokenizer
from torch import Tensor
from transformers import PreTrainedTokenizerBase
from transformers.utils.chat_template_utils import render_jinja_template

from fourways.core.conversation import Conversation, Text, Turn
from fourways.core.errors import CheckpointError, UserError
from fourways.families.loading import read_json

Kind = Literal["image", "video"]
_NOTHING = r"(?!)"
_MARK = re.compile("\ue000(\\d+)\ue001")
_FORMS = 256
"""Forms of conversation (roles, visuals, white space) whose rendering is kept."""


@dataclass(frozen=True, slots=True)
class Slot:
    """What replaces one visual's marker in the template: text that holds the placeholder once for each run of
    features, and the lengths of those runs."""

    kind: Kind
    text: str
    runs: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Marker:
    """How a template writes a visual (a regular expression), and the token that stands for each feature row."""

    pattern: str
    token: str


@dataclass(frozen=True, slots=True)
class TokenRuns:
    """token_ids: (T,) int64. starts, lengths: of each run of placeholders, in order."""

    token_ids: Tensor
    starts: tuple[int, ...]
    lengths: tuple[int, ...]

    @property
    def mask(self) -> Tensor:
        """(T,) bool, True at placeholders."""
        mask = torch.zeros(len(self.token_ids), dtype=torch.bool)
        for start, length in zip(self.starts, self.lengths, strict=True):
            mask[start : start + length] = True
        return mask


@dataclass(frozen=True, slots=True)
class _Piece:
    """text: as it stands in the prompt. trusted: the template wrote it."""

    text: str
    trusted: bool


def read_template(folder: Path, tokenizer: PreTrainedTokenizerBase, default: str) -> str:
    """The chat template as transformers finds it (jinja file, then JSON, then the tokenizer's), else the family's."""
    if (file := folder / "chat_template.jinja").is_file():
        return file.read_text(encoding="utf-8")
    if (file := folder / "chat_template.json").is_file() and (kept := read_json(file).get("chat_template")):
        return str(kept)
    found = tokenizer.chat_template
    if isinstance(found, dict):
        found = found.get("default")
    return found or default


class ChatPrompt:
    """One checkpoint's way to write a conversation. markup: control tokens that a text may use (they mark regions and
    the like, never turns or visuals)."""

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        template: str,
        markers: Mapping[Kind, Marker],
        markup: Iterable[str] = (),
    ) -> None:
        self._tokenizer = tokenizer
        self._template = template
        self._written: dict[str, str] = {}
        patterns = (f"(?P<{kind}>{marker.pattern})" for kind, marker in markers.items())
        self._marker = re.compile("|".join(patterns) or _NOTHING)
        self._ids = {str(token): int(index) for index, token in tokenizer.added_tokens_decoder.items()}
        self._placeholders = {self._ids[m.token] for m in markers.values() if m.token in self._ids}
        self._control = _any_of(self._ids)
        self._markup = _any_of(self._ids.keys() & set(markup))

    def encode(self, conversation: Conversation, slots: Sequence[Sequence[Slot]]) -> TokenRuns:
        """Token ids of a conversation up to where the answer starts. slots: one sequence a visual, in order.

        Raises CheckpointError where the template fails or loses a visual, UserError for an unfit conversation.
        """
        if not conversation.turns or conversation.turns[-1].role != "user":
            raise UserError("a conversation must end with a user's turn", hint="the model answers the last turn")
        flat = [slot for visual in slots for slot in visual]
        ids = self._tokenize(self._fill(self._render(conversation, slots), flat))
        return self._expand(ids, [run for slot in flat for run in slot.runs])

    # -- template ------------------------------------------------------------------------------------------------
    def _render(self, conversation: Conversation, slots: Sequence[Sequence[Slot]]) -> list[_Piece]:
        texts: list[str] = []
        remaining = iter(slots)
        messages = [_message(turn, texts, remaining) for turn in conversation.turns]
        pieces: list[_Piece] = []
        for index, part in enumerate(_MARK.split(self._write(messages))):
            pieces.append(_Piece(texts[int(part)], trusted=False) if index % 2 else _Piece(part, trusted=True))
        return pieces

    def _write(self, messages: list[dict[str, Any]]) -> str:
        """The template's output; kept, since messages hold marks for texts, and conversations of one form are alike."""
        if (known := self._written.get(form := repr(messages))) is not None:
            return known
        special: dict[str, Any] = dict(self._tokenizer.special_tokens_map)
        try:
            rendered: Any = render_jinja_template(
                conversations=[messages],
                chat_template=self._template,
                add_generation_prompt=True,
                **special,
            )
        except Exception as error:  # a template is a program, and fails as it likes
            raise CheckpointError(
                f"the chat template cannot write this conversation: {error}",
                hint="check the order of turns (system, then user and assistant in turn), or the checkpoint's template",
                fault="template.wrong",
            ) from error
        if len(self._written) >= _FORMS:
            self._written.clear()
        self._written[form] = str(rendered[0][0])
        return self._written[form]

    def _fill(self, pieces: list[_Piece], slots: list[Slot]) -> list[_Piece]:
        found: list[str] = []

        def replace(match: re.Match[str]) -> str:
            found.append(str(match.lastgroup))
            return slots[len(found) - 1].text if len(found) <= len(slots) else ""

        filled = [_Piece(self._marker.sub(replace, p.text), trusted=True) if p.trusted else p for p in pieces]
        if found != [slot.kind for slot in slots]:
            raise CheckpointError(
                f"the chat template wrote visuals {found}, expected {[slot.kind for slot in slots]}",
                hint="use the chat template that the model was published with",
                fault="template.wrong",
            )
        return filled

    # -- tokens --------------------------------------------------------------------------------------------------
    def _tokenize(self, pieces: list[_Piece]) -> list[int]:
        text = "".join(piece.text for piece in pieces)
        bos = self._tokenizer.bos_token
        special = not (bos and text.startswith(bos))
        allowed, start = set(), 0
        for piece in pieces:
            pattern = self._control if piece.trusted else self._markup
            allowed |= {(start + m.start(), start + m.end()) for m in pattern.finditer(piece.text)}
            start += len(piece.text)
        if {m.span() for m in self._control.finditer(text)} == allowed:
            return list(self._tokenizer(text, add_special_tokens=special)["input_ids"])
        prefix = list(self._tokenizer("", add_special_tokens=True)["input_ids"]) if special else []
        return prefix + self._tokenize_guarded(text, sorted(allowed))

    def _tokenize_guarded(self, text: str, allowed: list[tuple[int, int]]) -> list[int]:
        """Token ids where only the spans `allowed` are control tokens, although the text spells more of them."""
        ids: list[int] = []
        at = 0
        for start, end in [*allowed, (len(text), len(text))]:
            if at < start:
                ids += self._plain(text[at:start], self._plain_start if at == 0 else self._plain_middle)
            if start < end:
                ids.append(self._ids[text[start:end]])
            at = end
        return ids

    def _plain(self, text: str, tokenizer: Tokenizer) -> list[int]:
        ids: list[int] = tokenizer.encode(text, add_special_tokens=False).ids
        if self._placeholders & set(ids):
            raise UserError("a text spells this model's visual placeholder, and its tokenizer cannot write it as text")
        return ids

    @cached_property
    def _plain_start(self) -> Tokenizer:
        """The tokenizer without any control tokens, for text at the beginning of a prompt."""
        return Tokenizer.from_str(json.dumps(self._backend_state() | {"added_tokens": []}))

    @cached_property
    def _plain_middle(self) -> Tokenizer:
        """The same for text further on, where some tokenizers add no space before the first word."""
        state = self._backend_state()
        state |= {"added_tokens": [], "pre_tokenizer": _without_prefix(state["pre_tokenizer"])}
        return Tokenizer.from_str(json.dumps(state))

    def _backend_state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(self._tokenizer.backend_tokenizer.to_str())
        return state

    def _expand(self, ids: list[int], runs: list[int]) -> TokenRuns:
        out: list[int] = []
        starts: list[int] = []
        for token in ids:
            if token not in self._placeholders:
                out.append(token)
                continue
            if len(starts) == len(runs):
                raise CheckpointError("the chat template wrote a visual placeholder of its own", fault="template.wrong")
            starts.append(len(out))
            out += [token] * runs[len(starts) - 1]
        if len(starts) != len(runs):
            raise CheckpointError(
                f"{len(runs)} visual placeholders were planned, {len(starts)} reached the prompt",
                fault="template.wrong",
            )
        return TokenRuns(torch.tensor(out, dtype=torch.int64), tuple(starts), tuple(runs))


def _any_of(tokens: Iterable[str]) -> re.Pattern[str]:
    longest_first = sorted(tokens, key=lambda t: (-len(t), t))
    return re.compile("|".join(map(re.escape, longest_first)) or _NOTHING)


def _message(turn: Turn, texts: list[str], slots: Iterator[Sequence[Slot]]) -> dict[str, Any]:
    """One turn for the template, its texts replaced by marks; white space stays outside, for templates that trim."""
    content: list[dict[str, str]] = []
    pending = ""
    for part in (*turn.parts, None):
        if isinstance(part, Text):
            pending += part.text
            continue
        if pending or (part is None and not content):
            body = pending.strip()
            lead = pending[: len(pending) - len(pending.lstrip())] if body else pending
            trail = pending[len(pending.rstrip()) :] if body else ""
            content.append({"type": "text", "text": f"{lead}\ue000{len(texts)}\ue001{trail}"})
            texts.append(body)
            pending = ""
        if part is not None:
            content += [{"type": slot.kind} for slot in next(slots)]
    return {"role": turn.role, "content": content}


def _without_prefix(pre_tokenizer: Any) -> Any:
    """A pre-tokenizer that adds no space before text in the middle of a prompt."""
    if isinstance(pre_tokenizer, list):
        return [_without_prefix(item) for item in pre_tokenizer]
    if not isinstance(pre_tokenizer, dict):
        return pre_tokenizer
    cleaned = {key: _without_prefix(value) for key, value in pre_tokenizer.items()}
    return cleaned | {"prepend_scheme": "never"} if cleaned.get("prepend_scheme") == "first" else cleaned
