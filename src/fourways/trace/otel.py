"""A run in OpenTelemetry's words: spans of its traced requests, and histograms of all its timed ones.

The names are those of the GenAI conventions (github.com/open-telemetry/semantic-conventions-genai, status
Development); they are used here only, rows keep their own. What the conventions measure starts when a client hands its
request over; our own ttft and e2e start at the scheduled send, so the client's own delay is taken off here.
`gen_ai.server.*` is given for the local engine alone: of a server by URL only the client's side was seen.
"""

from __future__ import annotations

import hashlib
import os
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from fourways import __version__
from fourways.core.candidate import Candidate
from fourways.core.rows import RequestRow
from fourways.core.run import CandidateRecord, RunHeader
from fourways.core.run_files import ROWS_FILE, read_header, read_rows
from fourways.trace import otlp
from fourways.trace.otlp import Attribute, HistogramPoint, Metric, NumberPoint, Resource, Scope, Span, SpanEvent
from fourways.trace.reading import About, Timed, requests

_SCOPE = Scope("fourways", __version__)
_BATCH = 200

_DURATION_S = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
_FIRST_S = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_TOKEN_S = (0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5)


@dataclass(frozen=True)
class Instrument:
    """values: what one request contributes, in seconds. local: only where the engine itself was in the run."""

    name: str
    description: str
    bounds: tuple[float, ...]
    values: Callable[[RequestRow], tuple[float, ...]]
    local: bool = False


def _from_dispatch(milliseconds: float | None, row: RequestRow) -> tuple[float, ...]:
    return () if milliseconds is None else ((milliseconds - (row.dispatched_ms - row.scheduled_ms)) / 1e3,)


def _per_token(row: RequestRow) -> tuple[float, ...]:
    return () if row.tpot_ms is None else (row.tpot_ms / 1e3,)


INSTRUMENTS = (
    Instrument("gen_ai.client.operation.duration", "GenAI operation duration.", _DURATION_S,
               lambda row: _from_dispatch(row.e2e_ms, row)),
    Instrument("gen_ai.client.operation.time_to_first_chunk", "Time to receive the first chunk.", _DURATION_S,
               lambda row: _from_dispatch(row.ttft_ms, row)),
    Instrument("gen_ai.client.operation.time_per_output_chunk", "Time per output chunk after the first.", _DURATION_S,
               lambda row: tuple(gap / 1e3 for gap in row.chunk_gaps_ms)),
    Instrument("gen_ai.server.request.duration", "Request duration up to the last output token.", _DURATION_S,
               lambda row: _from_dispatch(row.e2e_ms, row), local=True),
    Instrument("gen_ai.server.time_to_first_token", "Time to generate the first token.", _FIRST_S,
               lambda row: _from_dispatch(row.ttft_ms, row), local=True),
    Instrument("gen_ai.server.time_per_output_token", "Time per output token after the first.", _TOKEN_S,
               _per_token, local=True),
)  # fmt: skip


def traces(run: str | os.PathLike[str], candidate: str | None) -> Iterator[bytes]:
    """The traced requests of a run, of one candidate or of all: lines of OTLP JSON, each a TracesData. A request is a
    span with its stages as children and its instants as events; the rows of threads are left out, since they belong to
    no request. Raises UserError for a run or a trace that cannot be read."""
    run = Path(run)
    header = read_header(run)
    records = {record.candidate.name: record for record in header.candidates}
    wanted = records if candidate is None else {candidate: records[candidate]}
    for name in dict.fromkeys(record.file for record in header.traces):
        found = requests(run / Path(name).name)
        batch: list[Span] = []
        for label, row in found.rows.items():
            record = _asked(label, wanted)
            if record is not None:
                batch.extend(_spans(header.run_id, name, label, record, row, found.about))
            if len(batch) >= _BATCH:
                yield _traces_line(header, batch)
                batch = []
        if batch:
            yield _traces_line(header, batch)


def metrics(run: str | os.PathLike[str], candidate: str | None) -> bytes | None:
    """All timed requests of a run as one line of OTLP JSON, a MetricsData; None if it has none. Requests that failed
    are counted by `fourways.requests`, with `error.type`, and are in no histogram. Raises UserError as `traces`."""
    run = Path(run)
    header = read_header(run)
    records = {record.candidate.name: record for record in header.candidates}
    groups: dict[tuple[str, str, str, str], list[RequestRow]] = {}
    for row in read_rows(run / ROWS_FILE):
        if isinstance(row, RequestRow) and candidate in (None, row.candidate):
            groups.setdefault((row.candidate, row.workload, row.load.label, row.cache), []).append(row)
    if not groups:
        return None
    began = int(datetime.fromisoformat(header.started).timestamp() * 1e9)
    tagged = [(records[key[0]], _tags(records[key[0]], *key[1:]), rows) for key, rows in groups.items()]
    made = [metric for one in INSTRUMENTS if (metric := _metric(one, tagged, began)) is not None]
    counted = tuple(point for _, tags, rows in tagged for point in _counted(tags, rows, began))
    made.append(Metric("fourways.requests", "{request}", "Requests sent.", sum=otlp.Sum(counted)))
    data = otlp.MetricsData((otlp.ResourceMetrics(_resource(header), (otlp.ScopeMetrics(_SCOPE, tuple(made)),)),))
    return otlp.encode(data) + b"\n"


def _traces_line(header: RunHeader, spans: list[Span]) -> bytes:
    scoped = otlp.ScopeSpans(_SCOPE, tuple(spans))
    return otlp.encode(otlp.TracesData((otlp.ResourceSpans(_resource(header), (scoped,)),))) + b"\n"


def _resource(header: RunHeader) -> Resource:
    return Resource(
        otlp.attributes(
            [("service.name", "fourways"), ("service.version", __version__), ("fourways.run_id", header.run_id)]
        )
    )


def _asked(label: str, records: dict[str, CandidateRecord]) -> CandidateRecord | None:
    """The candidate that a row's label begins with; the longest name, where several do."""
    names = [name for name in records if label.startswith(f"{name} ")]
    return records[max(names, key=len)] if names else None


def _spans(
    run_id: str, file: str, label: str, record: CandidateRecord, row: list[Timed], about: About
) -> Iterator[Span]:
    """The request, then what happened in it."""
    trace_id = hashlib.sha256(f"{run_id} {file} {label}".encode()).hexdigest()[:32]
    root = _span_id(trace_id, 0)
    model = _model(record.candidate)
    parts = [timed for timed in row if not timed.instant]
    instants = tuple(_instant(timed, about) for timed in row if timed.instant)
    yield Span(
        trace_id, root, f"chat {model}", otlp.CLIENT if record.candidate.url else otlp.INTERNAL,
        _unix(about, min(timed.started_ns for timed in row)), _unix(about, max(timed.ended_ns for timed in row)),
        attributes=(*_tags(record), *otlp.attributes([("fourways.request", label)])), events=instants,
    )  # fmt: skip
    for number, timed in enumerate(parts, 1):
        status = otlp.Status(otlp.ERROR, "it never ended") if timed.open else None
        yield Span(
            trace_id, _span_id(trace_id, number), timed.name, otlp.INTERNAL,
            _unix(about, timed.started_ns), _unix(about, timed.ended_ns), root, status=status,
        )  # fmt: skip


def _span_id(trace_id: str, number: int) -> str:
    return hashlib.sha256(f"{trace_id} {number}".encode()).hexdigest()[:16]


def _unix(about: About, at_ns: int) -> str:
    return str(about.unix_ns(at_ns))


def _instant(timed: Timed, about: About) -> SpanEvent:
    return SpanEvent(
        _unix(about, timed.started_ns),
        timed.name,
        otlp.attributes(
            [
                ("fourways.tensor_alloc_bytes", timed.tensor_alloc_bytes or None),
                ("fourways.mem_reserved_peak_kb", timed.mem_reserved_peak_kb or None),
            ]
        ),
    )


def _model(candidate: Candidate) -> str:
    return candidate.served_model or candidate.model or candidate.name


def _tags(
    record: CandidateRecord, workload: str | None = None, load: str | None = None, cache: str | None = None
) -> tuple[Attribute, ...]:
    """What the conventions ask for, and what sets our rows apart."""
    return otlp.attributes(
        [
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "openai" if record.candidate.url else "fourways"),
            ("gen_ai.request.model", _model(record.candidate)),
            ("fourways.candidate", record.candidate.name),
            ("fourways.workload", workload),
            ("fourways.load", load),
            ("fourways.cache", cache),
        ]
    )


_Tagged = list[tuple[CandidateRecord, tuple[Attribute, ...], list[RequestRow]]]


def _metric(instrument: Instrument, tagged: _Tagged, began_ns: int) -> Metric | None:
    points = [
        point
        for record, tags, rows in tagged
        if not (instrument.local and record.candidate.url)
        and (point := _point(instrument, tags, rows, began_ns)) is not None
    ]
    if not points:
        return None
    return Metric(instrument.name, "s", instrument.description, histogram=otlp.Histogram(tuple(points)))


def _point(
    instrument: Instrument, tags: tuple[Attribute, ...], rows: list[RequestRow], began_ns: int
) -> HistogramPoint | None:
    values = [value for row in rows if row.error is None for value in instrument.values(row)]
    if not values:
        return None
    counts = [0] * (len(instrument.bounds) + 1)
    for value in values:
        counts[bisect_left(instrument.bounds, value)] += 1
    return HistogramPoint(
        tags, str(began_ns), str(_end(began_ns, rows)), str(len(values)), sum(values),
        tuple(map(str, counts)), instrument.bounds, min(values), max(values),
    )  # fmt: skip


def _counted(tags: tuple[Attribute, ...], rows: list[RequestRow], began_ns: int) -> Iterator[NumberPoint]:
    failed = sum(row.error is not None for row in rows)
    for count, error in ((len(rows) - failed, None), (failed, "_OTHER")):
        if count:
            more = otlp.attributes([("error.type", error)])
            yield NumberPoint((*tags, *more), str(began_ns), str(_end(began_ns, rows)), str(count))


def _end(began_ns: int, rows: list[RequestRow]) -> int:
    """A time after the start: rows know instants within their block only, so at least as long as the longest block."""
    return began_ns + int(max(row.dispatched_ms + (row.e2e_ms or 0.0) for row in rows) * 1e6) + 1
