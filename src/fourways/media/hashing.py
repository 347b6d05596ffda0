"""The two identities of a picture or clip: of the file, and of what was decoded from it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from fourways.core.conversation import Pixels

CONTENT_VERSION = "v1"
"""Part of every content hash. It changes with anything here or in the decoding that changes pixels or preimage."""


def source_sha256(source: bytes) -> str:
    """SHA-256 of the file's bytes, in hexadecimal."""
    return hashlib.sha256(source).hexdigest()


def content_hash(pixels: Pixels, timestamps_s: Sequence[float] = ()) -> str:
    """`v1-` and a SHA-256 over mode, shape, timestamps (of a clip) and pixels.

    pixels: (height, width, 3) or (frames, height, width, 3), uint8 RGB.
    """
    digest = hashlib.sha256()
    shape = "x".join(str(n) for n in pixels.shape)
    times = ",".join(float(t).hex() for t in timestamps_s)
    digest.update(f"fourways.content/{CONTENT_VERSION}\nRGB\n{shape}\n{times}\n".encode())
    digest.update(np.ascontiguousarray(pixels).data)
    return f"{CONTENT_VERSION}-{digest.hexdigest()}"
