"""What is sent for a conversation."""

from __future__ import annotations

import binascii
import io

import msgspec
from PIL import Image as Pil

from fourways.core.conversation import Conversation, Image, Part, Text, Turn
from fourways.core.errors import MediaError
from fourways.media import is_plain
from fourways.media.sniff import sniff

_MIME = {"JPEG": "image/jpeg", "PNG": "image/png", "WebP": "image/webp"}

Json = dict[str, object]


def encode(conversation: Conversation) -> bytes:
    """The turns as the API's `messages`, in JSON."""
    return msgspec.json.encode([_message(turn) for turn in conversation.turns])


def _message(turn: Turn) -> Json:
    """Text alone is sent as a string, which every server takes."""
    if all(isinstance(part, Text) for part in turn.parts):
        return {"role": turn.role, "content": "".join(part.text for part in turn.parts if isinstance(part, Text))}
    return {"role": turn.role, "content": [_part(part) for part in turn.parts]}


def _part(part: Part) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    if isinstance(part, Image):
        return {"type": "image_url", "image_url": {"url": _image_url(part)}}
    return {"type": "video_url", "video_url": {"url": _data_url("video/mp4", part.source)}}


def _image_url(image: Image) -> msgspec.Raw:
    """A data URL: the source as it came, or, where decoders would not agree about it (orientation, transparency, 16
    bits, CMYK, animation, another format), the pixels that were read, as PNG."""
    source = image.source  # once: a workload's is read from a file
    mime = _MIME.get(sniff(source) or "")
    if mime is not None and _agreed(source):
        return _data_url(mime, source)
    out = io.BytesIO()
    Pil.fromarray(image.pixels).save(out, "PNG", compress_level=1)
    return _data_url("image/png", out.getvalue())


def _agreed(source: bytes) -> bool:
    try:
        return is_plain(source)
    except (MediaError, OSError, SyntaxError, ValueError):
        return False


def _data_url(mime: str, content: bytes) -> msgspec.Raw:
    """In JSON already: what is Base64 needs no look for characters to escape."""
    return msgspec.Raw(b"".join((f'"data:{mime};base64,'.encode(), binascii.b2a_base64(content, newline=False), b'"')))
