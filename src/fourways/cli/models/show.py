"""`fourways models show`: everything that is known of one entry."""

from __future__ import annotations

from typing import Annotated

import typer

from fourways.cli.models.registry import JsonOption, RegistryOption, existing
from fourways.cli.terminal import results

EXAMPLES = """
Examples:

fourways models show my-model

fourways models show my-model --json

Exit codes: 0 shown, whatever became of it; 1 the registry cannot be read; 2 nothing is registered by this name.
"""


def show(
    name: Annotated[str, typer.Argument(metavar="NAME")], registry: RegistryOption = None, as_json: JsonOption = False
) -> None:
    """Show what is registered under a name: manifest, files, digests, and whether the folder is still the same."""
    from fourways.cli.models import registry_tables as tables
    from fourways.hub.registry.condition import condition_of

    with existing(registry) as held:
        entry = held.get(name)
    condition = condition_of(entry)
    if as_json:
        typer.echo(tables.as_json("model", tables.record(entry, condition)))
        return
    console = results()
    for what, value in tables.details(entry, condition):
        console.print(f"{what + ':':<14} {value}", highlight=False, soft_wrap=True)
