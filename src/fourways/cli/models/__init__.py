"""`fourways models`: what can be named, what it is, and whether it is well. One command a file."""

from __future__ import annotations

import typer

from fourways.cli.models import embedded, manifest

app = typer.Typer(
    help="Find, describe, convert, fetch and check models; alone: list what can be named without a path.",
    epilog=embedded.EXAMPLES,
    invoke_without_command=True,
)
app.command("manifest", epilog=manifest.EXAMPLES)(manifest.manifest)


@app.callback()
def _alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        embedded.models()
