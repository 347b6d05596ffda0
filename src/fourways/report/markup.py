"""HTML that is safe by construction: every plain string is cleaned and escaped, only `Html` is taken as it is.

Replies, questions and names in a run were written by models and by strangers. They may hold tags, scripts, control
characters or bidirectional overrides that make a page show other words than it holds. None of it reaches the page.
"""

from __future__ import annotations

import html
from collections.abc import Iterable

from fourways.core.plain_text import clean

_VOID = frozenset({"meta", "img", "br", "input", "link"})


class Html(str):
    """Markup that this room made. Joining it with a plain `str` gives a `str` again, which will be escaped."""

    __slots__ = ()


Child = str | None
Attribute = str | int | float | bool | None


def escape(text: str) -> Html:
    """Plain text made safe for element content and for quoted attributes."""
    return Html(html.escape(clean(text), quote=True))


def tag(name: str, /, *children: Child, **attributes: Attribute) -> Html:
    """One element. `class_` gives class, `data_x` gives data-x; None and False leave an attribute out, True gives a
    bare one, and numbers are written with at most two decimals."""
    opening = "".join(_attribute(key, value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{opening}>")
    return Html(f"<{name}{opening}>{join(children)}</{name}>")


def join(children: Iterable[Child]) -> Html:
    """Children one after the other, each escaped unless it is `Html`."""
    return Html("".join(child if isinstance(child, Html) else escape(child) for child in children if child is not None))


def foreign(text: str, *, limit: int = 600) -> Html:
    """Text from outside, set apart from the direction of the line around it; cut at `limit`, saying so."""
    return tag("bdi", foreign_text(text, limit), dir="auto")


def foreign_text(text: str, limit: int) -> str:
    """The text, cut at `limit` characters; it then says how long it was."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters)"


def number(value: float) -> str:
    """A coordinate: at most two decimals, no trailing zeros."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text in {"-0", ""} else text


def _attribute(key: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    key = key.rstrip("_").replace("_", "-")
    if value is True:
        return f" {key}"
    text = number(value) if isinstance(value, float) else escape(str(value))
    return f' {key}="{text}"'
