"""Every installed package and its version, with its origin where that is no index (PEP 610)."""

from __future__ import annotations

import json
import re
from importlib.metadata import Distribution, distributions
from typing import Any

from fourways.evidence.redact import redact


def package_lock() -> dict[str, str]:
    """Normalised name → version. An origin stands behind it in brackets: a repository and its commit, a URL,
    "editable" or "a local folder" (no path: it says nothing to others). Of a name that is there twice, the one
    that is imported."""
    found: dict[str, str] = {}
    for distribution in distributions():
        told = distribution.metadata
        if "Name" in told and "Version" in told:
            found.setdefault(_normal(told["Name"]), f"{told['Version']}{_origin(distribution)}")
    return dict(sorted(found.items()))


def _normal(name: str) -> str:
    """PEP 503."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _origin(distribution: Distribution) -> str:
    try:
        text = distribution.read_text("direct_url.json")
        told = json.loads(text) if text else None
    except (OSError, ValueError):
        return ""
    return f" ({said})" if isinstance(told, dict) and (said := _said(told)) else ""


def _said(told: dict[str, Any]) -> str:
    url = redact(str(told.get("url", "")))
    folder, repository, archive = (_table(told, key) for key in ("dir_info", "vcs_info", "archive_info"))
    if folder.get("editable") is True:
        return "editable"
    if repository:
        return f"{repository.get('vcs', '')}+{url}@{repository.get('commit_id', '')}"
    digest = _table(archive, "hashes").get("sha256")
    if url.startswith("file:"):
        kind = "a local folder" if "dir_info" in told else "a local file"
        return f"{kind}, sha256 {digest}" if digest else kind
    return f"{url}, sha256 {digest}" if digest else url


def _table(told: dict[str, Any], key: str) -> dict[str, Any]:
    found = told.get(key)
    return found if isinstance(found, dict) else {}
