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


def encode(conversation: Conversation) -> bytes:
    """The turns as the API's `messages`, in JSON. Put together from pieces: a picture is megabytes long, and its Base64
    needs no look for characters to escape."""
    turns = [[b'{"role":"', turn.role.encode(), b'","content":', *_content(turn), b"}"] for turn in conversation.turns]
    return b"".join(_listed(turns))


def _content(turn: Turn) -> list[bytes]:
    """Text alone is sent as a string, which every server takes."""
    texts = [part.text for part in turn.parts if isinstance(part, Text)]
    if len(texts) == len(turn.parts):
        return [msgspec.json.encode("".join(texts))]
    return _listed([_part(part) for part in turn.parts])


def _listed(items: list[list[bytes]]) -> list[bytes]:
    pieces = [piece for item in items for piece in (b",", *item)]
    return [b"[", *pieces[1:], b"]"]


def _part(part: Part) -> list[bytes]:
    if isinstance(part, Text):
        return [b'{"type":"text","text":', msgspec.json.encode(part.text), b"}"]
    kind, mime, content = ("image", *_file(part)) if isinstance(part, Image) else ("video", "video/mp4", part.source)
    opening = f'{{"type":"{kind}_url","{kind}_url":{{"url":"data:{mime};base64,'
    return [opening.encode(), binascii.b2a_base64(content, newline=False), b'"}}']


def _file(image: Image) -> tuple[str, bytes]:
    """The source as it came, or, where decoders would not agree about it (orientation, transparency, 16 bits, CMYK,
    animation, another format), the pixels that were read, as PNG; before it its media type."""
    source = image.source
    mime = _MIME.get(sniff(source) or "")
    if mime is not None and _agreed(source):
        return mime, source
    out = io.BytesIO()
    Pil.fromarray(image.pixels).save(out, "PNG", compress_level=1)
    return "image/png", out.getvalue()


def _agreed(source: bytes) -> bool:
    try:
        return is_plain(source)
    except (MediaError, OSError, SyntaxError, ValueError):
        return False
