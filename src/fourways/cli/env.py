"""`fourways env`: how the machine stands for measurements, and a command run on chosen cores."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.terminal import notes, results
from fourways.core.errors import UserError
from fourways.core.plain_text import clean

if TYPE_CHECKING:
    from fourways.core.run import Reading

SCHEMA = "fourways.env/v1"
_WIDEST = 60
app = typer.Typer(help="The machine: what moves measurements on it, and what to do about it.", no_args_is_help=True)

_CHECK_EXAMPLES = """
Examples:

fourways env check

fourways env check --json > machine.json

fourways env check --strict && fourways compare

It reads and advises; it sets nothing. The same readings stand in the run.json of every run. What each means:
docs/environment.md.

Exit codes: 0; with --strict 1 if there is any advice.
"""
_PIN_EXAMPLES = """
Examples:

fourways env pin -- fourways compare

fourways env pin --cores 2-7 -- fourways load http://127.0.0.1:8000/v1

sudo env "PATH=$PATH" fourways env pin --thp never --huge-pages 512 -- python bench.py

Without --cores: whole cores of one memory node; the core of CPU 0 is spared where three others are left. The command
gets OMP_NUM_THREADS and its like, a thread a core, unless they are set. Whatever ends it, a failure, Ctrl-C or kill,
what was set is put back. What was set and put back is said on standard error.

Exit code: the command's; 2 if something cannot be done, and then nothing was set and nothing was run; 1 if the kernel
did not take a setting, and then all was put back and nothing was run.
"""
_UNDO_EXAMPLES = """
Example: sudo fourways env undo

Needed only where `fourways env pin` and the process that watches over it were both killed with SIGKILL. A restart of
the machine puts the settings back, too.
"""


class Thp(StrEnum):
    """What the kernel does with large pages that nobody asked for."""

    ALWAYS = "always"
    MADVISE = "madvise"
    NEVER = "never"


@app.command("check", epilog=_CHECK_EXAMPLES)
def check(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 if there is any advice.")] = False,
) -> None:
    """Show the settings of this machine that move measurements, with advice."""
    from fourways.evidence.environment.catalogue import readings

    found = readings()
    _print_json(found) if as_json else _print_table(found)
    if strict and any(one.advice for one in found):
        raise typer.Exit(1)


@app.command(
    "pin", epilog=_PIN_EXAMPLES, options_metavar="[OPTIONS] --", context_settings={"allow_interspersed_args": False}
)
def pin(
    command: Annotated[list[str], typer.Argument(metavar="COMMAND", help="What to run, with its arguments.")],
    cores: Annotated[str | None, typer.Option(metavar="LIST", help="CPUs such as 2-7,10.")] = None,
    huge_pages: Annotated[
        int, typer.Option(metavar="N", min=0, help="Set aside so many more huge pages, and let malloc use them (root).")
    ] = 0,
    thp: Annotated[Thp | None, typer.Option(help="Large pages that nobody asked for (root).")] = None,
) -> None:
    """Run a command on chosen cores, and put back what was set for it."""
    if sys.platform != "linux":
        raise UserError("fourways env pin needs Linux", hint="fourways env check shows what can be seen here")
    from fourways.evidence.environment.machine import Machine
    from fourways.evidence.environment.pinning import prepare
    from fourways.evidence.environment.supervise import run

    console, machine = notes(), Machine()

    def say(line: str) -> None:
        console.print(line, soft_wrap=True, highlight=False)

    plan = prepare(machine, command, cores_asked=cores, huge_pages=huge_pages, thp=None if thp is None else thp.value)
    given = ", ".join(f"{name}={value}" for name, value in plan.variables.items())
    say(f"CPUs {plan.cores}" + (f"; {given}" if given else ""))
    for note in plan.notes:
        say(f"note: {note}")
    raise typer.Exit(run(plan, command, machine, say))


@app.command("undo", epilog=_UNDO_EXAMPLES)
def undo() -> None:
    """Put back what a killed `fourways env pin` left behind."""
    from fourways.evidence.environment.machine import Machine
    from fourways.evidence.environment.pinning import undo as put_back

    before = put_back(Machine())
    for setting, value in before.items():
        results().print(f"put back {setting} {value}", highlight=False)
    if not before:
        results().print("nothing was left behind: there is nothing to put back", highlight=False)


def _print_table(found: Sequence[Reading]) -> None:
    from rich.table import Table

    table = Table(title="what moves measurements on this machine", title_justify="left", show_lines=True)
    for column in ("knob", "value", "advice"):
        table.add_column(column, overflow="fold", no_wrap=column == "knob", max_width=_WIDEST)
    for one in found:
        if one.value is not None:
            table.add_row(one.knob, clean(one.value), one.advice or "", style="bold" if one.advice else None)
    results().print(table)
    for one in found:
        if one.unread is not None:
            results().print(f"not seen: {one.knob}: {one.unread}", highlight=False, soft_wrap=True)
    advised = sum(one.advice is not None for one in found)
    results().print(f"{len(found)} knobs, advice on {advised or 'none'}; nothing was set", highlight=False)


def _print_json(found: Sequence[Reading]) -> None:
    import msgspec

    record = {"schema": SCHEMA, "readings": found}
    typer.echo(msgspec.json.format(msgspec.json.encode(record), indent=1).decode())
