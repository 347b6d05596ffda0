"""Brings a model from the Hugging Face Hub into its own cache, at a commit, and goes on where an earlier try stopped.

The Hub's client keeps whole files, but of a file that was being fetched when the process ended it keeps nothing. So the
large files, of which the Hub says the SHA-256, are fetched here by the client's own `http_get` into a file beside the
client's (`blobs/<sha256>.fourways`), verified, and moved to the name under which the client looks for them
(huggingface_hub, "Understand caching": a blob of a large file is named by its SHA-256). The client fetches the rest.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, BinaryIO, cast

from filelock import FileLock, Timeout
from huggingface_hub import constants, hf_hub_url, snapshot_download
from huggingface_hub.file_download import http_get
from huggingface_hub.utils._headers import build_hf_headers
from huggingface_hub.utils.tqdm import disable_progress_bars

from fourways.core.digests import hash_file
from fourways.core.errors import CheckpointError, FourwaysError
from fourways.core.run_files import write_whole
from fourways.hub import download
from fourways.hub.download import Remote, is_commit

if TYPE_CHECKING:
    from fourways.hub.data import Show

_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Pulled:
    """A whole snapshot in the Hub's cache."""

    folder: Path
    repository: str
    commit: str


def pull(name: str, show: Show) -> Pulled:
    """`org/name[@revision]`. A branch is resolved to a commit first; a commit that is here needs no network. Raises
    CheckpointError for what is not there, is gated or has no safetensors, FourwaysError where the disk is too small,
    the Hub cannot be reached or the download stops."""
    repository, revision = download.split_revision(name)
    if revision is not None and is_commit(revision) and (here := download.cached_snapshot(name)) is not None:
        return Pulled(here, repository, revision)
    try:
        remote = download.ask(name)
    except download.Unreachable as error:
        raise _unreachable(name) from error
    if remote.commit is None:
        raise CheckpointError(f"{constants.ENDPOINT} does not say which commit {name} is", hint="name one: @COMMIT")
    storage = download.blobs_of(repository, Path(constants.HF_HUB_CACHE)).parent
    with _alone(storage, show):
        download.check_space(remote, Path(constants.HF_HUB_CACHE))
        folder = _bring(name, remote, storage, show)
        if not is_commit(revision):
            _remember(storage / "refs" / (revision or constants.DEFAULT_REVISION), remote.commit)
    return Pulled(folder, repository, remote.commit)


def _bring(name: str, remote: Remote, storage: Path, show: Show) -> Path:
    disable_progress_bars()
    try:
        _Fetch(remote, storage / "blobs", show).large_files()
        folder = snapshot_download(
            remote.repository,
            revision=remote.commit,
            allow_patterns=list(download.WANTED["trained"]),
            ignore_patterns=list(download.NESTED),
        )
    except FourwaysError:
        raise
    except Exception as error:
        raise _stopped(name, error) from error
    return Path(folder)


def _unreachable(name: str) -> FourwaysError:
    here = "a checkpoint that is here: `fourways models add NAME FOLDER`"
    if constants.HF_HUB_OFFLINE:
        return FourwaysError(f"{name}: HF_HUB_OFFLINE is set: nothing is fetched", hint=f"unset it; {here}")
    return FourwaysError(
        f"{name}: {constants.ENDPOINT} cannot be reached", hint=f"check the network or HF_ENDPOINT; {here}"
    )


def _stopped(name: str, error: Exception) -> FourwaysError:
    found = download.explained(name, error)
    if isinstance(found, CheckpointError):
        return found
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return FourwaysError(f"{name}: the disk is full", hint="free some space; then the same command goes on")
    why = " ".join(str(error).split()) or type(error).__name__
    return FourwaysError(
        f"{name}: the download from {constants.ENDPOINT} stopped: {why[:300]}",
        hint="what came is kept: the same command goes on",
    )


class _Fetch:
    """The large files of one repository that are not in the cache yet, several at once, counted together."""

    def __init__(self, remote: Remote, blobs: Path, show: Show) -> None:
        self._remote, self._blobs, self._show = remote, blobs, show
        self._done, self._lock, self._stop = 0, Lock(), Event()

    def large_files(self) -> None:
        """Raises what the Hub's client raises, OSError, or FourwaysError for a file that arrived damaged."""
        lacking = {digest: file for file, digest in self._remote.sha256.items() if not (self._blobs / digest).exists()}
        self._show.begin(self._remote.repository, sum(self._remote.files[file] for file in lacking.values()) or None)
        if not lacking:
            return
        self._blobs.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="pull") as pool:
            fetching = [pool.submit(self._one, file, digest) for digest, file in sorted(lacking.items())]
            try:
                done, _ = wait(fetching, return_when=FIRST_EXCEPTION)
                for one in done:
                    one.result()
            except BaseException:
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _one(self, file: str, digest: str) -> None:
        size, part = self._remote.files[file], download.part_of(self._blobs, digest)
        if part.exists() and part.stat().st_size > size:
            part.unlink()
        url = hf_hub_url(self._remote.repository, file, revision=self._remote.commit)
        with part.open("ab") as stream:
            counted = _Counted(stream, size, self._count)
            self._count(stream.tell())
            http_get(
                url, cast(BinaryIO, counted), resume_size=stream.tell(), headers=build_hf_headers(),
                expected_size=size, displayed_filename=file,
            )  # fmt: skip
        if hash_file(part) != digest:
            part.unlink()
            raise FourwaysError(
                f"{file} of {self._remote.repository} arrived damaged: it is not the sha256 {digest} that the Hub says",
                hint="pull again: it is then fetched from its beginning",
            )
        part.replace(self._blobs / digest)

    def _count(self, more: int) -> None:
        if self._stop.is_set():
            raise OSError("stopped, because another file failed")
        with self._lock:
            self._done += more
            self._show.at(self._done)


class _Counted:
    """A file that says how many bytes came; fewer than none where the client begins anew. Of more than there should be
    none is kept: an answer without end would fill the disk."""

    def __init__(self, stream: BinaryIO, size: int, count: Callable[[int], None]) -> None:
        self._stream, self._size, self._count = stream, size, count

    def write(self, data: bytes) -> int:
        if self._stream.tell() + len(data) > self._size:
            raise CheckpointError(
                f"{constants.ENDPOINT} sends more than the {self._size:,} bytes that it says the file has",
                hint="is it a Hugging Face Hub? else ask the owner of the repository",
            )
        self._count(len(data))
        return self._stream.write(data)

    def tell(self) -> int:
        return self._stream.tell()

    def seek(self, to: int) -> int:
        self._count(to - self._stream.tell())
        return self._stream.seek(to)

    def truncate(self) -> int:
        return self._stream.truncate()


@contextmanager
def _alone(storage: Path, show: Show) -> Iterator[None]:
    """One pull of a repository at a time; the system frees the lock of a killed one."""
    place = storage.parent / ".locks" / storage.name
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FourwaysError(
            f"{storage.parent} may not be written: {error.strerror}", hint="set HF_HOME to a folder of your own"
        ) from error
    lock = FileLock(place / "fourways.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        show.note(f"another pull of {storage.name} is running; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _remember(ref: Path, commit: str) -> None:
    """As the client does: what the branch was. Without it the next use of `org/name` asks the Hub once more."""
    with suppress(OSError, FourwaysError):
        ref.parent.mkdir(parents=True, exist_ok=True)
        write_whole(ref, commit.encode())
