"""The zoo's tokenizer: byte-level, so any text survives a round trip, with whole phrases of the small world as one
token each.

A small model spends its few layers on what is asked, not on spelling. Phrases are split off first, then words,
then bytes; a piece that is in the vocabulary is one token (``ignore_merges``), any other falls back to its bytes.
"""

from __future__ import annotations

import re
from string import Formatter

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from . import words

SPECIAL: tuple[str, ...] = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|image_pad|>",
    "<|video_pad|>",
    "<image>",
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<video>",
)
END = "<|im_end|>"
PAD = "<|endoftext|>"

_WORDS = (
    "a an and any are as at be below between bigger both but by can color colors colour count describe "
    "different do does each every far first for from has have how if image in is it its just large left letter "
    "like located look many more name near next no not object objects of on one only or other please picture "
    "question right same say see shape shapes side size small smaller tell than that the their them then there "
    "these this to two under up what when where which who why with word yes you three four zero none star ring "
    "diamond left right above below top bottom middle image answer system helpful assistant user "
)


_INSTRUCTIONS = (
    "Answer the question using a single word or phrase.",
    "Please try to answer the question with short words or phrases if possible.",
    "Please select the correct answer from the options above.",
    "Answer with the option's letter from the given choices directly.",
    "请直接回答选项字母。",
    "Locate ",
    " in this image and output the bbox coordinates in JSON format.",
    "Please provide the bounding box coordinate of the region this sentence describes: ",
)
"""What the benchmarks' prompts add to a question. Part of the vocabulary, which stays as the checkpoints learned it
even where a prompt changes."""


def _pieces(template: str) -> list[str]:
    return [text for text, *_ in Formatter().parse(template) if text]


def phrases() -> list[str]:
    """All that is one token: slots' words, templates' fixed parts, numbers."""
    found: list[str] = []
    for by_language in (words.COLOR_WORDS, words.SHAPE_WORDS):
        for table in by_language.values():
            found += table.values()
    for positions in words.POSITION_WORDS.values():
        found += positions
    found += [*words.NUMBER_WORDS, "yes", "no", "empty"]
    for asked in words.ASK.values():
        for template in asked.values():
            found += _pieces(template)
    for template in words.CHECK.values():
        found += _pieces(template)
    found += [
        words.MME_SUFFIX,
        words.LETTER_SUFFIX,
        words.WORD_SUFFIX,
        words.DESCRIBE,
        words.DRILL,
        *_pieces(words.EXPRESSION),
    ]
    found += [*_INSTRUCTIONS, "<ref>", "</ref>"]
    found += ['```json\n[{"bbox_2d": [', '], "label": "', '"}]\n```', "<box>[[", "]]</box>", ", ", "; ", ": "]
    found += ["user\n", "assistant\n", "system\n", "You are a helpful assistant.", "Question: ", "\nOptions:"]
    found += ["\n\nA. ", *(f"\n{letter}. " for letter in words.LETTERS)]
    return sorted(set(found), key=lambda p: (-len(p), p))


def numbers() -> list[str]:
    """The coordinates that the families say."""
    whole = {str(n) for n in range(0, 1001, 20)} | {str(n) for n in range(0, 113)}
    return sorted(whole | {f"{n / 100:.2f}" for n in range(0, 101, 2)})


def _bytes_of(text: str) -> str:
    """How a byte-level vocabulary spells ``text``."""
    ((spelled, _),) = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False).pre_tokenize_str(text)
    return spelled


def token_id(tokenizer: Tokenizer, token: str) -> int:
    """The id of a token that must be there."""
    found = tokenizer.token_to_id(token)
    if found is None:
        raise KeyError(f"the zoo's tokenizer has no token {token!r}")
    return found


def build() -> Tokenizer:
    """The tokenizer, the same for all three families."""
    vocabulary: dict[str, int] = {}
    for piece in sorted(pre_tokenizers.ByteLevel.alphabet()):
        vocabulary.setdefault(piece, len(vocabulary))
    common = [w for word in _WORDS.split() for w in (word, word.capitalize())]
    for piece in [*phrases(), *numbers(), *common, *words.LETTERS, "\n", "\n\n"]:
        vocabulary.setdefault(_bytes_of(piece), len(vocabulary))
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], ignore_merges=True))
    fixed = "|".join(rf"\b{p}\b" if p.isascii() and p.isalpha() else re.escape(p) for p in phrases())
    pattern = rf"{fixed}|\d+\.\d+|\d+|\n+|\p{{L}}+|[^\s\p{{L}}\d]|\s"
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(pattern), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, normalized=False, special=True) for t in SPECIAL])
    return tokenizer
