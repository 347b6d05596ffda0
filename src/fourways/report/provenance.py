"""What ran on what: candidates, suite, machine, source and clock, as run.json has them; and what did not work."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from fourways.core.failed import FailedRequests
from fourways.core.rows import FailureRow
from fourways.core.run import (
    BenchmarkRecord,
    CandidateRecord,
    CrewRecord,
    PartRecord,
    RunHeader,
    SourceState,
    TraceRecord,
)
from fourways.report.candidates import candidates
from fourways.report.machine import SETTINGS, machines
from fourways.report.manifests import SHORT, manifests
from fourways.report.markup import Child, Html, foreign, join, tag
from fourways.report.material import Material
from fourways.report.numbers import EN_DASH, scale_for
from fourways.report.slowed import why_slow
from fourways.report.tables import table


def caveats(header: RunHeader) -> Html | None:
    """What a reader must know before any number: small models, random weights, a shortened run, a busy
    machine, changed source."""
    said: list[Child] = []
    zoo = [r.candidate.name for r in header.candidates if (r.candidate.model or "").startswith("zoo:")]
    if zoo:
        said.append(
            f"{', '.join(zoo)}: small models made for Fourways, trained on generated scenes. They prove the path and "
            "make it quick to try. Their figures say nothing about the large models of their families."
        )
    random = [r.candidate.name for r in header.candidates if r.candidate.weights == "random"]
    if random:
        said.append(
            f"{', '.join(random)}: random weights, never trained. Latency and memory are those of the architecture; "
            "accuracy and tuning are left undefined."
        )
    if header.shard is not None:
        said.append(
            f"Part {header.shard.shard} of every benchmark: every figure is of that part alone, until `fourways merge` "
            "puts all parts together."
        )
    late = [r.candidate.name for r in header.candidates if r.added is not None]
    if late and "latency" in header.axes:
        said.append(f"{', '.join(late)}: added later, so timed apart from the others and not in turns with them.")
    if header.quick:
        said.append("A shortened run: every n is smaller than in a full one, and intervals are wider.")
    if (busy := why_slow(header)) is not None:
        said.append(join([busy, " See ", tag("a", "Settings of the machine", href=f"#{SETTINGS}"), "."]))
    if header.source.dirty:
        said.append("The Fourways source that made this run differs from its commit.")
    return (
        tag("aside", *(tag("p", line) for line in said), class_="note", aria_label="Read this first") if said else None
    )


def what_ran(header: RunHeader) -> Html:
    """The section body."""
    return join(
        [
            tag("h3", "Candidates"),
            candidates(header),
            *manifests(header),
            *_suite(header),
            tag("h3", "Machine and source"),
            _pairs(_machine(header)),
            *machines(header),
            tag("details", tag("summary", "Files and their SHA-256"), *(_hashes(r) for r in header.candidates)),
        ]
    )


def failures(m: Material) -> Html:
    """What did not work, counted; the first few are listed. What could not be asked stands apart, and so does a
    counter that is not there: it loses nothing."""
    facts = m.facts
    parts: list[Html] = []
    if failed := facts.failed_requests.failed():
        parts.append(tag("h3", f"Questions that failed: {sum(one.failed for one in failed):,}"))
        parts.append(tag("p", "Each counts as a wrong answer."))
        parts.append(table("Questions that failed", _REQUEST_HEADS, [_request_row(m, one) for one in failed]))
    if timed := sum(reasons.total() for reasons in facts.timed_failures.values()):
        parts.append(tag("h3", f"Timed requests that failed: {timed:,}"))
        parts.append(table("Timed requests that failed", _TIMED_HEADS, list(_timed_rows(facts.timed_failures))))
    for status, title in (("failed", "Failures"), ("undefined", "What could not be asked")):
        if number := facts.failure_counts[status]:
            listed = [f for f in facts.failures if f.status == status]
            first = f", the first {len(listed):,} here" if number > len(listed) else ""
            parts.append(tag("h3", f"{title}: {number:,}{first}"))
            parts.append(table(title, _FAILURE_HEADS, [_failure_row(f) for f in listed]))
    if not parts:
        parts.append(tag("p", "Nothing failed."))
    if facts.not_taken:
        parts.append(tag("h3", "Readings that could not be taken"))
        parts.append(tag("p", "Nothing that was asked is lost by them."))
        parts.append(tag("ul", *(_reading(*what, whose) for what, whose in facts.not_taken.items())))
    return join(parts)


def _reading(axis: str, what: str, why: str, whose: Sequence[str]) -> Html:
    """Once for all candidates that it holds for."""
    named = (child for index, name in enumerate(whose) for child in (", " if index else None, tag("bdi", name)))
    return tag("li", f"{what.replace('_', ' ')} (beside {axis}): ", foreign(why), "; for ", *named)


_TIMED_HEADS = ("candidate", "#failed", "why")
_MOST_REASONS = 5


def _timed_rows(failures: Mapping[str, Counter[str]]) -> Iterator[Sequence[Child]]:
    """Each candidate's most common reasons, and how many there are beside them."""
    for name, reasons in failures.items():
        common = reasons.most_common(_MOST_REASONS)
        yield from ((tag("bdi", name), f"{count:,}", foreign(why, limit=300)) for why, count in common)
        if left := reasons.total() - sum(count for _, count in common):
            yield tag("bdi", name), f"{left:,}", f"{len(reasons) - len(common):,} rarer reasons: rows.jsonl has them"


_REQUEST_HEADS = ("candidate", "benchmark", "#failed", "#asked", "#picture cannot be read", "why the first failed")


def _request_row(m: Material, one: FailedRequests) -> Sequence[Child]:
    counts = (f"{one.failed:,}", f"{one.asked:,}", f"{one.unreadable:,}")
    return (tag("bdi", one.candidate), m.title(one.benchmark), *counts, foreign(one.first))


_FAILURE_HEADS = ("candidate", "axis", "what was lost", "where", "why")


def _failure_row(f: FailureRow) -> Sequence[Child]:
    return (tag("bdi", f.candidate), f.axis, _lost(f), f.where, join([foreign(f.message), _hint(f.hint)]))


def _lost(f: FailureRow) -> str:
    if f.scope == "axis":
        return f"the whole {f.axis} axis"
    return "the whole candidate" if f.scope == "candidate" else f"one {f.scope}"


_SUITE_HEADS = ("benchmark", "title", "edition and columns", "data SHA-256 (first 16 digits)", "versions")


def _suite(header: RunHeader) -> Iterator[Html]:
    """Nothing where no benchmark was asked."""
    if header.suite:
        yield tag("h3", "Suite")
        yield table("Suite", _SUITE_HEADS, [_suite_row(b) for b in header.suite])


def _suite_row(b: BenchmarkRecord) -> Sequence[Child]:
    versions = f"prompt {b.prompt_version}, parser {b.parser_version}, scorer {b.scorer_version}"
    read = [f"{name} from {column}" for name, column in b.columns.items()]
    what = "; ".join(part for part in (b.edition, ", ".join(read)) if part) or EN_DASH
    return (b.key, b.title, what, tag("code", b.sha256[:SHORT], title=b.sha256), versions)


def _machine(header: RunHeader) -> Iterable[tuple[str, Child]]:
    e, s, clock = header.environment, header.source, header.clock
    yield "started", header.started
    yield "command", tag("code", " ".join(header.argv))
    yield "seed", str(header.seed)
    served = any(record.candidate.url is not None for record in header.candidates)
    yield from (("asked by", _crew(one, served=served)) for one in header.crews)
    yield from (("a part of it", _part(one)) for one in header.parts)
    yield "limit", "none" if header.limit is None else f"{header.limit:,} samples a benchmark"
    yield "processor", f"{e.cpu}; {e.cores} of {e.cores_machine} cores"
    yield "memory", scale_for("bytes", e.memory_bytes).full(e.memory_bytes)
    yield "accelerators", ", ".join(e.accelerators) or "none"
    yield "system", f"{e.system}, kernel {e.kernel}"
    yield "Python", e.python
    yield "packages", ", ".join(f"{k} {v}" for k, v in sorted(e.packages.items()))
    yield "variables", ", ".join(f"{k}={v}" for k, v in sorted(e.variables.items())) or "none that matter"
    yield "source", f"Fourways {s.version}, {_commit(s)}"
    residual = "not measured" if clock.residual_ns is None else f"{clock.residual_ns:g} ns"
    yield "clock", f"{clock.name}, resolution {clock.resolution_ns:g} ns, residual {residual}. {clock.note}"
    if (choice := header.thread_choice) is not None:
        tried = f"a trial of {choice.measured_on} ({choice.trial})"
        yield "threads of the models", f"{choice.count}, by {tried}: {choice.rule}"
    yield from (("trace", _trace(one)) for one in header.traces)


def _commit(source: SourceState) -> str:
    if source.commit is None:
        return "in no checkout that git would read"
    changed = f", with changes {(source.diff_sha256 or '')[:12]}" if source.dirty else ""
    where = "no branch" if source.branch is None else source.branch
    unknown = "; whether it was changed is not known" if source.dirty is None else ""
    return f"commit {source.commit[:12]} of {source.commit_date} on {where}{changed}{unknown}"


def _trace(trace: TraceRecord) -> str:
    lost = f", {trace.dropped:,} lost" if trace.dropped else ""
    held = f"{trace.share:.0%} of the {trace.axis} axis's requests, {trace.events:,} events{lost}"
    return f"{trace.file}: {held}; open it in ui.perfetto.dev"


def _crew(crew: CrewRecord, *, served: bool) -> str:
    """Who asked the questions of the accuracy axis, from when on. served: some candidate is a server by URL."""
    way = {"process": "the run's own process", "replicas": "processes", "ray": "Ray actors"}[crew.way]
    said = [way if crew.way == "process" else f"{crew.workers:,} {way}"]
    said += [f"cluster {crew.address}"] if crew.address else []
    said += [f"{crew.concurrency:,} requests in flight to a server"] if crew.concurrency and served else []
    return f"{', '.join(said)}, from {crew.at} on"


def _part(part: PartRecord) -> str:
    machine = part.environment
    where = ", ".join(machine.accelerators) or f"{machine.cpu}, {machine.cores} cores"
    return f"{part.shard}: run {part.run_id}, started {part.started}, on {where}"


def _pairs(pairs: Iterable[tuple[str, Child]]) -> Html:
    return tag("dl", *(part for name, value in pairs for part in (tag("dt", name), tag("dd", value))))


def _hashes(record: CandidateRecord) -> Html:
    lines = [tag("li", tag("code", f"{digest}  {name}")) for name, digest in sorted(record.sha256.items())]
    return join([tag("h4", tag("bdi", record.candidate.name)), tag("ul", *lines) if lines else tag("p", "no files")])


def _hint(hint: str | None) -> Html | None:
    return None if hint is None else tag("span", " ", foreign(hint), class_="muted")
