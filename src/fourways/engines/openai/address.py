"""Where the server is, what key it gets, and how both may be shown."""

from __future__ import annotations

import ipaddress
import os
from dataclasses import dataclass, field

import httpx

from fourways.core.candidate import Candidate
from fourways.core.errors import UserError

DEFAULT_KEY = "OPENAI_API_KEY"


@dataclass(frozen=True, slots=True)
class Address:
    """base: ends in the path before `/chat/completions`. shown: the same without user, password and query. key: sent as
    a bearer token, or None."""

    base: httpx.URL = field(repr=False)
    shown: str
    key: str | None = field(repr=False)
    loopback: bool

    def path(self, tail: str) -> httpx.URL:
        return self.base.copy_with(path=f"{_path(self.base)}/{tail}")

    def beside(self, tail: str) -> httpx.URL:
        """Where servers put what is no part of the API: beside `/v1`."""
        return self.base.copy_with(path=f"{_path(self.base).removesuffix('/v1')}/{tail}")

    def hide(self, text: str) -> str:
        """The text on one line, at most 300 characters, without the key (servers repeat a wrong one) and without what a
        terminal would obey."""
        for secret in (self.key, self.base.password):
            text = text.replace(secret, "***") if secret else text
        line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
        return line if len(line) <= 300 else line[:297] + "..."


def find_address(candidate: Candidate) -> Address:
    """The server of a candidate. A URL without a path gets `/v1`.

    The key is the environment variable that the candidate names, else OPENAI_API_KEY, which plain http carries to this
    machine only. Raises UserError."""
    url = _url(candidate)
    loopback = _is_loopback(url.host)
    shown = str(url.copy_with(username=None, password=None, query=None, fragment=None))
    return Address(url, shown, _key(candidate, encrypted=url.scheme == "https" or loopback), loopback)


def _url(candidate: Candidate) -> httpx.URL:
    try:
        url = httpx.URL(candidate.url or "")
    except (httpx.InvalidURL, ValueError):
        raise UserError(f"candidate {candidate.name!r}: its URL cannot be read") from None
    if url.scheme not in ("http", "https") or not url.host:
        raise UserError(
            f"candidate {candidate.name!r}: its URL is not one of http or https",
            hint="for example http://localhost:8000/v1",
        )
    path = _path(url).removesuffix("/chat/completions")
    return url.copy_with(path=path or "/v1", fragment=None)


def _path(url: httpx.URL) -> str:
    """As it stands in the URL, escapes included; no slash at its end."""
    return url.raw_path.partition(b"?")[0].decode("ascii").rstrip("/")


def _key(candidate: Candidate, *, encrypted: bool) -> str | None:
    named = candidate.api_key_env
    if named is None:
        return (os.environ.get(DEFAULT_KEY) or None) if encrypted else None
    key = os.environ.get(named)
    if not key:
        raise UserError(
            f"candidate {candidate.name!r}: the environment variable {named} holds no key",
            hint=f"set it (export {named}=…), or correct api_key_env",
        )
    return key


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
        return address.is_loopback or address.is_unspecified  # 0.0.0.0, as servers print it, is reached on this machine
    except ValueError:
        return False
