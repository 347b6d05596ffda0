"""`fourways models`: what can be named, what it is, and whether it is well. One command a file."""

from __future__ import annotations

import typer

from fourways.cli.models import add, changes, check, convert, discover, embedded, listing, manifest, pull, show

app = typer.Typer(
    help="Find, describe, convert, fetch and check models; alone: list what can be named without a path.",
    epilog=embedded.EXAMPLES,
    invoke_without_command=True,
)
app.command("manifest", epilog=manifest.EXAMPLES)(manifest.manifest)
app.command("convert", epilog=convert.EXAMPLES)(convert.convert)
app.command("discover", epilog=discover.EXAMPLES)(discover.discover)
app.command("check", epilog=check.EXAMPLES)(check.check)
app.command("pull", epilog=pull.EXAMPLES)(pull.pull)
app.command("add", epilog=add.EXAMPLES)(add.add)
app.command("list", epilog=listing.EXAMPLES)(listing.list_)
app.command("show", epilog=show.EXAMPLES)(show.show)
app.command("rename", epilog=changes.RENAME_EXAMPLES)(changes.rename)
app.command("remove", epilog=changes.REMOVE_EXAMPLES)(changes.remove)


@app.callback()
def _alone(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        embedded.models()
