"""All rows against what the header says should be there, and against state.json."""

from __future__ import annotations

from collections.abc import Iterator

from fourways.core.rows import AnswerRow, FailureRow, MemoryRow, Row, TrainStepRow, TuneAnswerRow
from fourways.core.run import RunHeader, RunState
from fourways.core.run_files import ROWS_FILE, RUN_FILE, STATE_FILE
from fourways.evidence.rowlog import axis_of
from fourways.evidence.verify.complete import Accuracy, Latency, Memory, Tally, Tuning
from fourways.evidence.verify.complete.told import Told
from fourways.evidence.verify.contract import SHOWN
from fourways.figures.rescored import Rescored


class Counted:
    """count: rows so far. Of what is wrong with single rows it keeps as many as are shown."""

    def __init__(self, header: RunHeader) -> None:
        self._header = header
        self._names = [record.candidate.name for record in header.candidates]
        self._told = {axis: Told() for axis in ("accuracy", "latency", "memory", "tuning")}
        self._accuracy = Accuracy(header, self._told["accuracy"])
        self._latency = Latency(header, self._told["latency"])
        self._memory = Memory(header, self._told["memory"])
        self._tuning = Tuning(header, self._told["tuning"])
        self._rescored = Rescored(header.candidates, header.suite)
        self._wrong: list[str] = []
        self.count = 0

    @property
    def scored(self) -> int:
        """Answers that were scored again."""
        return self._rescored.count

    def add(self, line: int, row: Row) -> None:
        self.count += 1
        if len(self._wrong) <= SHOWN:
            self._wrong += self._of(line, row)

    def found(self, state: RunState) -> tuple[list[str], list[str]]:
        """(why the rows are refused, what else must be known)."""
        reasons = [*self._empty(), *self._wrong]
        axes: dict[str, Tally] = {
            "accuracy": self._accuracy, "latency": self._latency, "memory": self._memory, "tuning": self._tuning,
        }  # fmt: skip
        for axis in (axis for axis in self._header.axes if axis in axes):
            tally, told = axes[axis], self._told[axis]
            finished = [name for name in self._names if name in state.finished.get(axis, ())]
            for name in finished:
                if not told.whole(name):
                    reasons += tally.missing(name)
            for name in self._names:
                if name not in finished and not told.failed(name):
                    reasons.append(f"{STATE_FILE}: {axis} of {name} is not finished, and no row says why")
        if "latency" in self._header.axes:
            reasons += self._latency.uneven([n for n in self._names if n in state.finished.get("latency", ())])
        remarks = [remark for tally in axes.values() for remark in tally.remarks()]
        return reasons, remarks + [remark for told in self._told.values() for remark in told.remarks()]

    def _empty(self) -> Iterator[str]:
        """A header that demands nothing, or what nobody here can look at."""
        if not (self._names and self._header.axes):
            yield f"{RUN_FILE}: it names no candidate or no axis"
        for axis in self._header.axes:
            if axis not in self._told:
                yield f"{RUN_FILE}: this version knows no axis {axis!r}"
        if self._rescored.unknown and "accuracy" in self._header.axes:
            yield (
                f"{RUN_FILE}: this version reads or scores {', '.join(self._rescored.unknown)} by another rule; verify "
                f"with Fourways {self._header.source.version}, which made the run"
            )

    def _of(self, line: int, row: Row) -> Iterator[str]:
        axis = axis_of(row)
        if row.candidate not in self._names:
            yield f"{ROWS_FILE}, line {line}: the header has no candidate {row.candidate!r}"
        if axis not in self._header.axes or axis not in self._told:
            yield f"{ROWS_FILE}, line {line}: the header does not ask for {axis}"
            return
        match row:
            case FailureRow():
                self._told[axis].add(row)
            case AnswerRow():
                yield from self._accuracy.add(line, row)
                yield from (f"{ROWS_FILE}, line {line}: {why}" for why in self._rescored.unlike(row))
            case MemoryRow():
                yield from self._memory.add(line, row)
            case TrainStepRow() | TuneAnswerRow():
                yield from self._tuning.add(line, row)
            case _:
                yield from self._latency.add(line, row) if axis == "latency" else ()
