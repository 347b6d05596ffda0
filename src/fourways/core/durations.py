"""Lengths of time as people write them."""

from __future__ import annotations

import re
from typing import Literal

_TIME = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(ms|s|)")


def milliseconds(text: str, *, bare: Literal["ms", "s"] | None = None) -> float:
    """`500ms`, `0.5s`, `2 s`. bare: the unit of a number without one; None: it needs one. Raises ValueError."""
    found = _TIME.fullmatch(text.strip())
    unit = (found[2] or bare) if found is not None else None
    if found is None or unit is None:
        raise ValueError(f"{text!r} is no time")
    return float(found[1]) * (1000.0 if unit == "s" else 1.0)
