"""Graphics cards by the memory they are sold with, what a program can really have of it, and what is kept free.

usable_bytes: what the CUDA driver calls the device's total, as PyTorch's out-of-memory messages print it ("GPU 0 has a
total capacity of 79.11 GiB"); of several cards of one size, the one that gives least. A display, another process or a
partition takes from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fourways.core.errors import UserError

GIB = 1 << 30
CONTEXT_BYTES = 3 * GIB // 4
"""Kept for the CUDA context and its kernels (about 0.5 GiB), and for the workspaces of cuBLAS and cuDNN."""
FRAGMENTED = 0.03
"""Share of what comes and goes (all but weights) that the allocator may hold in pieces too small to use."""


@dataclass(frozen=True, slots=True)
class Card:
    """gigabytes: as it is sold. example: the card whose total this is."""

    gigabytes: int
    example: str
    usable_bytes: int


def _card(gigabytes: int, example: str, usable_gib: float) -> Card:
    return Card(gigabytes, example, int(usable_gib * GIB))


CARDS = (
    _card(8, "RTX 3070, 4060", 7.6),
    _card(12, "RTX 3060", 11.7),
    _card(16, "T4", 14.5),
    _card(24, "A10, L4", 22.0),
    _card(32, "RTX 5090", 31.3),
    _card(40, "A100", 39.3),
    _card(48, "L40S, RTX 6000 Ada", 44.4),
    _card(80, "A100, H100", 79.1),
    _card(96, "RTX PRO 6000, H20", 94.9),
    _card(141, "H200", 139.7),
    _card(192, "B200", 178.3),
)


def needed_bytes(peak: int, weights: int) -> int:
    """What a card must give for a peak, the reserve included."""
    return peak + CONTEXT_BYTES + int(FRAGMENTED * (peak - weights))


def card_named(text: str) -> Card:
    """`24GB`, `24`. Raises UserError for a size that is not in the table."""
    sizes = ", ".join(f"{card.gigabytes}GB" for card in CARDS)
    found = re.fullmatch(r"(\d+)\s*(gb)?", text.strip(), re.IGNORECASE)
    for card in CARDS:
        if found is not None and card.gigabytes == int(found[1]):
            return card
    raise UserError(f"--card: {text!r} is no known size", hint=f"one of {sizes}")
