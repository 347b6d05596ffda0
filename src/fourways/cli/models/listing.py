"""`fourways models list`: what is registered, and whether it is still there and the same."""

from __future__ import annotations

import typer

from fourways.cli.models.registry import JsonOption, RegistryOption, entries
from fourways.cli.terminal import results
from fourways.core.errors import UserError

EXAMPLES = """
Examples:

fourways models list

fourways models list --json

fourways models list --registry postgresql://me@db.example.org/models

State: ok; pending: not every file was hashed yet; touched: a file was written since and not read again; changed: a
file is not what was registered; gone: the folder is not there; elsewhere: registered on another machine. No file is
read for it; `fourways compare` reads every file before it measures.

Exit codes: 0 listed, whatever became of them; 1 the registry cannot be read; 2 your mistake.
"""


def list_(registry: RegistryOption = None, as_json: JsonOption = False) -> None:
    """List the registered models and adapters, and what became of them."""
    from fourways.cli.models import registry_tables as tables
    from fourways.hub.registry import in_force
    from fourways.hub.registry.condition import condition_of

    if registry is not None and not in_force(registry).is_there():
        raise UserError(
            f"there is no registry at {in_force(registry).shown}", hint="the first `fourways models add` makes it"
        )
    listed = [(entry, condition_of(entry)) for entry in entries(registry)]
    if as_json:
        typer.echo(tables.as_json("models", [tables.record(*one) for one in listed]))
        return
    console = results()
    if listed:
        console.print(tables.overview(listed, "Registered models and adapters"))
    else:
        console.print("nothing is registered; `fourways models add`, `pull` and `discover --add` do", highlight=False)
    console.print(f"registry: {in_force(registry).shown}", highlight=False, soft_wrap=True)
