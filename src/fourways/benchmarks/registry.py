"""Every benchmark by its key, and what a run's header says of its source."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from pathlib import Path

from fourways.benchmarks.contract import Benchmark
from fourways.benchmarks.mmbench import MMBenchCN, MMBenchEN
from fourways.benchmarks.mme import MME
from fourways.benchmarks.realworldqa import RealWorldQA
from fourways.benchmarks.refcoco import RefCOCO
from fourways.benchmarks.suite import Entry, Suite
from fourways.benchmarks.vqav2 import VQAv2
from fourways.core.errors import UserError

_ALL: dict[str, Benchmark] = {
    benchmark.key: benchmark for benchmark in (MME(), MMBenchEN(), MMBenchCN(), VQAv2(), RefCOCO(), RealWorldQA())
}


def keys() -> tuple[str, ...]:
    """In the order in which tables show them."""
    return tuple(_ALL)


def get(key: str, columns: Mapping[str, str] | None = None) -> Benchmark:
    """Raises UserError, with the keys there are. columns: what a table given by path calls what is read from it."""
    if key not in _ALL:
        raise UserError(f"no benchmark is called '{key}'", hint=f"Known: {', '.join(_ALL)}.")
    return _ALL[key]


def suite_of(places: Mapping[str, Path]) -> Suite:
    """Keys and where their data lies as a suite. Raises UserError for a key that is not known."""
    return {key: Entry(get(key), path) for key, path in places.items()}


def source_sha256(key: str) -> str:
    """A digest of the code that prompts, parses and scores: the benchmark's own file and what the room shares."""
    own = Path(inspect.getfile(type(get(key))))
    shared = ("boxes.py", "choice.py", "scoring.py", "vqa_answers.py")
    digest = hashlib.sha256(own.read_bytes())
    for name in shared:
        digest.update((own.parent / name).read_bytes())
    return digest.hexdigest()
