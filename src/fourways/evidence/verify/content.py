"""What the files say, once their bytes are known: header, rows and figures agree, and nothing is missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from pathlib import Path

from fourways.core.errors import FourwaysError
from fourways.core.figure import Summary
from fourways.core.rows import ROWS_SCHEMA, Row, RowsHeader
from fourways.core.run import RunHeader, RunState
from fourways.core.run_files import (
    REPORT_FILE,
    ROWS_FILE,
    RUN_FILE,
    STATEMENT_FILE,
    SUMMARY_FILE,
    read_header,
    read_rows_header,
    read_state,
    read_summary,
)
from fourways.evidence.statement import Statement
from fourways.evidence.verify.contract import Check, Refused, check, unchecked
from fourways.evidence.verify.counted import Counted
from fourways.evidence.verify.lines import numbered
from fourways.evidence.verify.recomputed import check_figures


def check_content(folder: Path, statement: Statement) -> list[Check]:
    """header, rows, figures and page. The rows are read once, and serve two checks."""
    try:
        header, rows_header = read_header(folder), read_rows_header(folder / ROWS_FILE)
        summary, state = read_summary(folder), read_state(folder)
    except (FourwaysError, RecursionError) as error:
        return [check("header", "the files can be read", [str(error)])]
    agree = check("header", _agree_on(header), _disagreements(statement, header, rows_header, summary))
    counted = Counted(header)
    rows = _watched(folder, counted)
    try:
        figures = _figures(header, summary, statement, rows)
        deque(rows, maxlen=0)  # those that are left where no figures could be computed
    except Refused as error:
        return [agree, check("rows", f"{ROWS_FILE}, line by line", [error.message]), _page(folder, header, statement)]
    return [agree, _rows(counted, state), figures, _page(folder, header, statement)]


def _figures(header: RunHeader, summary: Summary, statement: Statement, rows: Iterator[Row]) -> Check:
    """Raises Refused for a line that is no row. Rows that nobody measured may be such that a formula breaks on them."""
    try:
        return check_figures(header, summary, statement, rows)
    except Refused:
        raise
    except Exception as error:
        why = f"{ROWS_FILE}: no figures can be computed from it: {type(error).__name__}: {error}"
        return check("figures", "figures computed again from the rows", [why])


def _watched(folder: Path, counted: Counted) -> Iterator[Row]:
    for line, row in numbered(folder / ROWS_FILE):
        counted.add(line, row)
        yield row


def _rows(counted: Counted, state: RunState) -> Check:
    reasons, remarks = counted.found(state)
    return check("rows", f"{counted.count:,} rows against the header's plan, samples and seed", reasons, tuple(remarks))


def _agree_on(header: RunHeader) -> str:
    return f"run id, seed and source in every file: {header.run_id}"


def _disagreements(statement: Statement, header: RunHeader, rows_header: RowsHeader, summary: Summary) -> list[str]:
    said = statement.predicate
    found = []
    for name in ("run_id", "seed", "source"):
        if getattr(said, name) != getattr(header, name):
            found.append(f"{STATEMENT_FILE}: its {name} is not that of {RUN_FILE}")
    source = header.source
    first = RowsHeader(ROWS_SCHEMA, header.run_id, source.commit, source.branch, source.commit_date)
    for name in ("schema", "run_id", "commit", "branch", "commit_date"):
        if getattr(rows_header, name) != getattr(first, name):
            found.append(f"{ROWS_FILE}, line 1: its {name} is not that of {RUN_FILE}")
    if summary.run_id != header.run_id:
        found.append(f"{SUMMARY_FILE}: its run_id is {summary.run_id}, and {RUN_FILE} says {header.run_id}")
    return found


def _page(folder: Path, header: RunHeader, statement: Statement) -> Check:
    """That the page is of this run. Its numbers are drawn from summary.json, and are not read back."""
    if REPORT_FILE not in {one.name for one in statement.subject}:
        return unchecked("page", f"there is no {REPORT_FILE}")
    named = f"Run {header.run_id}. Made by Fourways {header.source.version} ".encode()
    content = (folder / REPORT_FILE).read_bytes()
    reasons = [] if named in content else [f"{REPORT_FILE}: it does not say that it is of run {header.run_id}"]
    return check("page", "it names this run (its numbers are not read back)", reasons)
