"""What a disk refuses, as one line that says what was kept and what to do."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fourways.core.errors import FourwaysError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)
_ROOM_TO_SPARE = 1 << 26
_LARGER = "free some space and pull again: what was fetched is kept; or set FOURWAYS_DATA to a larger disk"


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turns what the disk refuses into one line that says what was kept and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise FourwaysError(f"{place}: the disk is full", hint=_LARGER) from error
        if error.errno in _DENIED:
            raise FourwaysError(
                f"{error.filename or place} may not be written: {error.strerror}",
                hint="set FOURWAYS_DATA to a folder of your own",
            ) from error
        raise


def check_room(folder: Path, needed: int) -> None:
    """Raises FourwaysError unless the disk of a folder that exists has room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if needed + _ROOM_TO_SPARE > free:
        raise FourwaysError(
            f"{needed / 2**30:.1f} GiB are needed, and {folder} has {free / 2**30:.1f} GiB free", hint=_LARGER
        )
