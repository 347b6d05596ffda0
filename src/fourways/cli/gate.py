"""`fourways gate`: did accuracy drop since an older run? An exit code for continuous integration."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from fourways.cli.terminal import notes, results
from fourways.core.errors import UserError
from fourways.core.run_files import ROWS_FILE, read_header, read_rows, read_state

if TYPE_CHECKING:
    from fourways.core.run import RunHeader
    from fourways.figures import Gate, Gated, Side

SCHEMA = "fourways.gate/v1"
EXAMPLES = """
Examples:

fourways gate runs/new --baseline runs/old --max-drop 1pt

fourways gate runs/new --baseline runs/old --max-drop 0.5pt --candidate qwen-int4=qwen-bf16

fourways gate runs/new --baseline runs/old --max-drop 1pt --json > gate.json

Each benchmark and the aggregate are compared over the samples that both runs asked. 1pt, 1pp and 1% all mean one point
of a hundred of a metric's maximum: 1 percentage point of a share, 28 points of MME's 2800.

Exit codes: 0 nothing dropped by more; 1 something did; 2 the runs cannot be compared, or your mistake.
"""
_DROP = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*(pt|pp|%)")


def gate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of the run that is judged.")],
    baseline: Annotated[Path, typer.Option(metavar="OLD", help="The folder of the older run.")],
    max_drop: Annotated[str, typer.Option(metavar="1pt", help="The greatest drop that passes: points of a hundred.")],
    candidate: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="This candidate only; NEW=OLD where its name was another in the older run."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
) -> None:
    """Fail if a candidate's accuracy dropped since an older run."""
    from fourways import figures

    allowed = parse_drop(max_drop)
    new, old = _header(run), _header(baseline)
    names = _candidates(candidate, new, old, str(run), str(baseline))
    for mine, theirs in names:
        _check_finished(run, mine)
        _check_finished(baseline, theirs)
    newer, older = _sides(run, new, [mine for mine, _ in names]), _sides(baseline, old, [theirs for _, theirs in names])
    gates = [figures.gate(newer[mine], older[theirs], allowed) for mine, theirs in names]
    said = [f"{one.candidate}: {note}" for one in gates for note in one.notes]
    said += [] if candidate is not None else _alone(names, new, old, str(run), str(baseline))
    _print_json(gates, said, run, baseline, allowed) if as_json else _print_table(gates, said, max_drop)
    if not all(one.passed for one in gates):
        raise typer.Exit(1)


def parse_drop(text: str) -> float:
    """`1pt`, `0.5 pp` or `1%` → 0.01, 0.005, 0.01. Raises UserError for anything else, a bare number above all: 0.01
    could be a hundredth of a point or one point."""
    found = _DROP.fullmatch(text.strip())
    if found is None:
        raise UserError(
            f"--max-drop: cannot read {text!r}", hint="write points of a hundred with their unit: 1pt, 0.5pt (or pp, %)"
        )
    points = float(found[1])
    if points > 100:
        raise UserError(f"--max-drop: {text!r} is more than everything", hint="for example: --max-drop 1pt")
    return points / 100


def _header(folder: Path) -> RunHeader:
    header = read_header(folder)
    if "accuracy" not in header.axes:
        raise UserError(f"{folder} has no accuracy: its axes are {', '.join(header.axes)}")
    return header


def _check_finished(folder: Path, candidate: str) -> None:
    """Half the samples in their order are no fair half. A run that was stopped early has no state yet."""
    if candidate not in read_state(folder).finished.get("accuracy", []):
        raise UserError(
            f"{folder} is not finished: accuracy of {candidate}", hint=f"fourways compare --resume {folder}"
        )


def _sides(folder: Path, header: RunHeader, names: Sequence[str]) -> dict[str, Side]:
    """Of the candidates that are compared, in one pass over the run's rows."""
    from fourways.core.rows import AnswerRow, FailureRow
    from fourways.figures import Side

    rows = [row for row in read_rows(folder / ROWS_FILE) if isinstance(row, AnswerRow | FailureRow)]
    return {name: Side.of(str(folder), header, name, rows) for name in names}


def _candidates(asked: str | None, new: RunHeader, old: RunHeader, run: str, baseline: str) -> list[tuple[str, str]]:
    """(name in the run, name in the baseline) of whom to compare."""
    mine, theirs = ([record.candidate.name for record in header.candidates] for header in (new, old))
    if asked is not None:
        name, equals, other = asked.partition("=")
        other = other if equals else name
        for wanted, names, where in ((name, mine, run), (other, theirs, baseline)):
            if wanted not in names:
                raise UserError(
                    f"--candidate: {where} has no candidate {wanted!r}", hint=f"it has {', '.join(names)}; or: NEW=OLD"
                )
        return [(name, other)]
    if shared := [name for name in mine if name in theirs]:
        return [(name, name) for name in shared]
    if len(mine) == len(theirs) == 1:
        return [(mine[0], theirs[0])]
    raise UserError(
        f"no candidate is in both: {run} has {', '.join(mine)}; {baseline} has {', '.join(theirs)}",
        hint="say which: --candidate NEW=OLD",
    )


def _alone(names: Sequence[tuple[str, str]], new: RunHeader, old: RunHeader, run: str, baseline: str) -> list[str]:
    """Candidates that nothing is compared with, unless the user chose: one that vanished is no pass."""
    found = []
    for header, where, at in ((new, run, 0), (old, baseline, 1)):
        compared = {pair[at] for pair in names}
        others = (record.candidate.name for record in header.candidates)
        found += [f"{name} is only in {where}" for name in others if name not in compared]
    return found


def _print_table(gates: Sequence[Gate], said: Sequence[str], max_drop: str) -> None:
    from rich.table import Table

    table = Table(title=f"accuracy, at most {max_drop} worse", title_justify="left", show_lines=True)
    for column in ("candidate", "benchmark", "baseline", "run", "difference", "n", "verdict"):
        table.add_column(column, justify="right" if column in _NUMBERS else "left", overflow="fold")
    for one in gates:
        name = one.candidate if one.candidate == one.against else f"{one.candidate} against {one.against}"
        for gated in one.compared:
            table.add_row(name, *_row(gated), style="bold red" if gated.dropped else None)
    results().print(table)
    for note in said:
        notes().print(f"not compared: {note}", soft_wrap=True, highlight=False)
    for one in gates:
        results().print(f"{one.candidate}: {'passed' if one.passed else 'FAILED'}", highlight=False)


_NUMBERS = frozenset({"baseline", "run", "difference", "n"})


def _row(gated: Gated) -> tuple[str, ...]:
    share = gated.metric.unit == "fraction"
    scale, unit = (100.0, " %") if share else (1.0, gated.metric.unit.removeprefix("points"))
    estimate = gated.difference.estimate
    difference = f"{_signed(scale * estimate.value)}{' pp' if share else ''}"
    if estimate.interval is not None:
        low, high = (_signed(scale * end) for end in estimate.interval)
        difference += f"\n[{low} to {high}]"
    return (
        f"{gated.benchmark}: {gated.metric.name}" if gated.benchmark else "aggregate",
        f"{scale * gated.baseline:.1f}{unit}",
        f"{scale * gated.run:.1f}{unit}",
        difference,
        f"{estimate.n:,} images",
        gated.words,
    )


def _signed(number: float) -> str:
    """One decimal with its sign; what rounds to zero has none."""
    text = f"{number:+.1f}"
    return text if float(text) else text.lstrip("+-")


def _print_json(gates: Sequence[Gate], said: Sequence[str], run: Path, baseline: Path, allowed: float) -> None:
    import msgspec

    record = {
        "schema": SCHEMA,
        "run": str(run),
        "baseline": str(baseline),
        "max_drop": allowed,
        "passed": all(one.passed for one in gates),
        "notes": said,
        "compared": [_entry(one, gated) for one in gates for gated in one.compared],
    }
    typer.echo(msgspec.json.format(msgspec.json.encode(record), indent=1).decode())


def _entry(one: Gate, gated: Gated) -> dict[str, Any]:
    found = gated.difference
    low, high = found.estimate.interval or (None, None)
    return {
        "candidate": one.candidate,
        "against": one.against,
        "benchmark": gated.benchmark or None,
        "metric": gated.metric.name,
        "definition": gated.metric.definition,
        "unit": gated.metric.unit,
        "baseline": gated.baseline,
        "run": gated.run,
        "difference": found.estimate.value,
        "low": low,
        "high": high,
        "n": found.estimate.n,
        "n_unit": "images",
        "allowed": gated.allowed,
        "sees": found.sees,
        "images_for_one_point": found.images_for_one_point,
        "dropped": gated.dropped,
        "verdict": gated.words,
    }
