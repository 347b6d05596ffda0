"""Accuracy: exactly the samples that the header says were asked, each once, under the seed that the run's gives it."""

from __future__ import annotations

from collections.abc import Iterator

from fourways.core.request import derive_seed
from fourways.core.rows import AnswerRow
from fourways.core.run import BenchmarkRecord, RunHeader, asked_sha256
from fourways.core.run_files import ROWS_FILE, RUN_FILE
from fourways.evidence.verify.complete.told import Told


class Accuracy:
    def __init__(self, header: RunHeader, told: Told) -> None:
        self._header = header
        self._told = told
        self._suite = {record.key for record in header.suite}
        self._samples: dict[tuple[str, str], set[str]] = {}

    def add(self, line: int, row: AnswerRow) -> Iterator[str]:
        """What is wrong with this row."""
        where = f"{ROWS_FILE}, line {line}"
        if row.benchmark not in self._suite:
            yield f"{where}: the header has no benchmark {row.benchmark!r}"
        if row.seed != derive_seed(self._header.seed, f"{row.benchmark}/{row.sample}"):
            yield f"{where}: its seed is not that of sample {row.sample!r} in a run of seed {self._header.seed}"
        seen = self._samples.setdefault((row.candidate, row.benchmark), set())
        if row.sample in seen:
            yield f"{where}: sample {row.sample!r} of {row.benchmark} is answered twice by {row.candidate}"
        seen.add(row.sample)

    def missing(self, candidate: str) -> Iterator[str]:
        """Of a candidate that is finished and was not lost."""
        if not self._header.suite:
            yield f"{RUN_FILE}: it asks for accuracy, and names no benchmark"
        lost, single = self._told.part(candidate), self._told.single(candidate)
        for record in self._header.suite:
            if record.asked == 0 and self._header.shard is None:
                yield f"{RUN_FILE}: it asks no sample of {record.key}"
            if record.key not in lost and record.asked is not None:
                yield from _unlike(candidate, record, self._samples.get((candidate, record.key), set()), single)

    def remarks(self) -> Iterator[str]:
        if unknown := [record.key for record in self._header.suite if record.asked is None]:
            yield f"the header of an older version does not say how many samples it asked of {', '.join(unknown)}"
        hidden = [record.key for record in self._header.suite if record.asked is not None and not record.asked_sha256]
        if hidden:
            yield f"of {', '.join(hidden)} the header says how many samples were asked, and not which: a merged run"


def _unlike(candidate: str, record: BenchmarkRecord, answered: set[str], single: list[str]) -> Iterator[str]:
    """single: samples whose answer could not be written as a row, of whatever benchmark; each stands as a failure."""
    asked = record.asked or 0
    missing = asked - len(answered)
    unwritten = {sample for sample in single if sample not in answered} if missing > 0 else set()
    if missing != 0 and not 0 < missing <= len(unwritten):
        yield f"{ROWS_FILE}: {candidate} has {len(answered):,} answers on {record.key}, and {asked:,} were asked"
    elif record.asked_sha256 is not None and len(unwritten) == missing and not _are(answered | unwritten, record):
        yield f"{ROWS_FILE}: {candidate} on {record.key}: the samples are not those that the header names by digest"


def _are(samples: set[str], record: BenchmarkRecord) -> bool:
    return asked_sha256(samples) == record.asked_sha256
