"""`fourways models remove` and `rename`: of what is registered; no file is touched."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fourways.cli.models.add import check_free
from fourways.cli.models.registry import RegistryOption, existing
from fourways.cli.terminal import notes, results

REMOVE_EXAMPLES = """
Example: fourways models remove my-model
"""
RENAME_EXAMPLES = """
Example: fourways models rename my-model qwen-7b-bf16
"""


def remove(name: Annotated[str, typer.Argument(metavar="NAME")], registry: RegistryOption = None) -> None:
    """Forget a name. The files stay where they are."""
    with existing(registry) as held:
        entry, orphans = held.remove(name)
    files = f"its files stay in {entry.folder}" if Path(entry.folder).is_dir() else f"{entry.folder} is not here"
    results().print(f"{name} is no longer registered; {files}", highlight=False, soft_wrap=True)
    if orphans:
        notes().print(f"adapters whose base it was: {', '.join(orphans)}", highlight=False, soft_wrap=True)


def rename(
    old: Annotated[str, typer.Argument(metavar="OLD")],
    new: Annotated[str, typer.Argument(metavar="NEW")],
    registry: RegistryOption = None,
) -> None:
    """Give a registered model or adapter another name. Adapters follow their base."""
    check_free(new)
    with existing(registry) as held:
        held.rename(old, new)
    results().print(f"{old} is now {new}", highlight=False, soft_wrap=True)
