"""A run as it is compared: its header, its figures, and its rows by candidate and kind."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path

from fourways.core.errors import UserError
from fourways.core.figure import Figure
from fourways.core.rows import (
    AnswerRow,
    CeilingRow,
    FailureRow,
    MemoryRow,
    RequestRow,
    Row,
    TrainStepRow,
    TuneAnswerRow,
)
from fourways.core.run import CandidateRecord, RunHeader
from fourways.core.run_files import ROWS_FILE, SUMMARY_FILE, read_header, read_rows, read_summary


@dataclass(slots=True)
class Measured:
    """The rows of one candidate. answers: by benchmark."""

    answers: dict[str, list[AnswerRow]] = field(default_factory=dict)
    requests: list[RequestRow] = field(default_factory=list)
    ceilings: list[CeilingRow] = field(default_factory=list)
    memory: list[MemoryRow] = field(default_factory=list)
    steps: list[TrainStepRow] = field(default_factory=list)
    tuned: list[TuneAnswerRow] = field(default_factory=list)
    failures: list[FailureRow] = field(default_factory=list)

    def add(self, row: Row) -> None:
        match row:
            case AnswerRow():
                self.answers.setdefault(row.benchmark, []).append(row)
            case RequestRow():
                self.requests.append(row)
            case CeilingRow():
                self.ceilings.append(row)
            case MemoryRow():
                self.memory.append(row)
            case TrainStepRow():
                self.steps.append(row)
            case TuneAnswerRow():
                self.tuned.append(row)
            case FailureRow():
                self.failures.append(row)
            case _:
                pass

    def lost(self, axis: str) -> FailureRow | None:
        """Why all of an axis, or a part that its rows cannot show (one start, one process), is missing; None where
        nothing was lost."""
        return next((row for row in self.failures if row.axis == axis and row.scope in ("candidate", "axis")), None)

    @property
    def lost_benchmarks(self) -> dict[str, FailureRow]:
        """Benchmarks that were asked for, and why there is nothing of them."""
        return {row.where: row for row in self.failures if row.axis == "accuracy" and row.scope == "benchmark"}

    def has(self, axis: str) -> bool:
        """Whether anything of the axis was measured."""
        rows: Mapping[str, Sized] = {
            "accuracy": self.answers,
            "latency": self.requests,
            "memory": self.memory,
            "tuning": [*self.steps, *self.tuned],
        }
        return bool(rows[axis])


NOTHING = Measured()


@dataclass(frozen=True, slots=True)
class Facts:
    """name: what to call the run in words."""

    name: str
    header: RunHeader
    figures: tuple[Figure, ...]
    measured: Mapping[str, Measured]

    @classmethod
    def of(cls, name: str, header: RunHeader, figures: tuple[Figure, ...], rows: Iterable[Row]) -> Facts:
        measured: dict[str, Measured] = {}
        for row in rows:
            measured.setdefault(row.candidate, Measured()).add(row)
        return cls(name, header, figures, measured)

    @classmethod
    def read(cls, folder: Path, name: str = "") -> Facts:
        """Raises UserError if the folder holds no finished run, or one of another version."""
        header = read_header(folder)
        if not (folder / SUMMARY_FILE).exists():
            raise UserError(f"{folder} is not finished", hint=f"fourways compare --resume {folder}")
        summary = read_summary(folder)
        return cls.of(name or str(folder), header, summary.figures, read_rows(folder / ROWS_FILE))

    @classmethod
    def read_all(cls, folders: Sequence[Path]) -> list[Facts]:
        """A run and its re-runs. Raises UserError as `read` does, and for a run that is given twice: it would agree
        with itself, and show no spread."""
        found: dict[str, Facts] = {}
        for folder in folders:
            facts = cls.read(folder)
            if (twice := found.setdefault(facts.header.run_id, facts)) is not facts:
                raise UserError(f"{folder} is the same run as {twice.name}", hint="name every run once")
        return [*found.values()]

    def candidate(self, name: str) -> Measured:
        return self.measured.get(name, NOTHING)

    def record(self, name: str) -> CandidateRecord:
        """Raises KeyError for a candidate that the run does not have."""
        for record in self.header.candidates:
            if record.candidate.name == name:
                return record
        raise KeyError(name)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(record.candidate.name for record in self.header.candidates)


@dataclass(frozen=True, slots=True)
class Both:
    """The same candidate in two runs. old_name, new_name: differ only where the caller matched them."""

    old_run: Facts
    new_run: Facts
    old_name: str
    new_name: str

    @property
    def old(self) -> Measured:
        return self.old_run.candidate(self.old_name)

    @property
    def new(self) -> Measured:
        return self.new_run.candidate(self.new_name)

    @property
    def records(self) -> tuple[CandidateRecord, CandidateRecord]:
        return self.old_run.record(self.old_name), self.new_run.record(self.new_name)
