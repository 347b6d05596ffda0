"""Where a file can be had: the Hugging Face Hub, ModelScope, or the publisher's own server.

Addresses, endpoints and tokens of the Hub come from its own client: HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE. The bytes
come by `fetch`, as from the other sources: one way to go on after a break, one to verify, and no second copy of
gigabytes in the Hub's cache. What that cache already holds is taken from there.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote, urlsplit, urlunsplit

from huggingface_hub import constants, get_token, hf_hub_url, try_to_load_from_cache

from fourways.core.errors import UserError
from fourways.hub.data.catalogue import File, HubFile, ScopeFile

Source = Literal["huggingface", "modelscope", "direct"]
SOURCES: tuple[Source, ...] = get_args(Source)
VARIABLE = "FOURWAYS_DATA_SOURCE"
_USUAL: tuple[Source, ...] = ("huggingface", "direct", "modelscope")


@dataclass(frozen=True, slots=True)
class Origin:
    """One address of a file. headers: for its own host only. plain_http: the user wrote an http address."""

    source: str
    url: str = field(repr=False)
    headers: dict[str, str] = field(default_factory=dict, repr=False)
    plain_http: bool = False

    @property
    def shown(self) -> str:
        """The address for messages and files: without a user's name, password and query, where secrets may be."""
        parts = urlsplit(self.url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def asked_source(word: str | None) -> Source | None:
    """The option, else $FOURWAYS_DATA_SOURCE, else None. Raises UserError if it is none of the sources."""
    word = word or os.environ.get(VARIABLE) or None
    if word is None:
        return None
    for source in SOURCES:
        if word == source:
            return source
    raise UserError(f"there is no source {word!r}", hint=f"there are {', '.join(SOURCES)}")


def origins(file: File, asked: Source | None) -> list[Origin]:
    """The addresses to try, in order. asked: only this source, where the file has it."""
    there = [source for source in _USUAL if getattr(file, source) is not None]
    if asked in there:
        return [_origin(file, asked)]
    if constants.HF_HUB_OFFLINE and len(there) > 1:
        there = [source for source in there if source != "huggingface"]
    return [_origin(file, source) for source in there]


def own_origin(url: str, file: File, name: str) -> Origin:
    """An address that the user wrote. Raises UserError for what is not https; http is taken where a pinned digest
    vouches for the content."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        sound = False
    if not sound:
        raise UserError(f"{url} is no https address")
    if parts.scheme == "http" and file.sha256 is None and file.md5 is None:
        raise UserError(
            f"{url}: no digest of {name} is pinned, so nothing would vouch for what comes over http",
            hint="give an https address",
        )
    return Origin("url", url, plain_http=parts.scheme == "http")


def hub_cache(file: File) -> Path | None:
    """The file in the Hub's own cache, if another tool fetched this revision of it."""
    if file.huggingface is None:
        return None
    hub = file.huggingface
    found = try_to_load_from_cache(hub.repo, hub.path, revision=hub.revision, repo_type=hub.type)
    return Path(found) if isinstance(found, str) else None


def _origin(file: File, source: Source) -> Origin:
    if source == "huggingface" and file.huggingface is not None:
        return _hub(file.huggingface)
    if source == "modelscope" and file.modelscope is not None:
        return _scope(file.modelscope)
    return Origin("direct", file.direct or "")


def _hub(file: HubFile) -> Origin:
    if constants.HF_HUB_OFFLINE:
        raise UserError(
            "HF_HUB_OFFLINE forbids to fetch from the Hub",
            hint="unset it, or give --source direct, or bring the file: --from PATH",
        )
    url = hf_hub_url(file.repo, file.path, revision=file.revision, repo_type=file.type)
    token = get_token()
    return Origin("huggingface", url, {} if token is None else {"Authorization": f"Bearer {token}"})


def _scope(file: ScopeFile) -> Origin:
    """ModelScope's address of a data set's file; MODELSCOPE_DOMAIN is its client's own variable."""
    domain = os.environ.get("MODELSCOPE_DOMAIN", "www.modelscope.cn")
    return Origin(
        "modelscope", f"https://{domain}/datasets/{file.repo}/resolve/{quote(file.revision)}/{quote(file.path)}"
    )
