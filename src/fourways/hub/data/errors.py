"""What can go wrong with data, beside the user's mistakes."""

from __future__ import annotations

from fourways.core.errors import FourwaysError


class SourceError(FourwaysError):
    """One source could not give the file; another may."""


class DataChanged(FourwaysError):
    """A file is not the one that was pinned. The message names both digests."""
