"""`fourways export`: a run in the files of others."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.telemetry import OTEL, export_telemetry
from fourways.core.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fourways.benchmarks.predictions import Export
    from fourways.core.rows import AnswerRow

EXAMPLES = """
Examples:

fourways export runs/2026-11-22T10-04-05Z-qwen-llava-internvl --to vlmevalkit --out predictions

fourways export runs/2026-11-22T10-04-05Z-qwen --to mmbench-submission --out submission --candidate qwen

fourways export runs/2026-11-22T10-04-05Z-load-qwen --to benchstat --out bench

fourways export runs/2026-11-22T10-04-05Z-load-qwen --to otel --out telemetry

fourways export runs/2026-11-22T10-04-05Z-qwen --to csv --out tables

fourways export runs/2026-11-22T10-04-05Z-qwen --to mlflow --out http://localhost:5000

csv and mlflow: docs/export.md; prediction files and submissions: docs/score.md; benchstat: docs/load.md; otel:
docs/trace.md.
"""
_TO = "csv, mlflow (everything); vlmevalkit, lmms-eval, mmbench-submission, vqav2-submission; benchstat, otel (times)."
_BENCHSTAT, _CSV, _MLFLOW = "benchstat", "csv", "mlflow"


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder.")],
    to: Annotated[str, typer.Option("--to", metavar="FORMAT", help=_TO)],
    out: Annotated[str, typer.Option(metavar="DIR", help="Where the files go; mlflow: or a tracking URI.")],
    candidate: Annotated[str | None, typer.Option(metavar="NAME", help="Only what is of this one.")] = None,
) -> None:
    """Write a run as CSV, into MLflow, as prediction files of the kits or a submission; or its times for benchstat or
    OpenTelemetry."""
    from fourways.cli.terminal import results

    console = results()
    if to == _CSV:
        from fourways.evidence.export import write_csv

        for path, lines in write_csv(run, Path(out), candidate).items():
            console.print(f"{path}: {lines:,} rows", highlight=False, soft_wrap=True)
    elif to == _MLFLOW:
        from fourways.evidence.export import log_run

        for one in log_run(run, out, candidate):
            console.print(f"{one.candidate}: {one.became}: {one.metrics:,} metrics in run {one.run_id}", soft_wrap=True)
    elif to == _BENCHSTAT:
        console.print(f"{_export_times(run, Path(out), candidate)}", highlight=False, soft_wrap=True)
    elif to == OTEL:
        for path, became in export_telemetry(run, Path(out), candidate).items():
            console.print(f"{path}: {became}", highlight=False, soft_wrap=True)
    else:
        _export_answers(run, to, Path(out), candidate)


def _export_answers(run: Path, to: str, out: Path, candidate: str | None) -> None:
    from fourways.cli.terminal import notes, results
    from fourways.core.run_files import write_whole

    console = results()
    made = list(_exports(run, to, candidate))
    for name in _unfinished(run, candidate):
        notes().print(f"note: {name} has not answered everything yet: fourways compare --resume {run}", soft_wrap=True)
    if left := _left_out(run, to, candidate):
        notes().print(f"note: {to} has no form for {', '.join(left)}: left out", soft_wrap=True)
    _check(out, made)
    out.mkdir(parents=True, exist_ok=True)
    for one in made:
        write_whole(out / one.name, one.content)
        console.print(f"{out / one.name}: {one.rows:,} answers", highlight=False, soft_wrap=True)
        for odd in one.oddities.listed():
            console.print(f"  {odd.count:,} × {odd.what}", highlight=False, soft_wrap=True)


def _export_times(run: Path, out: Path, candidate: str | None) -> Path:
    """The file that was written. Raises UserError where the run timed nothing."""
    from fourways.core.rows import RequestRow
    from fourways.core.run_files import ROWS_FILE, read_header, read_rows, write_whole
    from fourways.figures import benchstat

    header = read_header(run)
    names = [record.candidate.name for record in header.candidates]
    if candidate is not None and candidate not in names:
        raise UserError(f"{run}: no candidate is called {candidate!r}", hint=f"one of {', '.join(names)}")
    rows = (row for row in read_rows(run / ROWS_FILE) if isinstance(row, RequestRow))
    text = benchstat(header, (row for row in rows if candidate in (None, row.candidate)))
    if not text:
        raise UserError(f"{run}: no request in it was answered and timed", hint="its times come from `fourways load`")
    path = out / f"{header.run_id}.bench.txt"
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file", hint="name a folder")
    if path.exists():
        raise UserError(f"{out} has {path.name} already", hint="name another --out, or move it away")
    out.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())
    return path


def _check(out: Path, made: list[Export]) -> None:
    """Raises UserError before anything is written."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is a file", hint="name a folder")
    if there := [one.name for one in made if (out / one.name).exists()]:
        raise UserError(f"{out} has {there[0]} already", hint="name another --out, or move it away")
    names = [one.name for one in made]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise UserError(f"two candidates would both be written to {double}", hint="take one at a time with --candidate")


def _exports(run: Path, to: str, candidate: str | None) -> Iterator[Export]:
    """One for each candidate and benchmark that the form is for. Raises UserError where there is none."""
    from fourways.benchmarks.predictions import FORMATS, boxes_of, takes
    from fourways.benchmarks.predictions import export as written
    from fourways.core.run_files import read_header

    if to not in FORMATS:
        raise UserError(
            f"--to {to!r} is not known", hint=f"one of {', '.join((_CSV, _MLFLOW, *FORMATS, _BENCHSTAT, OTEL))}"
        )
    editions = {record.key: record.edition for record in read_header(run).suite}
    held = _answers(run)
    names = list(dict.fromkeys(name for name, _ in held))
    if candidate is not None and candidate not in names:
        raise UserError(f"{run}: no candidate is called {candidate!r}", hint=f"one of {', '.join(names) or 'none'}")
    wanted = {
        (name, key): rows for (name, key), rows in held.items() if candidate in (None, name) and takes(to, _asked(key))
    }
    if not wanted:
        keys = ", ".join(dict.fromkeys(key for _, key in held)) or "no benchmark"
        raise UserError(f"{run}: nothing in it is for {to}", hint=f"it holds answers to {keys}")
    for (name, key), rows in wanted.items():
        yield written(to, name, _asked(key), editions.get(key, ""), rows, boxes_of(run, name))


def _left_out(run: Path, to: str, candidate: str | None) -> list[str]:
    """The benchmarks whose answers that form has no place for."""
    from fourways.benchmarks.predictions import takes

    keys = (_asked(key) for name, key in _answers(run) if candidate in (None, name))
    return [key for key in dict.fromkeys(keys) if not takes(to, key)]


def _unfinished(run: Path, candidate: str | None) -> list[str]:
    """The candidates whose answers are not all there: what is written of them is a part."""
    from fourways.core.run_files import read_header, read_state

    finished = read_state(run).finished.get("accuracy", [])
    names = [record.candidate.name for record in read_header(run).candidates]
    return [name for name in names if candidate in (None, name) and name not in finished]


def _asked(key: str) -> str:
    """The benchmark whose questions were asked, ranked or not."""
    return key.removesuffix("@rank")


def _answers(run: Path) -> dict[tuple[str, str], list[AnswerRow]]:
    from fourways.core.rows import AnswerRow
    from fourways.core.run_files import ROWS_FILE, read_rows

    held: dict[tuple[str, str], list[AnswerRow]] = {}
    for row in read_rows(run / ROWS_FILE):
        if isinstance(row, AnswerRow):
            held.setdefault((row.candidate, row.benchmark), []).append(row)
    return held
