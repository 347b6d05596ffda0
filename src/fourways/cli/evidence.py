"""`fourways evidence`: what runs of several platforms prove together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.choices import BACKENDS, choice
from fourways.cli.terminal import notes, results
from fourways.core.errors import UserError
from fourways.core.plain_text import clean

if TYPE_CHECKING:
    from fourways.core.platform_table import PlatformTable

EXAMPLES = """
Examples:

fourways evidence table runs/laptop runs/server runs/gpu

fourways evidence table runs/* --keys allowed/ --html platforms.html

fourways evidence table runs/* --markdown > PLATFORMS.md

Every run is verified, which takes some seconds each, and its answers are compared with those of the first, reply by
reply. Each check stands with the command that makes it anew. What the columns say: docs/platforms.md.

Exit codes: 0 nothing refused, and no answers differ; 1 a run is refused, or answers differ; 2 your mistake.
"""
_RUNS = "The folders of the runs; the others are held against the first."
app = typer.Typer(help="What runs of several platforms prove together.", no_args_is_help=True)
_STYLES = {"same answers": "green", "answers differ": "bold red", "not comparable": "yellow"}


@app.callback()
def _group() -> None: ...


@app.command("table", epilog=EXAMPLES)
def table(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help=_RUNS)],
    keys: Annotated[
        Path | None, typer.Option(metavar="ALLOWED", help="Whose signatures count: a file of public keys, or a folder.")
    ] = None,
    backend: Annotated[str, typer.Option(metavar="auto|gpg|sequoia", help="What checks the signatures.")] = "auto",
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table as Markdown.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the table as a page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the table as JSON.")] = False,
) -> None:
    """Runs of the same comparison on several platforms: kernel, checks, hash of the answers, verdict."""
    if markdown and as_json:
        raise UserError("--markdown and --json exclude each other")
    if html is not None and (html.is_dir() or not html.absolute().parent.is_dir()):
        raise UserError(f"--html: {html} cannot be written", hint="name a file in a folder that is there")
    made = _made(runs, keys, choice("--backend", backend, BACKENDS))
    if html is not None:
        from fourways.report.platforms import write_platforms

        write_platforms(made, html)
        notes().print(f"page: {html}", soft_wrap=True, highlight=False)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(made), indent=1).decode())
    elif markdown:
        from fourways.report.platforms import in_markdown

        typer.echo(in_markdown(made), nl=False)
    else:
        _print(made)
    if any(row.verdict == "answers differ" or any(c.outcome == "refused" for c in row.checks) for row in made.rows):
        raise typer.Exit(1)


def _made(runs: list[Path], keys: Path | None, backend: str) -> PlatformTable:
    from fourways.core.platform_table import PLATFORMS_SCHEMA, PlatformTable
    from fourways.evidence.platforms import platform_table
    from fourways.evidence.signature import backend_named, read_allowed

    allowed = None if keys is None else read_allowed(keys)
    rows = []
    for row in platform_table(runs, allowed, None if allowed is None else backend_named(backend)):
        rows.append(row)
        notes().print(f"{row.folder}: {row.verdict}", soft_wrap=True, highlight=False)
    return PlatformTable(PLATFORMS_SCHEMA, tuple(rows))


def _print(made: PlatformTable) -> None:
    from rich.table import Table

    from fourways.report.platforms import commands, platform

    console = results()
    shown = Table(title="Platforms", title_justify="left", show_lines=True)
    for column in ("platform", "kernel", "checks", "answers", "verdict"):
        shown.add_column(column, overflow="fold")
    for row in made.rows:
        shown.add_row(
            "\n".join(clean(text) for text in platform(row)),
            clean(row.kernel),
            "\n".join(f"{one.name}: {one.outcome}" for one in row.checks),
            f"{row.answers:,}\n{(row.answers_sha256 or 'none')[:16]}",
            "\n".join((row.verdict, *(clean(reason) for reason in row.reasons))),
            style=_STYLES.get(row.verdict),
        )
    console.print(shown)
    for row in made.rows:
        console.print(f"{row.folder}:", soft_wrap=True, highlight=False)
        for name, command, said in commands(row):
            console.print(f"  {name}: {said}\n    {command}", soft_wrap=True, highlight=False)
        for one in row.checks:
            for reason in one.reasons:
                console.print(f"  {one.name}: {one.outcome}: {clean(reason)}", soft_wrap=True, highlight=False)
