"""Runs the same thing again from a run's header, and says whether it came out the same.

Contract: the first re-run has every axis that is asked for, in `OUT/run`; further fresh starts of the latency axis
follow in `OUT/latency-2`, …: one start cannot show how far this machine's times differ from start to start. Each is a
whole run of its own. The comparison is written when all of them are there, as `OUT/comparison.json`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from fourways.benchmarks import registry
from fourways.benchmarks.suite import Entry, Suite
from fourways.compare.folder import check_new
from fourways.compare.job import Job
from fourways.compare.outcome import Interrupted
from fourways.compare.progress import Show
from fourways.compare.publishing import NO_IMAGES
from fourways.compare.reproduce_told import opening, seconds_taken, stopped
from fourways.compare.run import job_of, start
from fourways.compare.suites import embedded_suite, record_suite
from fourways.core.errors import UserError
from fourways.core.figure import Axis
from fourways.core.rows import TermsRow
from fourways.core.run import BenchmarkRecord, RunHeader
from fourways.core.run_files import ROWS_FILE, SUMMARY_FILE, read_header, read_rows, write_whole
from fourways.core.verdict import Comparison
from fourways.evidence import new_run_id
from fourways.evidence.comparison import Facts, judge
from fourways.evidence.redact import MASK

STARTS = 3
COMPARISON_FILE = "comparison.json"


@dataclass(frozen=True, slots=True)
class Reproduction:
    """header: of the re-run. folder: where the re-runs lie."""

    comparison: Comparison
    header: RunHeader
    folder: Path

    @property
    def failed(self) -> bool:
        """Whether anything was seen to differ."""
        return any(one.verdict == "not reproduced" for one in self.comparison.verdicts)


def reproduce(
    run: Path,
    *,
    show: Show,
    out: Path | None = None,
    axes: Sequence[Axis] = (),
    starts: int = STARTS,
    argv: Sequence[str] = (),
) -> Reproduction:
    """axes: some of the run's; none: all. starts: fresh starts of the latency axis in all, at least 1.

    Raises UserError before anything is measured where the run cannot be run again from its header; Interrupted on
    Ctrl-C.
    """
    old = read_header(run)
    job = again(run, old, axes, argv)
    folder = out or Path("runs") / f"{new_run_id(['again'])}-of-{old.run_id}"[:120]
    check_new(folder)
    count = starts if "latency" in job.axes else 1
    for line in opening(seconds_taken(run, old), job_of(old), job, count, folder):
        show.phase(line)
    folders: list[Path] = []
    for into, part in _starts(job, folder, count):
        folders.append(into)
        show.phase(f"start {len(folders)} of {count}: {', '.join(part.axes)}, into {into}")
        try:
            start(replace(part, out=into), show, old)
        except Interrupted as error:
            raise stopped(run, folders, count) from error
    show.phase("comparing")
    reproduction = compared(run, folders)
    write_whole(folder / COMPARISON_FILE, to_json(reproduction.comparison))
    return replace(reproduction, folder=folder)


def _starts(job: Job, folder: Path, count: int) -> Iterator[tuple[Path, Job]]:
    """(where to, what): the whole of it, and then the latency axis alone."""
    yield folder / "run", job
    timed = replace(job, axes=("latency",), suite={})
    yield from ((folder / f"latency-{number}", timed) for number in range(2, count + 1))


def compared(run: Path, reruns: Sequence[Path]) -> Reproduction:
    """Judges re-runs that are there. reruns: the first has every axis that is judged; of the others only the latency
    counts, as further fresh starts. Raises UserError naming a folder that holds no finished run, or one given twice."""
    old, new, *further = Facts.read_all([run, *reruns])
    return Reproduction(judge(old, new, further), new.header, reruns[0])


def to_json(comparison: Comparison) -> bytes:
    """As it stands in comparison.json."""
    return msgspec.json.format(msgspec.json.encode(comparison), indent=1) + b"\n"


def again(run: Path, old: RunHeader, axes: Sequence[Axis] = (), argv: Sequence[str] = ()) -> Job:
    """The job of the run's header. Raises UserError for what cannot be run again: a run of `fourways load`, a merged
    one, one that did not end, credentials that are not kept, data that is gone."""
    _check_kind(run, old)
    _check_kept(old)
    if strange := [axis for axis in axes if axis not in old.axes]:
        raise UserError(f"{run} has no {strange[0]} axis", hint=f"it has {', '.join(old.axes)}")
    job = job_of(old)
    wanted = tuple(axis for axis in job.axes if not axes or axis in axes)
    suite = _suite(old) if "accuracy" in wanted else {}
    # Who kept the pictures out of the first page has not asked for them now.
    said = tuple(argv) if job.show_images else (*argv, NO_IMAGES)
    return replace(job, axes=wanted, suite=suite, argv=said)


def _check_kind(run: Path, old: RunHeader) -> None:
    if isinstance(next(read_rows(run / ROWS_FILE), None), TermsRow):
        raise UserError(
            f"{run} is a run of `fourways load`, whose terms are in its command line only",
            hint=f"run that command again into another folder, then: fourways diff {run} NEW",
        )
    if old.parts:
        raise UserError(
            f"{run} was merged from {len(old.parts)} shards",
            hint=f"reproduce each shard, or merge new ones and compare: fourways diff {run} NEW",
        )
    if not (run / SUMMARY_FILE).is_file():
        raise UserError(f"{run} is not finished", hint=f"fourways compare --resume {run}")


def _check_kept(old: RunHeader) -> None:
    """What was redacted cannot be used again."""
    for record in old.candidates:
        candidate = record.candidate
        for what in ("url", "model", "adapter", "server_log"):
            if MASK in (getattr(candidate, what) or ""):
                raise UserError(
                    f"the {what} of {candidate.name!r} held something secret, which a run does not keep",
                    hint=f"run it anew: fourways compare {candidate.name}=…, then: fourways diff",
                )
    if gone := [record.key for record in old.suite if MASK in record.path]:
        raise UserError(f"the path to the data of {gone[0]} held something secret, which a run does not keep")


def _suite(old: RunHeader) -> Suite:
    """The suite where the run had it; of the embedded one, which any machine can make again, the one here. Raises
    UserError naming the benchmark whose data is gone."""
    embedded: dict[str, tuple[Entry, BenchmarkRecord]] = {}
    found: dict[str, Entry] = {}
    for record in old.suite:
        path = Path(record.path).expanduser()
        if path.exists():
            found[record.key] = Entry(registry.get(record.key, record.columns), path)
            continue
        if not embedded:
            here = embedded_suite()
            embedded = {one.key: (here[one.key], one) for one in record_suite(here)}
        entry, made = embedded.get(record.key, (None, None))
        if entry is None or made is None or made.sha256 != record.sha256:
            raise UserError(
                f"the data of {record.key} is gone: it lay at {record.path} (sha256 {record.sha256[:16]}…)",
                hint="put it back there; or without accuracy: --axes latency,memory,tuning",
            )
        found[record.key] = entry
    return found
