"""How many coded frames the tables of an MP4 list (ISO/IEC 14496-12).

A table of a few bytes may claim billions of samples, and a demuxer allocates an entry for each, so the tables are
counted before the demuxer sees the file.
"""

from __future__ import annotations

from collections.abc import Iterator

_PARENTS = frozenset({b"moov", b"trak", b"mdia", b"minf", b"stbl", b"moof", b"traf"})
_DEPTH = 8


def listed_frames(source: bytes) -> int:
    """The samples listed by all `stsz` and `stz2` boxes (8.7.3) and all track runs, `trun` (8.8.8), of all tracks.
    Stops at the first box that does not fit into its parent."""
    view = memoryview(source)
    return sum(_listed(kind, body) for kind, body in _leaves(view, _DEPTH))


def _listed(kind: bytes, body: memoryview) -> int:
    if kind in (b"stsz", b"stz2") and len(body) >= 12:
        return int.from_bytes(body[8:12], "big")
    if kind == b"trun" and len(body) >= 8:
        return int.from_bytes(body[4:8], "big")
    return 0


def _leaves(view: memoryview, depth: int) -> Iterator[tuple[bytes, memoryview]]:
    at = 0
    while at + 8 <= len(view):
        size, header = int.from_bytes(view[at : at + 4], "big"), 8
        kind = bytes(view[at + 4 : at + 8])
        if size == 1:
            size, header = int.from_bytes(view[at + 8 : at + 16], "big"), 16
        end = len(view) if size == 0 else at + size
        if end - at < header:
            return
        body = view[at + header : min(end, len(view))]
        if kind in _PARENTS and depth:
            yield from _leaves(body, depth - 1)
        else:
            yield kind, body
        at = end
