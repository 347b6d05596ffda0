"""When a request that has not begun to answer is sent again, and after how long."""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

ATTEMPTS = 5
"""Of a request that does not name its own."""
BUSY = frozenset({408, 425, 429, 502, 503, 504})
FIRST_S, LONGEST_S = 0.5, 60.0


class Again(Exception):
    """The server could not take the request now. reason: why; after_s: how long it asked to wait, if it did."""

    def __init__(self, reason: str, after_s: float | None = None) -> None:
        super().__init__(reason)
        self.reason, self.after_s = reason, after_s


def pause_s(attempt: int, after_s: float | None, request_id: str) -> float:
    """Seconds before attempt number `attempt` + 1: what the server asked for, or a doubling time with a jitter that is
    the request's own. At most LONGEST_S."""
    if after_s is not None:
        return min(after_s, LONGEST_S)
    jitter = 0.5 + random.Random(f"{request_id}:{attempt}").random()
    return min(FIRST_S * 2.0 ** (attempt - 1) * jitter, LONGEST_S)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """The header Retry-After (RFC 9110, 10.2.3), seconds or a date, as seconds from now; None if it cannot be read."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return None
