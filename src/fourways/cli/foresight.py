"""How `--dry-run` prints what a run would do."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from fourways.compare import Foresight
from fourways.compare.foresight import Foreseen

_GIB = 2**30


def show(foresight: Foresight, console: Console) -> None:
    """What the run would stop at; then, if anything can run, a table of candidates, a table of axes, and how long it
    takes."""
    for one in foresight.candidates:
        _print_trouble(one, console)
    if all(one.trouble is not None for one in foresight.candidates):
        console.print("Nothing was run, and nothing of it can be.")
        return
    console.print(_candidates(foresight), _axes(foresight))
    for line in foresight.askers:
        console.print(f"accuracy: {line}", soft_wrap=True, highlight=False)
    total = sum(seconds for _, seconds in foresight.work.values())
    console.print(
        f"about {_duration(total)} at the pace of the embedded models on two cores; larger models take longer. "
        "Nothing was run.",
        soft_wrap=True,
    )


def _print_trouble(one: Foreseen, console: Console) -> None:
    if one.trouble is not None:
        say = f"{one.candidate.name}: {one.trouble.message}"
        console.print(say, soft_wrap=True, highlight=False, style="bold red")
        if one.trouble.hint:
            console.print(f"hint: {one.trouble.hint}", soft_wrap=True, highlight=False)
    elif one.fits is False:
        console.print(f"{one.candidate.name}: will not fit on {one.candidate.device}", style="bold red")


def _candidates(foresight: Foresight) -> Table:
    table = Table(title="Candidates", title_justify="left")
    for column in ("name", "from", "parameters", "needs", "free", "fits", "to download"):
        table.add_column(column, justify="left" if column in ("name", "from", "fits") else "right", overflow="fold")
    for one in foresight.candidates:
        table.add_row(*_row(one))
    return table


def _axes(foresight: Foresight) -> Table:
    table = Table(title="Axes", title_justify="left")
    for column in ("axis", "units of work", "about"):
        table.add_column(column, justify="left" if column == "axis" else "right")
    for name, (units, seconds) in foresight.work.items():
        table.add_row(name, f"{units:,}", _duration(seconds))
    return table


def _row(one: Foreseen) -> tuple[str, ...]:
    fits = {True: "yes", False: "no", None: "–"}[one.fits]
    download = (
        "–" if one.download_bytes is None else "nothing" if one.download_bytes == 0 else _size(one.download_bytes)
    )
    parameters = f"{one.parameters:,}" if one.parameters is not None else "–"
    return (
        one.candidate.name,
        one.source,
        parameters,
        _size(one.needed_bytes),
        _size(one.available_bytes),
        fits,
        download,
    )


def _size(count: int | None) -> str:
    if count is None:
        return "–"
    return f"{count / _GIB:.1f} GiB" if count >= _GIB / 10 else f"{count / 2**20:.1f} MiB"


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
