"""The SHA-256 of many files, over the cores: one file a thread, the largest first, each kept in the cache at once.

One file is one chain of blocks and cannot be divided; a checkpoint of many shards can. hashlib and the reads let go of
the interpreter's lock, so threads are enough.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from pathlib import Path
from threading import Event, Lock

from fourways.hub.cache import DigestCache

Progress = Callable[[int, int], None]
"""Told (bytes done, bytes in all); from several threads, one at a time."""


class _StoppedError(Exception):
    """Another file failed, or the person gave up."""


def hash_files(files: Iterable[Path], at: Progress | None = None) -> dict[Path, str]:
    """File → hex SHA-256 of what it holds now, in the order given; read only where the cache does not know it.

    Raises FourwaysError for a file that changes while it is read, OSError for one that cannot be read. After an error
    or Ctrl-C the digests of the files that were read to their end are kept.
    """
    cache = DigestCache()
    digests = {file: cache.known(file) for file in files}
    unknown = sorted((file for file, digest in digests.items() if digest is None), key=_size, reverse=True)
    if unknown:
        digests |= _read(cache, unknown, _Watch(sum(map(_size, unknown)), at))
    return {file: digest for file, digest in digests.items() if digest is not None}


def cores() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read(cache: DigestCache, files: list[Path], watch: _Watch) -> dict[Path, str]:
    with ThreadPoolExecutor(min(cores(), len(files)), thread_name_prefix="sha256") as pool:
        reading = {file: pool.submit(cache.sha256, file, watch.step) for file in files}
        try:
            done, _ = wait(reading.values(), return_when=FIRST_EXCEPTION)
            if failed := next((error for one in done if (error := one.exception()) is not None), None):
                raise failed
        except BaseException:
            watch.stop()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return {file: digest.result() for file, digest in reading.items()}


class _Watch:
    """Counts what all threads have read, and ends their reading."""

    def __init__(self, total: int, at: Progress | None) -> None:
        self._total, self._at = total, at
        self._done, self._lock, self._stopped = 0, Lock(), Event()

    def step(self, count: int) -> None:
        if self._stopped.is_set():
            raise _StoppedError
        if self._at is not None:
            with self._lock:
                self._done += count
                self._at(self._done, self._total)

    def stop(self) -> None:
        self._stopped.set()


def _size(file: Path) -> int:
    return file.stat().st_size
