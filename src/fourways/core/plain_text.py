"""Text from outside, made safe to be seen.

Replies, names and messages of servers may hold control characters that move a terminal's cursor or set its title, and
invisible or direction-changing ones that make a reader see other words than there are.
"""

from __future__ import annotations

import re

_CONTROL = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180e\u200b-\u200f\u2028-\u202e"
    r"\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
"""Control, format and direction characters, and those that Unicode calls ignorable: tags spell whole hidden sentences.
Variation selectors of the first plane stay, because emoji have them."""
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def clean(text: str) -> str:
    """The text with invisible and direction-changing characters written out, such as [U+202E]."""
    text = _SURROGATE.sub("\N{REPLACEMENT CHARACTER}", text.replace("\r\n", "\n"))
    return _CONTROL.sub(lambda match: f"[U+{ord(match.group()):04X}]", text)
