"""Names and texts that MLflow takes (mlflow.utils.validation: ASCII letters, digits and `_-. /`, at most 250
characters; a parameter's text at most 6,000, a tag's at most 8,000)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from fourways.core.figure import Figure

LONGEST_NAME, LONGEST_PARAM, LONGEST_TAG = 250, 6000, 8000
_ROOM = 8
"""Of a name, for what is put behind it: `/high`."""
_CUT = " … [cut]"
_REFUSED = re.compile(r"[^A-Za-z0-9_.\- ]")


def metric_names(figures: Iterable[Figure]) -> dict[str, Figure]:
    """Name → figure: `axis/metric/label.value/…`, labels in the order of their names. What MLflow refuses becomes `_`;
    where two figures would then be one, or the name is too long, a digest of the whole stands at the end."""
    named: dict[str, Figure] = {}
    for figure in figures:
        parts = [figure.axis, figure.metric, *(f"{key}.{value}" for key, value in sorted(figure.labels.items()))]
        name = "/".join(plain(part) for part in parts)
        if name in named or len(name) > LONGEST_NAME - _ROOM:
            digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]
            name = f"{name[: LONGEST_NAME - _ROOM - 13]}/{digest}"
        named[name] = figure
    return named


def cut(text: str, most: int) -> str:
    """Says so where it had to cut."""
    return text if len(text) <= most else text[: most - len(_CUT)] + _CUT


def plain(text: str) -> str:
    """One part of a name between slashes; never empty, nor one that a path would swallow."""
    found = _REFUSED.sub("_", text)
    return found if found.strip(". ") else f"_{found}"
