"""The runs of all shards made into one run.

Contract: nothing is written before everything is checked, and the merged run is there whole or not at all. Every shard
is here, once, and finished; one configuration, and one fingerprint of code, engine, weights and data, made all of them;
every sample was asked exactly once. The shards stay as they are.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from fourways.compare.fingerprint import fingerprints, unlike
from fourways.compare.folder import ELSEWHERE, RunFolder, check_new, make
from fourways.compare.losses import losses
from fourways.compare.outcome import Outcome
from fourways.compare.progress import Show
from fourways.compare.publishing import publish, shows_pictures, suite_named_by
from fourways.core.errors import UserError
from fourways.core.rows import AnswerRow, FailureRow, Row
from fourways.core.run import CandidateRecord, PartRecord, RunHeader, RunState, ShardRecord
from fourways.core.run_files import ROWS_FILE, read_header, read_rows, read_state
from fourways.evidence import RowsNotWritten, changes, new_run_id, write_header
from fourways.evidence.redact import redact_argv

_AXIS = "accuracy"
_SHOWN = 8
"""Differences that an error names."""


@dataclass(frozen=True, slots=True)
class _Part:
    """A shard's run."""

    folder: Path
    header: RunHeader
    record: ShardRecord

    def __str__(self) -> str:
        return f"shard {self.record.shard} ({self.folder})"

    def rows(self) -> Iterator[Row]:
        return read_rows(self.folder / ROWS_FILE)


def merge(out: Path, folders: Sequence[Path], argv: Sequence[str], show: Show) -> Outcome:
    """Writes the run of all shards into the new folder `out`. Raises UserError naming what is missing, what is there
    twice, or what differs."""
    check_new(out)
    show.phase(f"checking {len(folders)} shards")
    parts = _complete([_part(folder) for folder in folders])
    for part in parts[1:]:
        _check_alike(parts[0], part)
    broken = _check_finished(parts)
    _check_rows(parts)
    header = _header(parts, argv)
    pictures = all(shows_pictures(part.header) for part in parts)
    with _taking_the_place_of(out) as folder:
        write_header(header, folder)
        _write(folder, header, parts, broken, show)
        summary, page = publish(folder, header, suite_named_by(header), show, pictures=pictures)
    failures, partly = losses(read_rows(out / ROWS_FILE))
    return Outcome(out, out / page.name, summary, failures, partly, try_again=False)


@contextmanager
def _taking_the_place_of(out: Path) -> Iterator[Path]:
    """A folder beside `out` that becomes it when everything is written: half a merged run would look like a whole one.
    Nothing is left of it after a failure."""
    place = out.resolve()
    folder = place.with_name(f".{place.name}.merging-{os.getpid()}")
    make(folder)
    try:
        yield folder
        _move(folder, place)
    except RowsNotWritten as error:
        why = f"the merged run could not be written: {error.__cause__ or error}; the shards are as they were"
        raise RowsNotWritten(why, hint="free some space, then merge again") from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _move(folder: Path, place: Path) -> None:
    try:
        folder.replace(place)
    except OSError as error:
        raise UserError(f"{place} cannot be made: {error.strerror or error}", hint=ELSEWHERE) from error


def _part(folder: Path) -> _Part:
    header = read_header(folder)
    if header.shard is None:
        raise UserError(f"{folder} is the run of no shard", hint="name runs that were started with --shard INDEX/OF")
    return _Part(folder, header, header.shard)


def _complete(parts: Sequence[_Part]) -> list[_Part]:
    """The parts in their order, each once and none missing."""
    if not parts:
        raise UserError("there is no shard to merge", hint="fourways merge OUT SHARD_RUN…")
    of = parts[0].record.shard.of
    if other := next((part for part in parts if part.record.shard.of != of), None):
        raise UserError(f"{other} is of another division than {parts[0]}", hint="merge the shards of one division")
    by_index: dict[int, _Part] = {}
    for part in parts:
        if (twin := by_index.setdefault(part.record.shard.index, part)) is not part:
            raise UserError(f"{part} is here twice: it is also {twin.folder}", hint="leave one of them out")
    if missing := [index for index in range(1, of + 1) if index not in by_index]:
        what = f"shard {missing[0]} of {of} is" if len(missing) == 1 else f"shards {_listed(missing)} of {of} are"
        raise UserError(f"{what} not here", hint=f"run what is missing: fourways compare … --shard {missing[0]}/{of}")
    return [by_index[index] for index in sorted(by_index)]


def _listed(numbers: Sequence[int]) -> str:
    *some, last = map(str, numbers)
    return f"{', '.join(some)} and {last}"


def _check_alike(first: _Part, other: _Part) -> None:
    differences = changes(_neutral(first, first), _neutral(other, first))
    expected, found = fingerprints(first.header), fingerprints(other.header)
    for name in expected.keys() & found.keys():
        differences += [f"{name}: {line}" for line in unlike(expected[name], found[name])]
    if differences:
        raise UserError(
            f"{other} is not of the same run as {first}: {'; '.join(differences[:_SHOWN])}",
            hint="answers of two versions are not mixed; run that shard again as the others were run",
        )


def _neutral(part: _Part, first: _Part) -> RunHeader:
    """The header without what belongs to a host or a shard. Weights, engines, packages and data are in the
    fingerprints."""
    header = part.header
    return msgspec.structs.replace(
        header,
        candidates=tuple(_asked(record) for record in header.candidates),
        suite=tuple(msgspec.structs.replace(one, path="", asked=None, asked_sha256=None) for one in header.suite),
        environment=first.header.environment,
        clock=first.header.clock,
        shard=msgspec.structs.replace(part.record, shard=first.record.shard, asked={}),
    )


def _asked(record: CandidateRecord) -> CandidateRecord:
    """What was asked for, wherever the weights or the server lie."""
    candidate = record.candidate
    where = {name: "" for name in ("model", "url", "adapter") if getattr(candidate, name) is not None}
    plain = msgspec.structs.replace(
        candidate, device=candidate.device.partition(":")[0], threads=None, api_key_env=None, server_log=None, **where
    )
    return CandidateRecord(plain, record.architecture, {}, None)


def _check_finished(parts: Sequence[_Part]) -> dict[str, FailureRow]:
    """Raises UserError for a shard that can be gone on with. Returns candidates that were lost in every shard, with
    nothing answered: they are lost in the merged run too."""
    lost: Counter[str] = Counter()
    why: dict[str, FailureRow] = {}
    unfinished: list[tuple[_Part, str]] = []
    for part in parts:
        finished = read_state(part.folder).finished.get(_AXIS, ())
        left = {record.candidate.name for record in part.header.candidates} - set(finished)
        failures = _whole_losses(part, left)
        lost.update(failures.keys())
        why |= failures
        unfinished += [(part, name) for name in sorted(left)]
    broken = {name: failure for name, failure in why.items() if lost[name] == len(parts)}
    for part, name in unfinished:
        if name not in broken:
            raise UserError(
                f"{part} is not finished: {name}", hint=f"go on with it: fourways compare --resume {part.folder}"
            )
    return broken


def _whole_losses(part: _Part, names: set[str]) -> dict[str, FailureRow]:
    """Of these candidates, those that have nothing in the part but that they failed."""
    found: dict[str, FailureRow] = {}
    answered: set[str] = set()
    for row in part.rows() if names else ():
        if isinstance(row, AnswerRow):
            answered.add(row.candidate)
        elif isinstance(row, FailureRow) and row.candidate in names and row.scope in ("candidate", "axis"):
            found[row.candidate] = row
    return {name: row for name, row in found.items() if name not in answered}


def _check_rows(parts: Sequence[_Part]) -> None:
    """Every sample of every benchmark once, except where a whole benchmark of a candidate could not be asked."""
    seen: dict[tuple[str, str, str], _Part] = {}
    for part in parts:
        counts: Counter[tuple[str, str]] = Counter()
        unwritten: Counter[str] = Counter()
        excused: set[tuple[str, str]] = set()
        for row in part.rows():
            if isinstance(row, AnswerRow):
                key = (row.candidate, row.benchmark, row.sample)
                if (twin := seen.get(key)) is not None:
                    where = f"twice in {part}" if twin is part else f"in {twin} and in {part}"
                    raise UserError(f"sample {row.sample!r} of {row.benchmark} was asked of {row.candidate} {where}")
                seen[key] = part
                counts[key[:2]] += 1
            elif isinstance(row, FailureRow) and row.scope == "sample":
                unwritten[row.candidate] += 1
            elif isinstance(row, FailureRow):
                keys = [row.where] if row.scope == "benchmark" else part.record.asked
                excused |= {(row.candidate, benchmark) for benchmark in keys}
        _check_counts(part, counts, excused, unwritten)
    _check_sums(parts)


def _check_counts(
    part: _Part, counts: Mapping[tuple[str, str], int], excused: Collection[tuple[str, str]], unwritten: Counter[str]
) -> None:
    """unwritten: candidate → questions whose answer could not be kept as a row, each of which stands as a failure."""
    for name in (record.candidate.name for record in part.header.candidates):
        for benchmark, asked in part.record.asked.items():
            found = counts.get((name, benchmark), 0)
            missing = 0 if (name, benchmark) in excused else asked - found
            if missing < 0 or missing > unwritten[name]:
                raise UserError(
                    f"{part} has {found} answers of {name} on {benchmark}, and {asked} were to be asked",
                    hint=f"was rows.jsonl edited? go on with it: fourways compare --resume {part.folder}",
                )
            unwritten[name] -= missing


def _check_sums(parts: Sequence[_Part]) -> None:
    """The shards of the headers make up the whole."""
    for benchmark, drawn in parts[0].record.drawn.items():
        if (asked := sum(part.record.asked.get(benchmark, 0) for part in parts)) != drawn:
            raise UserError(f"the shards ask {asked} samples of {benchmark}, and {drawn} were drawn")


def _header(parts: Sequence[_Part], argv: Sequence[str]) -> RunHeader:
    first = parts[0].header
    return msgspec.structs.replace(
        first,
        run_id=new_run_id([*(record.candidate.name for record in first.candidates), "merged"]),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
        argv=redact_argv(argv),
        shard=None,
        suite=tuple(
            msgspec.structs.replace(one, asked=parts[0].record.drawn.get(one.key), asked_sha256=None)
            for one in first.suite
        ),
        crews=(),
        parts=tuple(
            PartRecord(part.header.run_id, part.header.started, part.record.shard, part.header.environment)
            for part in parts
        ),
    )


def _write(out: Path, header: RunHeader, parts: Sequence[_Part], broken: dict[str, FailureRow], show: Show) -> None:
    """The rows in the shards' order. A failure that several shards met alike is told once."""
    told: set[tuple[str, ...]] = set()
    folder = RunFolder(out, header, RunState())
    try:
        for done, part in enumerate(parts, start=1):
            for row in part.rows():
                if isinstance(row, FailureRow):
                    key = (row.candidate, row.axis, row.scope, row.where, row.status)
                    if key in told:
                        continue
                    told.add(key)
                folder.append(row)
            show.step(done, len(parts), "shards merged")
        for record in header.candidates:
            if record.candidate.name not in broken:
                folder.finish(_AXIS, record.candidate.name)
    finally:
        show.close()
        folder.close()
