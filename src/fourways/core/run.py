"""run.json: what was run, on what, by whom made. Written before the first row; a resumed run must still match it.
state.json: how far it has come."""

from __future__ import annotations

import msgspec

from fourways.core.candidate import Candidate
from fourways.core.engine import EngineInfo

RUN_SCHEMA = "fourways.run/v1"
STATE_SCHEMA = "fourways.state/v1"


class SourceState(msgspec.Struct, frozen=True):
    """The Fourways source that ran. commit, branch and date are None outside a git checkout, where version stands.

    dirty: tracked files differ from the commit. diff_sha256: digest of that difference, None if clean.
    """

    version: str
    commit: str | None = None
    branch: str | None = None
    commit_date: str | None = None
    dirty: bool | None = None
    diff_sha256: str | None = None


class CandidateRecord(msgspec.Struct, frozen=True):
    """A candidate as it stood at the start. sha256: file name → digest of its checkpoint, empty for a server by URL.

    engine is None, and `failure` says why, if it could not be opened. added: UTC time at which it joined a run that was
    there already (its timed axes were then not interleaved with the others'), None if it was in it from the start.
    """

    candidate: Candidate
    architecture: str | None
    sha256: dict[str, str]
    engine: EngineInfo | None
    failure: str | None = None
    added: str | None = None


class BenchmarkRecord(msgspec.Struct, frozen=True):
    """A benchmark of the suite. sha256: over the sorted (relative path, file digest) pairs of its data. code_sha256: of
    the source that prompts, parses and scores. edition: which release and split, where its files tell. columns: what
    the table calls the columns that are read, for a benchmark that was given by path."""

    key: str
    title: str
    path: str
    sha256: str
    prompt_version: int
    parser_version: int
    scorer_version: int
    code_sha256: str
    edition: str = ""
    columns: dict[str, str] = {}


class Environment(msgspec.Struct, frozen=True):
    """The machine and the versions. memory_bytes: physical. cores: usable by this process, of `cores_machine`."""

    cpu: str
    cores: int
    cores_machine: int
    memory_bytes: int
    system: str
    kernel: str
    python: str
    packages: dict[str, str]
    accelerators: tuple[str, ...] = ()
    variables: dict[str, str] = {}


class ClockRecord(msgspec.Struct, frozen=True):
    """Which clocks stamped the run. residual_ns: largest known disagreement between them; 0 where there is only one,
    None where it was not measured."""

    name: str
    resolution_ns: float
    residual_ns: float | None
    note: str


class RunHeader(msgspec.Struct, frozen=True):
    """run.json. argv, paths and URLs are redacted: no secrets, tokens, home folders or URL credentials.

    started: UTC, ISO 8601. definitions: metric name → name@version.
    """

    schema: str
    run_id: str
    started: str
    argv: tuple[str, ...]
    source: SourceState
    seed: int
    axes: tuple[str, ...]
    limit: int | None
    quick: bool
    candidates: tuple[CandidateRecord, ...]
    suite: tuple[BenchmarkRecord, ...]
    definitions: dict[str, str]
    environment: Environment
    clock: ClockRecord


class RunState(msgspec.Struct):
    """state.json: how far a run has come. finished: axis → candidates whose rows are all in rows.jsonl."""

    schema: str = STATE_SCHEMA
    finished: dict[str, list[str]] = {}
