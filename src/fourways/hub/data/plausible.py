"""Whether a file that nobody published a digest of can be what the catalogue describes, before its digest is pinned.

This protects against an error page, a cut file or another one under the same name; not against somebody who means
harm, whom only a published digest stops."""

from __future__ import annotations

import zipfile
from pathlib import Path

from fourways.hub.data.catalogue import File
from fourways.hub.data.errors import SourceError

_TIMES = 2
_PARQUET = b"PAR1"
_HINT = "nothing was pinned; try another --source, or bring the right file: --from PATH"


def check_plausible(file: File, name: str, part: Path, source: str) -> None:
    """file: what the catalogue says of it. Raises SourceError, with both sizes, where what came is less than half or
    more than twice as large, or is no file of the kind that its name says."""
    size, about = part.stat().st_size, file.about
    if about is not None and not about / _TIMES <= size <= about * _TIMES:
        raise SourceError(
            f"{name} is not the file that the catalogue describes: about {about:,} bytes there, and {size:,} came "
            f"from {source}",
            hint=_HINT,
        )
    kind = Path(name).suffix.lower()
    if not _is_of(kind, part, size):
        raise SourceError(f"{name} from {source} is no {kind.lstrip('.')} file ({size:,} bytes)", hint=_HINT)


def _is_of(kind: str, part: Path, size: int) -> bool:
    """By what such a file begins (and ends) with; of kinds that have no such mark nothing is said."""
    if kind == ".zip":
        return zipfile.is_zipfile(part)
    with part.open("rb") as stream:
        first = stream.read(4)
        stream.seek(max(0, size - 4))
        last = stream.read(4)
    if kind == ".parquet":
        return size > 2 * len(_PARQUET) and first == last == _PARQUET
    if kind in (".json", ".jsonl"):
        return first.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")
    return first.lstrip()[:1] != b"<" if kind in (".tsv", ".csv") else True
