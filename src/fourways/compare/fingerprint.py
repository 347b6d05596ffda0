"""What must be the same wherever the answers of one candidate come from: the code, the packages, the engine and its
settings, the weights, the data.

Of a server by URL it says what the server says of itself: the served model's name and its version, not its weights.
What may differ between two machines, or two workers of one, and changes no answer (rule 3 of the design, held by
tests) is in `_OF_A_HOST`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from fourways.core.engine import EngineInfo
from fourways.core.run import BenchmarkRecord, CandidateRecord, Environment, RunHeader, SourceState
from fourways.evidence import changes

_OF_A_HOST = frozenset({"url", "device", "threads", "threads_measured", "preparing_threads", "kv_bytes", "concurrency"})
_OF_DATA = ("sha256", "code_sha256", "edition", "prompt_version", "parser_version", "scorer_version")


class Fingerprint(msgspec.Struct, frozen=True):
    """Of one candidate. packages: with the Python version. device: `cpu` or `cuda`. weights: file name → SHA-256.
    suite: benchmark → digests of data and code, and the versions of its parts, as text."""

    source: SourceState
    packages: dict[str, str]
    architecture: str | None
    weights: dict[str, str]
    engine: str
    device: str
    settings: dict[str, str]
    suite: dict[str, dict[str, str]]


def fingerprint(
    source: SourceState, environment: Environment, record: CandidateRecord, suite: Sequence[BenchmarkRecord]
) -> Fingerprint:
    """Raises ValueError for a candidate that was never opened."""
    if record.engine is None:
        raise ValueError(f"{record.candidate.name} was never opened")
    return Fingerprint(
        source=source,
        packages={**environment.packages, "python": environment.python},
        architecture=record.architecture,
        weights=record.sha256,
        engine=record.engine.engine,
        device=_kind(record.engine),
        settings={key: value for key, value in record.engine.settings.items() if key not in _OF_A_HOST},
        suite={one.key: {name: str(getattr(one, name)) for name in _OF_DATA} for one in suite},
    )


def fingerprints(header: RunHeader) -> Mapping[str, Fingerprint]:
    """Candidate's name → fingerprint, of those that could be opened."""
    return {
        record.candidate.name: fingerprint(header.source, header.environment, record, header.suite)
        for record in header.candidates
        if record.engine is not None
    }


def unlike(expected: Fingerprint, found: Fingerprint) -> list[str]:
    """Every difference as `where: expected → found`; empty if the two may be mixed."""
    return changes(expected, found)


def _kind(info: EngineInfo) -> str:
    return info.settings.get("device", "").partition(":")[0]
