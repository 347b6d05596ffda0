"""The one EXIF tag that changes how a picture looks (EXIF 2.32, 4.6.5.1.6), read without the rest of the block.

Read here and not with Pillow's reader, which follows every tag of a hostile block and warns about each.
"""

from __future__ import annotations

import struct

_ORIENTATION, _SHORT = 0x0112, 3
_BYTE_ORDERS = {b"II*\x00": "<", b"MM\x00*": ">"}


def orientation(block: bytes) -> int:
    """1 to 8 from an EXIF block (with or without its `Exif` prefix); 1, upright, where it says nothing readable."""
    tiff = block.removeprefix(b"Exif\x00\x00")
    order = _BYTE_ORDERS.get(tiff[:4])
    if order is None or len(tiff) < 8:
        return 1
    (directory,) = struct.unpack_from(order + "I", tiff, 4)
    if directory + 2 > len(tiff):
        return 1
    (count,) = struct.unpack_from(order + "H", tiff, directory)
    for at in range(directory + 2, min(directory + 2 + 12 * count, len(tiff) - 11), 12):
        tag, kind, values, value = struct.unpack_from(order + "HHIH", tiff, at)
        if (tag, kind, values) == (_ORIENTATION, _SHORT, 1):
            return int(value) if 1 <= value <= 8 else 1
    return 1
