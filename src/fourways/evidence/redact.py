"""Takes out of text what a published run must not say: tokens, keys, URL credentials, the home folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

MASK = "[redacted]"

_USERINFO = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://)[^/\s?#]*@")
_SECRET_WORD = r"api[-_]?key|access[-_]?key|token(?!s|iz)|secret|passw(?:or)?d|authorization|credential"
_SECRET_NAME = rf"[\w.-]*(?:{_SECRET_WORD})[\w.-]*"
_VALUE = r""""[^"\n]*"|'[^'\n]*'|(?:(?:bearer|basic)\s+)?[^\s&#,;'"]+"""
_ASSIGNED = re.compile(rf"""(?i)(?P<name>(?<![\w.-]){_SECRET_NAME}["']?\s*[=:]\s*)(?:{_VALUE})""")
_SHORT_NAMES = re.compile(r"(?i)(?P<name>[?&](?:key|sig|signature|auth|code|pass|pwd)=)[^\s&#'\"]+")
"""Names that say "secret" only in the query of a URL."""
_BEARER = re.compile(r"(?i)\b(?P<name>bearer\s+)[\w.~+/=-]+")
_KNOWN_TOKEN = re.compile(
    r"\b(?:hf_[A-Za-z0-9]{8,}|sk-[A-Za-z0-9_-]{8,}|gh[pousr]_[A-Za-z0-9]{8,}|github_pat_\w{8,}|glpat-[\w-]{8,}"
    r"|xox[abprs]-[\w-]{8,}|nvapi-[\w-]{8,}|gsk_[A-Za-z0-9]{8,}|AIza[\w-]{30,}|AKIA[A-Z0-9]{12,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
_SECRET_OPTION = re.compile(rf"(?i)^--?{_SECRET_NAME}$")


def redact(text: str) -> str:
    """The text without secrets: `user:password@` of a URL, values named like a secret, well-known token shapes; the
    home folder becomes `~`. What is left may be published."""
    text = _USERINFO.sub(rf"\g<scheme>{MASK}@", text)
    text = _ASSIGNED.sub(rf"\g<name>{MASK}", text)
    text = _SHORT_NAMES.sub(rf"\g<name>{MASK}", text)
    text = _BEARER.sub(rf"\g<name>{MASK}", text)
    text = _KNOWN_TOKEN.sub(MASK, text)
    return _without_home(text)


def redact_argv(argv: Sequence[str]) -> tuple[str, ...]:
    """A command line, redacted; the value that follows an option named like a secret (`--api-key X`) goes too."""
    clean: list[str] = []
    secret_follows = False
    for argument in argv:
        clean.append(MASK if secret_follows else redact(argument))
        secret_follows = bool(_SECRET_OPTION.match(argument))
    return tuple(clean)


def _without_home(text: str) -> str:
    home = str(Path.home())
    if home == "/":
        return text
    return re.sub(rf"(?<![\w.~-]){re.escape(home)}(?=/|$|[\s:,;'\"])", "~", text)
