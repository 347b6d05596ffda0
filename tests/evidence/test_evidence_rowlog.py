"""Rows survive a kill, a torn line and a full disk; nothing written is ever lost or doubled."""

from __future__ import annotations

import errno
import fcntl
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.core.errors import UserError
from fourways.core.rows import ROWS_SCHEMA, FailureRow, Row, RowsHeader, TrainStepRow
from fourways.core.run_files import ROWS_FILE, read_rows, read_rows_header
from fourways.evidence import RowLog, RowsNotWritten, supersede
from fourways.evidence.rowlog import SUPERSEDED

HEADER = RowsHeader(ROWS_SCHEMA, "run", None, None, None)


def row(number: int, axis: str = "latency") -> FailureRow:
    return FailureRow("qwen", axis, "sample", str(number), "it broke")


def numbers(folder: Path) -> list[str]:
    return [r.where for r in read_rows(folder / ROWS_FILE) if isinstance(r, FailureRow)]


def test_rows_come_back_as_they_were_written_after_the_header(tmp_path: Path) -> None:
    with RowLog(tmp_path, HEADER) as log:
        for number in range(3):
            log.append(row(number))
    assert read_rows_header(tmp_path / ROWS_FILE) == HEADER
    assert list(read_rows(tmp_path / ROWS_FILE)) == [row(0), row(1), row(2)]


def test_a_log_that_is_opened_again_goes_on(tmp_path: Path) -> None:
    for number in range(3):
        with RowLog(tmp_path, HEADER) as log:
            log.append(row(number))
            assert log.count == number + 1
    assert numbers(tmp_path) == ["0", "1", "2"]


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(min_value=0, max_value=400))
def test_wherever_a_file_is_cut_the_whole_rows_before_stay_and_writing_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    with RowLog(folder, HEADER) as log:
        for number in range(4):
            log.append(row(number))
    whole = (folder / ROWS_FILE).read_bytes()
    left = whole[: max(0, len(whole) - cut)]
    (folder / ROWS_FILE).write_bytes(left)
    kept = max(0, left.count(b"\n") - 1)
    with RowLog(folder, HEADER) as log:
        log.append(row(99))
    assert numbers(folder) == [*map(str, range(kept)), "99"]


def test_a_process_killed_between_rows_loses_none_of_them(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from fourways.core.rows import ROWS_SCHEMA, FailureRow, RowsHeader\n"
        "from fourways.evidence import RowLog\n"
        "log = RowLog(Path(sys.argv[1]), RowsHeader(ROWS_SCHEMA, 'run', None, None, None))\n"
        "for n in range(10**9):\n"
        "    log.append(FailureRow('qwen', 'latency', 'sample', str(n), 'it broke'))\n"
        "    print(n, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        said = [int(process.stdout.readline()) for _ in range(50)]
        process.send_signal(signal.SIGKILL)
    assert numbers(tmp_path)[: len(said)] == [str(number) for number in said]


def test_two_processes_cannot_write_to_one_run(tmp_path: Path) -> None:
    with RowLog(tmp_path, HEADER), pytest.raises(UserError, match="another process is writing"):
        RowLog(tmp_path, HEADER)


def test_rows_of_another_run_are_refused(tmp_path: Path) -> None:
    RowLog(tmp_path, HEADER).close()
    with pytest.raises(UserError, match="belongs to another run"):
        RowLog(tmp_path, RowsHeader(ROWS_SCHEMA, "other", None, None, None))


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """No file of this process may grow beyond `limit` bytes: what a full disk does to a write. Only around the writes
    themselves, or the test runner's own output may meet it."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk_stops_the_run_with_one_line_and_every_whole_row_stays(tmp_path: Path) -> None:
    log = RowLog(tmp_path, HEADER)
    with small_files(4096), pytest.raises(RowsNotWritten) as caught:
        for number in range(1000):
            log.append(row(number))
    log.close()
    kept = numbers(tmp_path)
    assert kept == [str(number) for number in range(len(kept))]
    assert 0 < len(kept) < 1000
    assert f"its {len(kept)} rows so far are kept" in caught.value.message
    assert caught.value.hint is not None and f"--resume {tmp_path}" in caught.value.hint
    assert (tmp_path / ROWS_FILE).read_bytes().endswith(b"\n")
    assert (tmp_path / ROWS_FILE).stat().st_size <= 4096


def test_a_damaged_line_in_the_middle_is_named_by_its_number(tmp_path: Path) -> None:
    with RowLog(tmp_path, HEADER) as log:
        log.append(row(0))
        log.append(row(1))
    lines = (tmp_path / ROWS_FILE).read_bytes().splitlines(keepends=True)
    (tmp_path / ROWS_FILE).write_bytes(lines[0] + b'{"kind": "answer"\n' + lines[2])
    with pytest.raises(UserError, match="line 2: not a row"):
        list(read_rows(tmp_path / ROWS_FILE))


@pytest.mark.parametrize("loss", [float("nan"), float("inf"), float("-inf")])
def test_a_row_with_a_number_that_is_not_finite_is_counted_as_a_failure(tmp_path: Path, loss: float) -> None:
    with RowLog(tmp_path, HEADER) as log:
        log.append(TrainStepRow("qwen", "task", 0, 12, loss, 1e-3, 5.0, 10))
    (kept,) = read_rows(tmp_path / ROWS_FILE)
    assert kept == FailureRow("qwen", "tuning", "sample", "12", "a number of this train_step row is not finite")


def test_superseded_rows_move_to_a_file_of_their_own(tmp_path: Path) -> None:
    def old_latency(one: Row) -> bool:
        return isinstance(one, FailureRow) and one.axis == "latency"

    with RowLog(tmp_path, HEADER) as log:
        for number in range(4):
            log.append(row(number, axis="latency" if number % 2 else "memory"))
    assert supersede(tmp_path, old_latency) == 2
    assert numbers(tmp_path) == ["0", "2"]
    assert (tmp_path / SUPERSEDED).read_bytes().count(b"\n") == 2
    assert supersede(tmp_path, old_latency) == 0
    with RowLog(tmp_path, HEADER) as log:
        assert log.count == 2


def test_rows_cannot_be_superseded_under_a_running_writer(tmp_path: Path) -> None:
    with RowLog(tmp_path, HEADER) as log:
        log.append(row(0))
        with pytest.raises(UserError, match="another process is writing"):
            supersede(tmp_path, lambda _: True)
    assert numbers(tmp_path) == ["0"]


def test_rows_are_not_written_to_a_file_that_was_replaced_while_it_was_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another process may rewrite the rows between this one's opening of the file and its lock."""
    with RowLog(tmp_path, HEADER) as log:
        log.append(row(0))
    lock = fcntl.flock

    def late(fd: int, how: int) -> None:
        path = tmp_path / ROWS_FILE
        path.with_name("new").write_bytes(path.read_bytes())
        path.with_name("new").replace(path)
        lock(fd, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with pytest.raises(UserError, match="another process is writing"):
        RowLog(tmp_path, HEADER)
    assert numbers(tmp_path) == ["0"]


def test_a_file_system_without_locks_is_named_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(fd: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with pytest.raises(UserError, match="cannot be locked: No locks available"):
        RowLog(tmp_path, HEADER)
