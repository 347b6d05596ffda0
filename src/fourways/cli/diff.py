"""`fourways diff`: two runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.terminal import notes, results
from fourways.core.errors import UserError
from fourways.core.figure import Figure

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from fourways.core.run import RunHeader
    from fourways.core.verdict import AxisVerdict, Comparison, FigurePair

EXAMPLES = """
Examples:

fourways diff runs/old runs/new

fourways diff runs/old runs/new --candidate qwen-int4=qwen-bf16 --candidate llava

fourways diff runs/old runs/new --all

fourways diff runs/old runs/new --html diff.html

fourways diff runs/old runs/new --json > comparison.json

The chief figures that read otherwise are listed, and those that read the same are counted; --all lists every figure.
Samples that both runs asked are tested in pairs. Whether a time differs between two runs of different hours cannot be
told from the two alone: `fourways reproduce` makes fresh starts and judges.

Exit codes: 0 compared, whatever differs; 2 the runs cannot be read, or your mistake.
"""
_STYLES = {"reproduced": "green", "not reproduced": "bold red", "not comparable": "yellow"}
_SHOWN = 40
"""Differences of the headers that the terminal lists."""


def diff(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="The folder of one run.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="The folder of the other.")],
    candidate: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this candidate; NEW=OLD where its name was another. Repeatable."),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="List every figure and difference.")] = False,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the comparison as a page.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the comparison as JSON.")] = False,
) -> None:
    """Two runs side by side: what their headers say differently, their figures, and paired tests."""
    from fourways.evidence.comparison import Facts, matched, side_by_side

    check_page(html)
    before, after = Facts.read(old), Facts.read(new)
    made = side_by_side(before, after, matched(before, after, candidate or ()))
    show_comparison(made, after.header, html, as_json=as_json, every=every)


def check_page(html: Path | None) -> None:
    """Before anything is run. Raises UserError if no page can be written there."""
    if html is not None and (html.is_dir() or not html.absolute().parent.is_dir()):
        raise UserError(f"--html: {html} cannot be written", hint="name a file in a folder that is there")


def show_comparison(
    comparison: Comparison, header: RunHeader, html: Path | None, *, as_json: bool, every: bool = False
) -> None:
    """The comparison on standard output, and as a page where one is asked for. header: of the new run. every: nothing
    is folded."""
    if html is not None:
        from fourways.report.comparison import write_comparison

        write_comparison(comparison, header, html)
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(comparison), indent=1).decode())
    else:
        _print(comparison, every=every)
    if html is not None:
        notes().print(f"page: {html}", soft_wrap=True, highlight=False)


def _print(comparison: Comparison, *, every: bool) -> None:
    console = results()
    console.print(f"old: {comparison.old}\nnew: {comparison.new}\n", soft_wrap=True, highlight=False)
    if comparison.verdicts:
        console.print(_verdicts(comparison.verdicts))
    else:
        _print_figures(console, comparison.figures, every=every)
    if comparison.tests:
        console.print(_tests(comparison))
    if comparison.differences:
        console.print(_differences(comparison, len(comparison.differences) if every else _SHOWN))
    else:
        console.print("the headers say the same of everything that was run", highlight=False)
    for note in comparison.notes:
        notes().print(f"not compared: {note}", soft_wrap=True, highlight=False)


def _verdicts(verdicts: Sequence[AxisVerdict]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title="verdicts", title_justify="left", show_lines=True)
    for column in ("candidate", "ground", "verdict", "why"):
        table.add_column(column, overflow="fold")
    for one in verdicts:
        verdict = Text(one.verdict, style=_STYLES[one.verdict])
        table.add_row(one.candidate, one.ground, verdict, "\n".join(one.reasons))
    return table


def _print_figures(console: Console, pairs: Sequence[FigurePair], *, every: bool) -> None:
    """Those of the chief ones that read otherwise, and how many do not; or every figure."""
    from fourways.report.comparison import TIMES, chief

    asked = [pair for pair in pairs if every or chief(pair)]
    rows = [(pair, _figure_row(pair)) for pair in asked]
    told = [(pair, row) for pair, row in rows if every or (row[-2] != row[-1] and _shows(pair))]
    if told:
        console.print(_figures([row for _, row in told]))
    if any(_axis(pair) == "latency" for pair, _ in told):
        console.print(TIMES, soft_wrap=True, highlight=False)
    if folded := len(rows) - len(told):
        said = (
            f"{folded:,} of {len(asked):,} chief figures read the same in both runs, or have nothing to show in either"
        )
        console.print(f"{said}; --all lists every figure\n", soft_wrap=True, highlight=False)


def _figures(rows: Sequence[tuple[str, ...]]) -> Table:
    from rich.table import Table

    table = Table(title="figures", title_justify="left")
    for column in ("candidate", "figure", "old", "new"):
        table.add_column(column, justify="right" if column in ("old", "new") else "left")
    for row in rows:
        table.add_row(*row)
    table.caption = "value [95 % interval] n"
    return table


def _figure_row(pair: FigurePair) -> tuple[str, ...]:
    from fourways.report.comparison import in_words, named

    return named(pair), in_words(pair), *(_cell(one) for one in (pair.old, pair.new))


def _shows(pair: FigurePair) -> bool:
    return any(one is not None and one.status == "ok" for one in (pair.old, pair.new))


def _axis(pair: FigurePair) -> str | None:
    one = pair.new or pair.old
    return None if one is None else one.axis


def _cell(figure: Figure | None) -> str:
    from fourways.report.numbers import show

    return "not there" if figure is None else show(figure).line


def _tests(comparison: Comparison) -> Table:
    from rich.table import Table

    from fourways.core.verdict import SAME
    from fourways.report.comparison import TESTED, named_in
    from fourways.report.numbers import show

    table = Table(title="paired tests, new minus old, on samples that both asked", title_justify="left")
    for column in ("candidate", "benchmark", SAME, "difference", "verdict"):
        table.add_column(column, overflow="fold")
    for one in comparison.tests:
        where = one.labels.get("benchmark", "aggregate")
        table.add_row(named_in(one), where, one.labels.get(SAME, ""), show(one).line, one.labels.get("verdict", ""))
    table.caption = TESTED
    return table


def _differences(comparison: Comparison, most: int) -> Table:
    from rich.table import Table

    table = Table(title="what the headers say differently", title_justify="left")
    for column in ("where", "old", "new"):
        table.add_column(column, overflow="fold")
    for one in comparison.differences[:most]:
        table.add_row(one.where, *("not there" if value is None else value for value in (one.old, one.new)))
    if (left := len(comparison.differences) - most) > 0:
        table.caption = f"and {left:,} more: --html FILE or --json"
    return table
