"""`fourways models add`: a folder gets a name."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.models.registry import RegistryOption, hashing, opened
from fourways.cli.terminal import notes, results
from fourways.core.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

    from fourways.core.family import FamilyCard
    from fourways.hub.registry import Entry, Registry
    from fourways.hub.registry.enrol import Request

EXAMPLES = """
Examples:

fourways models add my-qwen /models/Qwen2.5-VL-7B-Instruct

fourways models add my-lora runs/tuned/adapter --base my-qwen

fourways compare my-qwen zoo:llava

The folder stays where it is. Its files are hashed, and the name stands for these very files: if they change, `compare`
refuses the name. A hashing that was stopped goes on when the same folder is added again.

Exit codes: 0 registered and hashed; 1 a file changed while it was read, or disk or database failed; 2 your mistake;
130 Ctrl-C (what was hashed is kept).
"""


def add(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, '.', '_' and '-'.")],
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="Of a checkpoint, or of an adapter that PEFT saved.")
    ],
    base: Annotated[
        str | None, typer.Option(metavar="NAME", help="The registered model that an adapter was trained on.")
    ] = None,
    registry: RegistryOption = None,
) -> None:
    """Register a checkpoint or an adapter under a name."""
    from fourways.hub.registry.enrol import Request

    with opened(registry) as held:
        register(held, Request(name, folder, base=base, cards=cards), results())


def register(held: Registry, request: Request, console: Console) -> Entry:
    """Registers and hashes, and says so on the console."""
    from fourways.hub.registry.enrol import enrol

    check_free(request.name)
    try:
        with hashing(request.name) as at:
            entry = enrol(held, request, at)
    except KeyboardInterrupt:
        notes().print("stopped; what was hashed is kept: the same command goes on", highlight=False)
        raise
    console.print(f"{entry.name}  {entry.folder}  {entry.identity}", highlight=False, soft_wrap=True)
    if entry.adapter is not None and entry.base is None:
        notes().print(
            f"its base {entry.adapter.base or '(not said)'} is not registered, or more than once: --base NAME",
            highlight=False,
            soft_wrap=True,
        )
    return entry


def check_free(name: str) -> None:
    """Raises UserError for the name of an embedded model, which would always be found first."""
    from fourways import zoo

    if name in zoo.NAMES:
        raise UserError(f"{name} is the name of an embedded model", hint=f"choose another, such as my-{name}")


def cards() -> Mapping[str, FamilyCard]:
    """Of the families of other packages too; asked for a class only that Fourways has no name for."""
    from fourways.families.registry import registered

    return {name: family.card for name, family in registered().families.items()}
