"""Where a checkpoint came from and under which terms, as its folder tells: no network, and nothing is guessed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from fourways.hub.discover import origin_of
from fourways.hub.small_files import words

_HEAD = 1 << 16
_COMMIT = re.compile(r"[0-9a-f]{40}")


def source_of(folder: Path) -> tuple[str | None, str | None]:
    """Source and revision: by the folder's place in a download cache, else the commit that `hf download --local-dir`
    left beside its files."""
    place = origin_of(folder.resolve())
    return (words(place.source), words(place.revision)) if place.source is not None else (None, _downloaded(folder))


def name_of(folder: Path) -> str:
    """What people call it: the name of its repository, or of its folder."""
    source, _ = source_of(folder)
    name = source.rpartition("/")[2] if source is not None else folder.resolve().name
    return name.encode("utf-8", "replace").decode() or "model"


def licence_of(folder: Path) -> str | None:
    """The `license` of the front matter of README.md; for "other" the `license_name` beside it, where there is one."""
    front = _front_matter(folder / "README.md")
    licence = front.get("license")
    if isinstance(licence, list) and len(licence) == 1:
        licence = licence[0]
    if licence == "other" and isinstance(front.get("license_name"), str):
        licence = front["license_name"]
    return words(" ".join(licence.split())[:200]) if isinstance(licence, str) else None


def _downloaded(folder: Path) -> str | None:
    """The commit that the files were downloaded at, if it was one for all."""
    beside = folder / ".cache" / "huggingface" / "download"
    commits = set()
    for record in sorted(beside.glob("*.metadata")):
        if not record.is_file():
            continue
        with record.open(encoding="utf-8", errors="replace") as stream:
            commits.add(stream.readline(100).strip())
    [commit] = commits if len(commits) == 1 else {""}
    return commit if _COMMIT.fullmatch(commit) else None


def _front_matter(readme: Path) -> dict[str, Any]:
    """Empty where there is none, or it is not YAML: a README is for people, and none of it is needed."""
    try:
        if not readme.is_file():
            return {}
        with readme.open(encoding="utf-8", errors="replace") as stream:
            head = stream.read(_HEAD)
    except OSError:
        return {}
    found = re.match(r"\ufeff?---\s*\n(.*?)\n---\s*(?:\n|$)", head, re.DOTALL)
    if found is None:
        return {}
    try:
        loaded = yaml.safe_load(found[1])
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return loaded if isinstance(loaded, dict) else {}
