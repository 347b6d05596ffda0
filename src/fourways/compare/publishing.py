"""From a run's rows to its figures, its page and its statement; and the suite that a run's header names."""

from __future__ import annotations

from pathlib import Path

import msgspec

from fourways import figures, report
from fourways.benchmarks import registry
from fourways.benchmarks.suite import Entry, Suite
from fourways.compare.progress import Show
from fourways.compare.suites import embedded_suite, image_finder
from fourways.core.figure import SUMMARY_SCHEMA, Summary
from fourways.core.run import RunHeader
from fourways.core.run_files import ROWS_FILE, SUMMARY_FILE, read_rows, write_whole
from fourways.evidence.statement import write_statement

NO_IMAGES = "--no-images"
"""A run that was started with it never shows its pictures, however it is gone on with."""


def publish(folder: Path, header: RunHeader, suite: Suite, show: Show, *, pictures: bool) -> tuple[Summary, Path]:
    """Writes summary.json and the page of a run and, when nothing of it will change any more, statement.json. Returns
    the figures and the page's path. pictures: whether the page carries those of the suite."""
    show.phase("figures and report")
    summary = Summary(SUMMARY_SCHEMA, header.run_id, figures.compute(read_rows(folder / ROWS_FILE), header.suite))
    write_whole(folder / SUMMARY_FILE, msgspec.json.format(msgspec.json.encode(summary), indent=1) + b"\n")
    images = image_finder(suite, lambda: read_rows(folder / ROWS_FILE))
    page = report.write_report(folder, images=images, include_images=pictures)
    used = {figure.definition for figure in summary.figures}
    if write_statement(folder, header, {name: text for name, text in figures.TEXTS.items() if name in used}):
        show.phase("the run has changed since it was signed: its signature is removed; sign it again")
    return summary, page


def shows_pictures(header: RunHeader) -> bool:
    """What the run was started with."""
    return NO_IMAGES not in header.argv


def suite_named_by(header: RunHeader) -> Suite:
    """The run's benchmarks where their data still lies; the embedded ones for those whose data is gone."""
    suite = {r.key: Entry(registry.get(r.key, r.columns), Path(r.path).expanduser()) for r in header.suite}
    if any(not entry.path.exists() for entry in suite.values()):
        suite = {key: entry for key, entry in embedded_suite().items() if key in suite}
    return suite
