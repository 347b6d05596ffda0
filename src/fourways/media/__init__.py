"""Bytes → `Image` and `Video` parts: recognised by content, bounded before they are decoded, upright, RGB and hashed.

Public face: `read_image`, `read_video`, `Limits`, `is_plain`. Whatever the bytes, the readers raise only `MediaError`.
The room must never fetch a URL, open a path, resize for a model, or let a decoder's own error text through (such texts
have carried memory addresses).
"""

from fourways.media.image import is_plain, read_image
from fourways.media.limits import Limits
from fourways.media.video import read_video

__all__ = ["Limits", "is_plain", "read_image", "read_video"]
