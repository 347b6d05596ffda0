"""The compatibility table of docs/models.md, from what is known of each architecture.

`python -m fourways.hub.manifest.table FILE` writes it between the two marks of a page; a test holds the page in step.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from fourways.hub.manifest.architectures import KNOWN, ORIGINAL, PICKLED, SAFETENSORS, Known

BEGIN, END = "<!-- table: python -m fourways.hub.manifest.table docs/models.md -->", "<!-- end of table -->"
_HEAD = ("architecture", "class in config.json", "takes", "formats", "transformers", "family", "hot swap")
_WORDS = {SAFETENSORS: "safetensors", ORIGINAL: "original layout, converted", PICKLED: ".bin, converted"}


def table() -> str:
    """In Markdown, one architecture a row."""
    rows = [_HEAD, tuple("---" for _ in _HEAD), *map(_row, KNOWN)]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def written_into(page: str) -> str:
    """The page with the table as it is now. Raises ValueError if it has no place for it."""
    replaced, places = re.subn(
        f"{re.escape(BEGIN)}.*?{re.escape(END)}", lambda _: f"{BEGIN}\n{table()}\n{END}", page, flags=re.DOTALL
    )
    if places != 1:
        raise ValueError(f"the page has {places} places for the table, not one")
    return replaced


def _row(known: Known) -> tuple[str, ...]:
    classes = (*(f"`{name}`" for name in known.classes), *(f"`{name}` (original)" for name in known.original))
    return (
        known.name,
        ", ".join(classes) + (f" with a `{known.vision}` tower" if known.vision else ""),
        ", ".join(known.modalities),
        "; ".join(_WORDS[form] for form in known.formats) or _elsewhere(known),
        f"{known.transformers} or later" if known.transformers else "never had it",
        known.family or "none",
        known.hot_swap,
    )


def _elsewhere(known: Known) -> str:
    """What takes no text answers no question, behind a server or here."""
    return "by a server's URL only" if "text" in known.modalities else "none"


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.write_text(written_into(target.read_text("utf-8")), encoding="utf-8")
