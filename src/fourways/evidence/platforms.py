"""Runs of the same comparison on several platforms: where each ran, what of it was checked, whether answers are alike.

The digest of a run's answers is over one line for each answer, `[candidate, benchmark, sample, reply]` as compact JSON,
the lines sorted by their bytes: `ANSWERS` gives it with jq and sha256sum alone. Runs of one digest gave every reply
alike.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from fourways.core.errors import UserError
from fourways.core.platform_table import PlatformCheck, PlatformRow, PlatformVerdict
from fourways.core.rows import AnswerRow
from fourways.core.run import CandidateRecord, Environment, RunHeader
from fourways.core.run_files import ROWS_FILE, STATEMENT_FILE, read_header, read_rows
from fourways.evidence.signature import Allowed, Backend
from fourways.evidence.verify import Verification, verify_run

ANSWERS = (
    """jq -c 'select(.kind == "answer") | [.candidate, .benchmark, .sample, .reply]' %s | LC_ALL=C sort | sha256sum"""
)
HASHES = (
    r"""cd %s && sed -n 's/^  {"name": "\(.*\)", "digest": {"sha256": "\([0-9a-f]*\)"}},\{0,1\}$/\2  \1/p' """
    + STATEMENT_FILE
    + " | sha256sum --check --strict"
)
"""Over every file of a run; docs/evidence.md says what it does."""
Key = tuple[str, str, str]
"""Candidate, benchmark, sample."""


_ASKED = (
    "dtype", "quantization", "visual_budget", "sampling", "weights", "served_model", "dialect", "box_format",
)  # fmt: skip
"""Of a candidate: what makes other answers on any platform. Of a server's model there is the name, and no digest."""


def platform_table(
    folders: Sequence[Path], allowed: Allowed | None = None, backend: Backend | None = None
) -> Iterator[PlatformRow]:
    """A row for each run, as soon as it was checked, which takes seconds. allowed, backend: whose signatures count, and
    what checks them. Raises UserError for a folder that holds no run, or that is named twice."""
    if len({folder.resolve() for folder in folders}) < len(folders):
        raise UserError("a run is named twice", hint="each platform's run once")
    first: tuple[RunHeader, Mapping[Key, str]] | None = None
    for folder, header in [(folder, read_header(folder)) for folder in folders]:
        answers, unread = _answers(folder)
        said, reasons = ("the first run", ()) if first is None else _judged(*first, header, answers)
        first = first or (header, answers)
        where = _machines(header)
        yield PlatformRow(
            folder=str(folder),
            run_id=header.run_id,
            fourways=_source(header),
            kernel=_each(f"{one.system} {one.kernel}" for one in where),
            machine=_each(_machine(one) for one in where),
            accelerators=tuple(dict.fromkeys(card for one in where for card in one.accelerators)),
            versions={
                "python": _each(one.python for one in where),
                **{name: _each(one.packages.get(name, "none") for one in where) for name in ("torch", "transformers")},
            },
            checks=tuple(_checks(folder, verify_run(folder, allowed, backend), allowed)),
            answers=len(answers),
            answers_sha256=digest_of(answers) if answers else None,
            answers_command=ANSWERS % shlex.quote(str(folder / ROWS_FILE)),
            verdict=said,
            reasons=unread or reasons,
        )


def digest_of(answers: Mapping[Key, str]) -> str:
    """Hex SHA-256 as the module's docstring defines it. answers: key → reply."""
    lines = sorted(_line(key, reply) for key, reply in answers.items())
    return hashlib.sha256(b"".join(lines)).hexdigest()


def _line(key: Key, reply: str) -> bytes:
    return msgspec.json.encode([*key, reply]).replace(b"\x7f", b"\\u007f") + b"\n"  # as jq writes it


def _answers(folder: Path) -> tuple[dict[Key, str], tuple[str, ...]]:
    """Key → reply. Of rows that cannot be read nothing counts, and the second says why: one broken run must not keep
    the others from the table."""
    try:
        rows = [row for row in read_rows(folder / ROWS_FILE) if isinstance(row, AnswerRow)]
    except UserError as error:
        return {}, (f"its answers cannot be read: {error.message}",)
    return {(row.candidate, row.benchmark, row.sample): row.reply for row in rows}, ()


def _judged(
    old: RunHeader, before: Mapping[Key, str], new: RunHeader, now: Mapping[Key, str]
) -> tuple[PlatformVerdict, tuple[str, ...]]:
    """A difference that was seen is said even where not all answers are in both."""
    shared = before.keys() & now.keys()
    if apart := tuple(_apart(old, new)):
        return "not comparable", apart
    if not shared:
        return "not comparable", ("no sample was answered in both",)
    differ = sorted(key for key in shared if before[key] != now[key])
    alone = len(before.keys() ^ now.keys())
    left = (f"{alone:,} samples were answered in one run only",) if alone else ()
    if not differ:
        if alone:
            return "not comparable", (f"the {len(shared):,} replies to what both answered are the same", *left)
        return "same answers", (f"all {len(shared):,} replies",)
    counted = {key[:2]: sum(one[:2] == key[:2] for one in differ) for key in differ}
    where = ", ".join(f"{candidate} · {benchmark}: {count:,}" for (candidate, benchmark), count in counted.items())
    return "answers differ", (f"{len(differ):,} of {len(shared):,} replies differ ({where})", *left)


def _apart(old: RunHeader, new: RunHeader) -> Iterator[str]:
    """Why replies of two runs say nothing about their platforms."""
    if old.seed != new.seed:
        yield f"seed: {old.seed} → {new.seed}"
    suites = [{one.key: one for one in header.suite} for header in (old, new)]
    for key in sorted(suites[0].keys() & suites[1].keys()):
        before, now = (suite[key] for suite in suites)
        if before.sha256 != now.sha256:
            yield f"{key}: other data"
        if before.prompt_version != now.prompt_version:
            yield f"{key}: prompt {before.prompt_version} → {now.prompt_version}"
    records = [{one.candidate.name: one for one in header.candidates} for header in (old, new)]
    for name in sorted(records[0].keys() & records[1].keys()):
        yield from (f"{name}: {why}" for why in _unlike(records[0][name], records[1][name]))


def _unlike(before: CandidateRecord, now: CandidateRecord) -> Iterator[str]:
    if before.sha256 != now.sha256:
        yield "other files of the checkpoint"
    for what in _ASKED:
        old, new = getattr(before.candidate, what), getattr(now.candidate, what)
        if old != new:
            yield f"{what}: {old} → {new}"


def _checks(folder: Path, found: Verification, allowed: Allowed | None) -> Iterator[PlatformCheck]:
    """What verification looked at, each with the command that shows it alone or with the least around it."""
    place = shlex.quote(str(folder))
    by = {one.name: one for one in found.checks}
    for name, of, command in (
        ("files", ("statement", "files"), HASHES % place),
        ("rows and figures", ("header", "rows", "figures", "page"), f"fourways verify {place} --unsigned"),
        ("signature", ("signature",), f"fourways verify {place} --keys {_keys(allowed)}"),
    ):
        made = [by[one] for one in of if one in by]
        refused = tuple(reason for one in made for reason in one.reasons if one.outcome == "refused")
        if refused or any(one.outcome == "refused" for one in made):
            yield PlatformCheck(name, "refused", command, refused)
        elif not made or any(one.outcome == "not checked" for one in made):
            why = tuple(dict.fromkeys(one.what for one in made if one.outcome == "not checked"))
            yield PlatformCheck(name, "not checked", command, why or ("a check before it was refused",))
        else:
            yield PlatformCheck(name, "ok", command)
    yield PlatformCheck(
        "reproduced", "not checked", f"fourways reproduce {place}", ("it runs everything again: on that platform",)
    )


def _keys(allowed: Allowed | None) -> str:
    return "ALLOWED" if allowed is None else shlex.quote(str(allowed.place))


def _machines(header: RunHeader) -> tuple[Environment, ...]:
    """Where the answers were made: not where shards were merged."""
    return tuple(part.environment for part in header.parts) or (header.environment,)


def _machine(one: Environment) -> str:
    return f"{one.cpu}, {one.cores} of {one.cores_machine} cores, {one.memory_bytes / 2**30:.1f} GiB"


def _each(texts: Iterator[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def _source(header: RunHeader) -> str:
    commit = f" {header.source.commit[:12]}" if header.source.commit else ""
    return f"{header.source.version}{commit}{' and changes' if header.source.dirty else ''}"
