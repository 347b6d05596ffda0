"""Whether a run that goes on is still the same run: the old header against the one that would be written now."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from fourways.core.errors import UserError
from fourways.core.run import CandidateRecord, CrewRecord, RunHeader
from fourways.evidence import changes

_THREADS = ("threads", "preparing_threads")


def gone_on(old: RunHeader, now: RunHeader) -> RunHeader:
    """The old header with what may be new: candidates that were added, engines that can be opened now, and who asks.
    A manifest follows from the files, whose digests must be the same, and from where they lie, which is no difference.

    Raises UserError with every difference that could change rows.
    """
    known = {record.candidate.name: record for record in old.candidates}
    stamp = datetime.now(UTC).isoformat(timespec="seconds")
    merged = tuple(_gone_on(known.get(record.candidate.name), record, stamp) for record in now.candidates)
    shared = tuple(record for record in merged if record.candidate.name in known)
    before = tuple(_comparable(known[record.candidate.name], record) for record in shared)
    if old.axes == ("accuracy",):
        before = tuple(_with_threads(one, record) for one, record in zip(before, shared, strict=True))
    gone = [f"candidates: {name} is gone" for name in known if name not in {r.candidate.name for r in merged}]
    before = tuple(msgspec.structs.replace(one, manifest=r.manifest) for one, r in zip(before, shared, strict=True))
    differences = gone + changes(
        msgspec.structs.replace(old, candidates=before), msgspec.structs.replace(now, candidates=shared)
    )
    if differences:
        raise UserError(
            f"the run cannot go on, because it would no longer be the same: {'; '.join(differences[:8])}",
            hint="undo the change, or start a new run",
        )
    choice = old.thread_choice or now.thread_choice
    return msgspec.structs.replace(old, candidates=merged, crews=_crews(old.crews, now.crews), thread_choice=choice)


def _gone_on(before: CandidateRecord | None, now: CandidateRecord, stamp: str) -> CandidateRecord:
    """A new candidate joins, and so does one that can be opened for the first time; one that no longer can be opened
    stays as it was, because its rows rest on that."""
    if before is None or (before.engine is None and now.engine is not None):
        return msgspec.structs.replace(now, added=stamp)
    if now.engine is None:
        return msgspec.structs.replace(
            now,
            engine=before.engine,
            failure=before.failure,
            failure_status=before.failure_status,
            added=before.added,
        )
    return msgspec.structs.replace(now, added=before.added)


def _comparable(before: CandidateRecord, merged: CandidateRecord) -> CandidateRecord:
    """The old record, but for the engine that could not be opened then."""
    if before.engine is not None:
        return before
    return msgspec.structs.replace(
        before,
        engine=merged.engine,
        failure=merged.failure,
        failure_status=merged.failure_status,
        added=merged.added,
    )


def _with_threads(before: CandidateRecord, merged: CandidateRecord) -> CandidateRecord:
    """The old record with the new thread counts: of more workers each has fewer, and where nothing is timed they change
    nothing."""
    if before.engine is None or merged.engine is None:
        return before
    now = {name: value for name, value in merged.engine.settings.items() if name in _THREADS}
    return msgspec.structs.replace(
        before, engine=msgspec.structs.replace(before.engine, settings={**before.engine.settings, **now})
    )


def _crews(before: tuple[CrewRecord, ...], now: tuple[CrewRecord, ...]) -> tuple[CrewRecord, ...]:
    """One entry more, where other workers ask than before."""
    if not now or (before and msgspec.structs.replace(now[-1], at=before[-1].at) == before[-1]):
        return before
    return (*before, now[-1])
