"""A tokenizer for random weights whose own was not fetched: right in its ids and about right in its lengths.

It is byte-level, with 3,840 merges learned once from the docstrings of Python 3.11's standard library (tokenizers'
`BpeTrainer`, 4,096 tokens), so English text costs about half as many tokens again as with a published tokenizer. The
control tokens stand at the ids that tokenizer_config.json names. Every other id of the vocabulary is a made-up word,
since a model with random weights may say any of them, and what it says must be visible for its time to be measured.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from fourways.core.candidate import Checkpoint
from fourways.core.errors import CheckpointError

_ROLES = ("bos_token", "eos_token", "pad_token", "unk_token")


def stand_in_tokenizer(checkpoint: Checkpoint, vocab_size: int) -> PreTrainedTokenizerFast:
    """vocab_size: rows of the embedding; each id below it decodes to text or is a control token.

    Raises CheckpointError if tokenizer_config.json does not name the control tokens and their ids.
    """
    file = checkpoint.folder / "tokenizer_config.json"
    try:
        settings: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        control = {int(i): str(token["content"]) for i, token in settings["added_tokens_decoder"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"{checkpoint.folder} has no tokenizer.json, and no tokenizer_config.json to stand in for it",
            hint="copy the tokenizer files of the original model into the folder",
        ) from error
    merges = _merges()
    words = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *("".join(pair) for pair in merges)]
    vocabulary = _vocabulary(words, control, vocab_size)
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in control.values()])
    roles = {role: settings[role] for role in _ROLES if settings.get(role)}
    if settings.get("add_bos_token"):
        first = roles["bos_token"]
        tokenizer.post_processor = TemplateProcessing(
            single=f"{first} $A", special_tokens=[(first, tokenizer.token_to_id(first))]
        )
    wrap: Any = PreTrainedTokenizerFast
    wrapped: PreTrainedTokenizerFast = wrap(tokenizer_object=tokenizer, **roles)
    return wrapped


@cache
def _merges() -> list[tuple[str, str]]:
    lines = (Path(__file__).parent / "stand_in_merges.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split(" ") for line in lines)
    return [(left, right) for left, right in pairs]


def _vocabulary(words: Iterable[str], control: dict[int, str], size: int) -> dict[str, int]:
    """Control tokens at their ids; real words, then made-up ones, at the others."""
    vocabulary = {token: index for index, token in control.items()}
    free = (index for index in range(size) if index not in control)
    for word in words:
        vocabulary[word] = next(free)
    syllables = [consonant + vowel for consonant in "bcdfghjklmnpqrstvwxz" for vowel in "aeiou"]
    made_up = ("Ġ" + "".join(parts) for parts in product(syllables, repeat=4))
    for index in free:
        vocabulary[next(word for word in made_up if word not in vocabulary)] = index
    return vocabulary
