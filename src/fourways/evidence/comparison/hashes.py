"""Was it the same thing? Digests of checkpoints, data and rules, compared exactly.

Fourways' own commit is no part of it: a later version may reproduce an earlier one's run, and what it must share with
it (prompts, parsers, scorers, the workloads, the definitions of figures) has digests and versions of its own. Another
commit, or a tree with changes, stands among the differences of the headers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fourways.core.run import BenchmarkRecord, CandidateRecord, RunHeader
from fourways.core.verdict import AxisVerdict
from fourways.evidence.comparison.facts import Both
from fourways.evidence.comparison.findings import Finding, together

_OF_DATA = ("sha256", "edition", "columns", "asked", "asked_sha256")
_OF_RULES = ("prompt_version", "parser_version", "scorer_version", "code_sha256")
_IN_WORDS = {
    "sha256": "data", "edition": "edition", "columns": "columns", "asked": "number of samples asked",
    "asked_sha256": "samples asked", "prompt_version": "prompt version", "parser_version": "parser version",
    "scorer_version": "scorer version", "code_sha256": "code that prompts, parses and scores",
}  # fmt: skip


def hashes(both: Both) -> AxisVerdict:
    """One finding for each item that differs; one that says how many were alike if none does."""
    old, new = both.records
    differ = [*_checkpoint(old, new), *_suite(both), *_header(both.old_run.header, both.new_run.header)]
    if differ:
        count = {"items_that_differ": float(len(differ))}
        return together(both.new_name, "hashes", [Finding("not reproduced", text, count) for text in differ])
    if not old.sha256 and not new.sha256:
        seen = f"benchmarks, workloads and definitions are the same ({_alike(both)} digests and versions)"
        unseen = "a server by URL does not show its weights: no access"
        findings = [Finding("not comparable", unseen), Finding("reproduced", seen)]
        return together(both.new_name, "hashes", findings)
    said = f"all {_alike(both)} digests and versions are the same: {len(new.sha256)} files of the checkpoint, "
    said += f"{len(_shared(both))} benchmarks, the workloads and the definitions of figures"
    return together(both.new_name, "hashes", [Finding("reproduced", said, {"items_that_differ": 0.0})])


def _checkpoint(old: CandidateRecord, new: CandidateRecord) -> Iterator[str]:
    for file in sorted({*old.sha256, *new.sha256}):
        before, after = old.sha256.get(file), new.sha256.get(file)
        if before != after:
            yield f"checkpoint: {file}: {_digests(before, after)}"
    before, after = (None if one.manifest is None else one.manifest.identity for one in (old, new))
    if before is not None and after is not None and before != after:
        yield f"checkpoint: identity of the manifest: {_digests(before, after)}"
    if old.architecture != new.architecture:
        yield f"checkpoint: architecture: {old.architecture} → {new.architecture}"


def _shared(both: Both) -> list[tuple[BenchmarkRecord, BenchmarkRecord]]:
    after = {record.key: record for record in both.new_run.header.suite}
    return [(record, after[record.key]) for record in both.old_run.header.suite if record.key in after]


def _suite(both: Both) -> Iterator[str]:
    """Benchmarks that the new run was not asked for at all are no difference: another axis was repeated."""
    keys = {record.key for record in both.new_run.header.suite}
    if keys:
        yield from (f"{r.key}: not in the new run" for r in both.old_run.header.suite if r.key not in keys)
    for old, new in _shared(both):
        for name in (*_OF_DATA, *_OF_RULES):
            before, after = getattr(old, name), getattr(new, name)
            if before != after and None not in (before, after):
                told = _digests(before, after) if name.endswith("sha256") else f"{before} → {after}"
                yield f"{old.key}: {_IN_WORDS[name]}: {told}"


def _header(old: RunHeader, new: RunHeader) -> Iterator[str]:
    for name in sorted(old.definitions.keys() & new.definitions.keys()):
        if old.definitions[name] != new.definitions[name]:
            yield f"definition: {old.definitions[name]} → {new.definitions[name]}"
    if old.seed != new.seed:
        yield f"seed: {old.seed} → {new.seed}"
    before, after = ({one.name: one.sha256 for one in header.workloads} for header in (old, new))
    yield from _workloads(before, after)


def _workloads(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name in sorted(before.keys() & after.keys()):
        if before[name] != after[name]:
            yield f"workload: {name}: {_digests(before[name], after[name])}"


def _alike(both: Both) -> int:
    old, new = both.records
    before, after = both.old_run.header, both.new_run.header
    files = len(old.sha256.keys() & new.sha256.keys())
    names = (*_OF_DATA, *_OF_RULES)
    rules = sum(None not in (getattr(a, name), getattr(b, name)) for a, b in _shared(both) for name in names)
    definitions = len(before.definitions.keys() & after.definitions.keys())
    workloads = len({one.name for one in before.workloads} & {one.name for one in after.workloads})
    return files + rules + definitions + workloads


def _digests(before: str | None, after: str | None) -> str:
    return " → ".join("not there" if one is None else _short(one) for one in (before, after))


def _short(digest: str) -> str:
    return f"{digest[:16]}…" if len(digest) > 16 else digest
