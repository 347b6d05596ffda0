"""What can go wrong with data, beside the user's mistakes."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fourways.core.errors import FourwaysError

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


class SourceError(FourwaysError):
    """One source could not give the file; another may."""


class DataChanged(FourwaysError):
    """A file is not the one that was pinned. The message names both digests."""


@contextmanager
def disk_errors(place: Path) -> Iterator[None]:
    """Turns what the disk refuses into one line that says what was kept and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise FourwaysError(
                f"{place}: the disk is full",
                hint="free some space and pull again: what was fetched is kept; or set FOURWAYS_DATA to a larger disk",
            ) from error
        if error.errno in _DENIED:
            raise FourwaysError(
                f"{error.filename or place} may not be written: {error.strerror}",
                hint="set FOURWAYS_DATA to a folder of your own",
            ) from error
        raise
