"""Every benchmark by its key, and what a run's header says of its source."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping
from pathlib import Path

from fourways.benchmarks.contract import Benchmark
from fourways.benchmarks.mmbench import MMBenchCN, MMBenchEN
from fourways.benchmarks.mme import MME
from fourways.benchmarks.mmstar import MMStar
from fourways.benchmarks.own import KINDS
from fourways.benchmarks.pope import POPE
from fourways.benchmarks.ranked import SUFFIX, Ranked
from fourways.benchmarks.realworldqa import RealWorldQA
from fourways.benchmarks.refcoco import RefCOCO
from fourways.benchmarks.suite import Entry, Suite
from fourways.benchmarks.vqav2 import VQAv2
from fourways.core.errors import UserError

_ALL: dict[str, Benchmark] = {
    benchmark.key: benchmark
    for benchmark in (MME(), MMBenchEN(), MMBenchCN(), VQAv2(), RefCOCO(), RealWorldQA(), POPE(), MMStar())
}
_NOT_SOURCE = ("__init__.py", "registry.py", "suite.py")
"""Files of this room that say nothing of how a reply is asked for, read or scored."""
_SHARED = ("*.py", "reading/*.py", "answers/*.py")
"""`predictions` is not among them: it reads what was answered without us."""


def keys() -> tuple[str, ...]:
    """The public benchmarks, in the order in which tables show them."""
    return tuple(_ALL)


def get(key: str, columns: Mapping[str, str] | None = None) -> Benchmark:
    """The benchmark of a key: one of `keys()`; `choice:NAME`, `yes_no:NAME` or `open:NAME` for a table of one's own;
    any of them with `@rank`. columns: what is read → what a table of one's own calls it; nothing but `read` needs it.

    Raises UserError naming the keys there are, and how a table of one's own is named.
    """
    if key.endswith(SUFFIX):
        return Ranked(get(key.removesuffix(SUFFIX), columns))
    kind, colon, name = key.partition(":")
    if colon and kind in KINDS:
        return KINDS[kind](name, columns or {})
    if key not in _ALL:
        shown = name or key
        raise UserError(
            f"no benchmark is called '{key[:64]}'",
            hint=f"Known: {', '.join(_ALL)}. A table of your own: "
            + ", ".join(f"{kind}:{shown[:64]}" for kind in KINDS)
            + " (multiple choice, yes or no, an open answer).",
        )
    if columns:
        raise UserError(
            f"the columns of {key} have fixed names",
            hint=f"to map columns, name the table {' or '.join(f'{kind}:{key}' for kind in KINDS)}",
        )
    return _ALL[key]


def suite_of(places: Mapping[str, Path]) -> Suite:
    """Keys and where their data lies as a suite. Raises UserError for a key that is not known."""
    return {key: Entry(get(key), path) for key, path in places.items()}


def source_sha256(key: str) -> str:
    """A digest of the code that reads, prompts, parses and scores: the benchmark's own file and all that the room
    shares, so every file but those of other benchmarks."""
    benchmark = get(key)
    own = _file(benchmark.inner if isinstance(benchmark, Ranked) else benchmark)
    others = {_file(one) for one in (*_ALL.values(), *(kind("x", {}) for kind in KINDS.values()))} - {own}
    digest = hashlib.sha256(own.read_bytes())
    for file in sorted(file for pattern in _SHARED for file in own.parent.glob(pattern)):
        if file != own and file not in others and file.name not in _NOT_SOURCE:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _file(benchmark: Benchmark) -> Path:
    return Path(inspect.getfile(type(benchmark)))
