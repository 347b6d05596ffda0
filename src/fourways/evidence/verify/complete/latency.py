"""Latency: every request of every block, each once, and every candidate asked the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

from fourways.core.load import Load
from fourways.core.rows import Cache, ClientRow, ProbeRow, RequestRow, Row, TermsRow
from fourways.core.run import RunHeader
from fourways.core.run_files import ROWS_FILE, RUN_FILE
from fourways.evidence.verify.complete.told import Told

_Block = tuple[str, Load, Cache, int, int]
"""Workload, load, cache, fresh start and number of a block."""
_PASSES: tuple[Cache, ...] = ("cold", "warm")


class Latency:
    def __init__(self, header: RunHeader, told: Told) -> None:
        self._plan = header.plan
        self._told = told
        self._items: dict[str, dict[_Block, set[tuple[int, str | None]]]] = {}
        self._clients: dict[str, set[_Block]] = {}
        self._searched: set[str] = set()
        self._loaded = False

    def add(self, line: int, row: Row) -> Iterator[str]:
        """What is wrong with this row."""
        where = f"{ROWS_FILE}, line {line}"
        match row:
            case RequestRow():
                seen = self._items.setdefault(row.candidate, {}).setdefault(_block(row, row.load), set())
                if (row.item, row.adapter) in seen:
                    yield f"{where}: item {row.item} of block {row.block} stands twice for {row.candidate}"
                seen.add((row.item, row.adapter))
            case ClientRow():
                blocks = self._clients.setdefault(row.candidate, set())
                if _block(row, row.load) in blocks:
                    yield f"{where}: block {row.block} of {row.candidate} has two client rows"
                blocks.add(_block(row, row.load))
            case ProbeRow() | TermsRow() if self._plan is not None:
                yield f"{where}: a row of `fourways load` in a run whose requests are planned"
            case ProbeRow():
                self._searched.add(row.candidate)
            case TermsRow():
                self._loaded = True

    def missing(self, candidate: str) -> Iterator[str]:
        """Of a candidate that is finished and was not lost."""
        blocks = self._items.get(candidate, {})
        if not blocks:
            yield f"{ROWS_FILE}: {candidate} is finished, and has no timed request"
        for block in blocks.keys() ^ self._clients.get(candidate, set()):
            has, lacks = ("requests", "client row") if block in blocks else ("a client row", "request")
            yield f"{ROWS_FILE}: {_told(candidate, block)} has {has}, and no {lacks}"
        if self._plan is not None:
            yield from self._unplanned(candidate, blocks)

    def uneven(self, candidates: list[str]) -> Iterator[str]:
        """Blocks in which candidates that were timed in turns were not asked the same. One that was searched for its
        own limit had loads of its own; one that was lost on the way has fewer."""
        timed = [name for name in candidates if name not in self._searched and not self._told.whole(name)]
        for first, other in pairwise(timed):
            one, two = self._items.get(first, {}), self._items.get(other, {})
            for block in sorted(one.keys() | two.keys(), key=str):
                if one.get(block) != two.get(block):
                    counts = f"{len(one.get(block, ()))} and {len(two.get(block, ()))}"
                    yield f"{ROWS_FILE}: {_told(first, block)} and {other}'s are not the same items ({counts} requests)"

    def remarks(self) -> Iterator[str]:
        if self._plan is None and self._items and not self._loaded:
            yield "the header of an older version does not say how many requests were to be timed"
        if self._loaded:
            yield "the header of `fourways load` plans no number of requests: blocks are compared with each other"

    def _unplanned(self, candidate: str, blocks: dict[_Block, set[tuple[int, str | None]]]) -> Iterator[str]:
        assert self._plan is not None
        if not (self._plan.latency_requests and self._plan.latency_loads):
            yield f"{RUN_FILE}: it asks for latency, and plans no request"
        planned = [(Load(concurrency=size), cache) for size in self._plan.latency_loads for cache in _PASSES]
        found = Counter(dict.fromkeys(planned, 0))
        for (_, load, cache, _, _), items in blocks.items():
            found[load, cache] += len(items)
        for (load, cache), count in found.items():
            due = self._plan.latency_requests if (load, cache) in planned else 0
            if count != due:
                yield f"{ROWS_FILE}: {candidate}, {load.label}, {cache}: {count} requests, and {due} were planned"


def _block(row: RequestRow | ClientRow, load: Load) -> _Block:
    return row.workload, load, row.cache, row.restart, row.block


def _told(candidate: str, block: _Block) -> str:
    workload, load, cache, restart, number = block
    start = f", start {restart}" if restart else ""
    return f"block {number} of {candidate} ({workload}, {load.label}, {cache}{start})"
