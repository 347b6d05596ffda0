"""Tokens → visible text, piece by piece: whole characters only, and nothing that may turn out to be a stop string."""

from __future__ import annotations

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

_BROKEN = "\ufffd"
_PENDING = 3
"""Bytes of a character that may be there before its last one. More broken ends than that are broken for good."""
_WINDOW = 24
"""Tokens that are decoded again at each step; merges and spacing look back a few tokens at most."""


class Detokenizer:
    """Text of a growing list of tokens. All pieces together are the text of all tokens, special ones left out, up to
    the last complete character; bytes that are no UTF-8 appear as replacement characters."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._ids: list[int] = []
        self._start = 0
        self._shown = ""
        self._agreed = 0  # tokens whose text is what was shown

    def push(self, token: int) -> str:
        """The text that this token completes: none while a character is half there."""
        self._ids.append(token)
        text = self._text(self._start)
        if not text.startswith(self._shown):
            # Byte-fallback tokenizers decode a run of bytes as a whole, and all of it badly while its end is open.
            if len(self._ids) - self._agreed <= _PENDING:
                return ""
            self._start, self._shown = self._agreed, ""
            text = self._text(self._start)
        new, self._shown = text[len(self._shown) :], text
        if new:
            self._agreed = len(self._ids)
            if len(self._ids) - self._start >= 2 * _WINDOW:
                self._move()
        return new

    def _move(self) -> None:
        """Start the window later, at a place where it decodes to a tail of what was shown."""
        for start in range(len(self._ids) - _WINDOW, self._start, -1):
            text = self._text(start)
            if text and self._shown.endswith(text):
                self._start, self._shown = start, text
                return

    def _text(self, start: int) -> str:
        text = self._tokenizer.decode(self._ids[start:], skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return _complete(text if isinstance(text, str) else "".join(text))


def _complete(text: str) -> str:
    """Without an end that may be half a character."""
    broken = len(text) - len(text.rstrip(_BROKEN))
    return text[: len(text) - min(broken, _PENDING)]


class StopStrings:
    """Holds back the longest end of the text that could begin a stop string."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._held = ""
        self.hit = False

    def push(self, text: str) -> str:
        """What may be shown now; after a hit, what stood before the stop string, and `hit` is set."""
        if not self._stops:
            return text
        text = self._held + text
        found = [at for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            self.hit, self._held = True, ""
            return text[: min(found)]
        keep = max(_overlap(text, stop) for stop in self._stops)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]

    def flush(self) -> str:
        """What was held back, once no more text will come."""
        held, self._held = self._held, ""
        return held


def _overlap(text: str, stop: str) -> int:
    """Length of the longest end of text that is a beginning of stop."""
    for size in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
