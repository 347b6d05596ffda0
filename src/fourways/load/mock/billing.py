"""How many tokens a prompt costs, by a stated rule; pictures are measured by their headers, never decoded."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import TYPE_CHECKING

from fourways.core.errors import MediaError
from fourways.load.mock.settings import Billing, MockSettings
from fourways.load.mock.wire import BadRequest, Bill, Chat, Url
from fourways.media.image import header_size

if TYPE_CHECKING:
    from fourways.families.contract import VisualCounter

_HEADER_CHARS = 1 << 16
"""Base64 characters in which nearly every picture says its size."""


class Biller:
    """The bill of a request."""

    def __init__(self, settings: MockSettings) -> None:
        self._settings = settings
        self._count = _image_rule(settings)

    def bill(self, chat: Chat) -> Bill:
        """Raises BadRequest for a picture whose size is needed and cannot be read."""
        text, visual = 0, dict[str, int]()
        for message in chat.messages:
            if isinstance(message.content, str):
                text += _text_tokens(message.content)
                continue
            for part in message.content or ():
                text += _text_tokens(part.text)
                if part.image_url is not None:
                    visual["image"] = visual.get("image", 0) + self._count(_address(part.image_url))
                if part.video_url is not None:
                    visual["video"] = visual.get("video", 0) + self._settings.video_tokens
        return text + sum(visual.values()), visual


def _text_tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "surrogatepass")) // 4)


def _address(part: Url | str) -> str:
    return part.url if isinstance(part, Url) else part


def _image_rule(settings: MockSettings) -> Callable[[str], int]:
    if settings.billing == "fixed":
        return lambda url: settings.image_tokens
    counter = _counter(settings.billing)

    def by_size(url: str) -> int:
        try:
            return counter.image(*_size(url)).visual_tokens
        except MediaError as error:
            raise BadRequest(error.message, param="messages") from None

    return by_size


def _counter(billing: Billing) -> VisualCounter:
    """Published defaults of the families' processors, before any visual budget. Imported late: torch comes with it."""
    from fourways.families.visual_tokens import (
        InternVLCounter,
        LlavaNextCounter,
        PixelBounds,
        Qwen3Counter,
        QwenCounter,
    )

    if billing == "qwen2.5-vl":
        bounds = PixelBounds(56 * 56, 16384 * 28 * 28)
        return QwenCounter(28, bounds, bounds)
    if billing == "qwen3-vl":
        bounds = PixelBounds(256 * 256, 4096 * 4096)
        return Qwen3Counter(32, bounds, bounds)
    if billing == "llava-next":
        pinpoints = ((336, 672), (672, 336), (672, 672), (1008, 336), (336, 1008))
        return LlavaNextCounter(pinpoints, tile=336, patch=14)
    return InternVLCounter((448, 448), 256, 1, 12)


def _size(url: str) -> tuple[int, int]:
    """(width, height) of the picture in a data: URL. Raises BadRequest, MediaError."""
    head, comma, data = url.partition(",")
    if not head.startswith("data:") or not comma or not head.endswith(";base64"):
        raise BadRequest("this server fetches nothing: send pictures as base64 data: URLs", param="messages")
    try:
        try:
            return header_size(base64.b64decode(data[:_HEADER_CHARS]), name="image")
        except MediaError:
            return header_size(base64.b64decode(data, validate=True), name="image")
    except ValueError:  # characters that are not Base64, or not even ASCII
        raise BadRequest("a picture's base64 cannot be read", param="messages") from None
