"""Prompts of a wanted length, of common words. They ask nothing: what they cost is their length."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from fourways.load.workload.chance import Chance
from fourways.load.workload.spec import Language

TOKENS_PER_WORD: dict[Language, float] = {"de": 1.5, "en": 1.05, "es": 1.35, "zh": 1.1}
"""Roughly, for byte-pair vocabularies of 100,000 tokens and more, of these lists with their full stops. The engine's
own count stands in the row."""
_SENTENCE = 12


def text(chance: Chance, key: tuple[object, ...], language: Language, words: int) -> str:
    """So many words, in sentences of a dozen. Another key gives another text from its first few words on."""
    known = _words(language)
    number = chance.number("text", *key)
    chosen = []
    for index in range(words):
        if index % 4 == 0:  # one draw is good for four words: of each 16 bits
            number = chance.number("text", *key, index)
        chosen.append(known[(number >> 16 * (index % 4) & 0xFFFF) % len(known)])
    space, stop, end = ("", "。", "？") if language == "zh" else (" ", ". ", "?")
    sentences = [chosen[at : at + _SENTENCE] for at in range(0, words, _SENTENCE)]
    return stop.join(space.join([one[0].capitalize(), *one[1:]]) for one in sentences) + end


def words_of(language: Language, tokens: int) -> int:
    """How many words come to about so many tokens; at least one."""
    return max(1, round(tokens / TOKENS_PER_WORD[language]))


@cache
def _words(language: Language) -> tuple[str, ...]:
    return tuple((Path(__file__).parent / "words" / f"{language}.txt").read_text(encoding="utf-8").split())
