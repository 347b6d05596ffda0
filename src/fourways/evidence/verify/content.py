"""What the files say, once their bytes are known: header, rows and figures agree, and nothing is missing."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from fourways.core.errors import FourwaysError
from fourways.core.figure import Summary
from fourways.core.rows import ROWS_SCHEMA, Row, RowsHeader
from fourways.core.run import RunHeader, RunState
from fourways.core.run_files import (
    REPORT_FILE,
    ROWS_FILE,
    RUN_FILE,
    STATE_FILE,
    STATEMENT_FILE,
    SUMMARY_FILE,
    decode_header,
    decode_rows_header,
    decode_state,
    decode_summary,
)
from fourways.evidence.statement import Statement
from fourways.evidence.verify.contract import Check, Refused, check, unchecked
from fourways.evidence.verify.counted import Counted
from fourways.evidence.verify.files import Signed
from fourways.evidence.verify.lines import check_once, check_whole, numbered
from fourways.evidence.verify.recomputed import check_figures


def check_content(folder: Path, statement: Statement) -> list[Check]:
    """header, rows, figures and page. The rows are read once, and serve two checks."""
    files = Signed(folder, {one.name: one.digest.sha256 for one in statement.subject})
    lines = files.lines(ROWS_FILE)
    try:
        header = decode_header(_plain(files, RUN_FILE), Path(RUN_FILE))
        summary = decode_summary(_plain(files, SUMMARY_FILE), Path(SUMMARY_FILE))
        state = decode_state(_plain(files, STATE_FILE), Path(STATE_FILE)) if STATE_FILE in files.digests else RunState()
        rows_header = _first(next(lines, b""))
        page = _page(files, header)
    except FourwaysError as error:
        return [check("header", "the files can be read", [error.message])]
    agree = check("header", _agree_on(header), _disagreements(statement, header, rows_header, summary))
    counted = Counted(header)
    rows = _watched(lines, counted)
    try:
        figures = _figures(header, summary, statement, rows)
        deque(rows, maxlen=0)  # those that are left where no figures could be computed
    except Refused as error:
        return [agree, check("rows", f"{ROWS_FILE}, line by line", [error.message]), page]
    return [agree, _rows(counted, state), figures, page]


def _plain(files: Signed, name: str) -> bytes:
    """The bytes of a file of JSON. Raises Refused where a key stands twice."""
    content = files.content(name)
    with suppress(ValueError):  # what is no JSON is said by whoever decodes it
        check_once(content, name)
    return content


def _first(line: bytes) -> RowsHeader:
    header = decode_rows_header(line, Path(ROWS_FILE))
    check_whole(line, f"{ROWS_FILE}, line 1")
    check_once(line, f"{ROWS_FILE}, line 1")
    return header


def _figures(header: RunHeader, summary: Summary, statement: Statement, rows: Iterator[Row]) -> Check:
    """Raises Refused for a line that is no row. Rows that nobody measured may be such that a formula breaks on them."""
    try:
        return check_figures(header, summary, statement, rows)
    except Refused:
        raise
    except Exception as error:
        why = f"{ROWS_FILE}: no figures can be computed from it: {type(error).__name__}: {error}"
        return check("figures", "figures computed again from the rows", [why])


def _watched(lines: Iterator[bytes], counted: Counted) -> Iterator[Row]:
    for line, row in numbered(lines):
        counted.add(line, row)
        yield row


def _rows(counted: Counted, state: RunState) -> Check:
    reasons, remarks = counted.found(state)
    what = (
        f"{counted.count:,} rows against the header's plan, samples and seed; {counted.scored:,} answers scored again"
    )
    return check("rows", what, reasons, tuple(remarks))


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
    covered = {one.name for one in statement.subject}
    for trace in header.traces:
        if trace.file not in covered:
            found.append(f"{STATEMENT_FILE}: it does not name {trace.file}, and {RUN_FILE} says that the run left it")
    return found


def _page(files: Signed, header: RunHeader) -> Check:
    """That the page is of this run. Its numbers are drawn from summary.json, and are not read back."""
    if REPORT_FILE not in files.digests:
        return unchecked("page", f"there is no {REPORT_FILE}")
    named = f"Run {header.run_id}. Made by Fourways {header.source.version} ".encode()
    reasons = (
        []
        if named in files.content(REPORT_FILE)
        else [f"{REPORT_FILE}: it does not say that it is of run {header.run_id}"]
    )
    return check("page", "it names this run (its numbers are not read back)", reasons)
