"""A fast tokenizer (tokenizer.json) from whatever a checkpoint brings, with the same ids and none of its code.

SentencePiece models are rebuilt as byte-fallback BPE. Two ways exist to treat the text after a control token: each such
part begins as a text of its own does, with SentencePiece's space before it (InternLM2, and Llama's `legacy`), or only
the beginning of the whole text does (Llama since then; where a whole text begins with a space of its own, `tokenizers`
adds none, as in transformers' own fast Llama). Where an added token takes away the white space after it (Phi-3's signs
of turns), U+001C to U+001F stay: they are white space to Python's slow tokenizers alone. Source: transformers, "legacy"
of LlamaTokenizer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import BPE

from fourways.core.errors import CheckpointError
from fourways.hub.convert import sentencepiece_file as spm
from fourways.hub.convert.files import read_optional

SPACE = "▁"
SPM_FILE = "tokenizer.model"
_NAMED = ("unk_token", "bos_token", "eos_token", "pad_token")


@dataclass(frozen=True, slots=True)
class Read:
    """tokenizer: what becomes tokenizer.json. named: bos_token, eos_token, … → its text.
    begin: the token that stands before every text, "" if none does. every_part: whether the text after a
    control token is encoded as the beginning of a text is."""

    tokenizer: Tokenizer
    named: dict[str, str]
    begin: str
    every_part: bool
    context: int | None

    def id_of(self, token: str) -> int:
        """Raises CheckpointError if it is no token."""
        found = self.tokenizer.token_to_id(token)
        if found is None:
            raise CheckpointError(
                f"the checkpoint's tokenizer has no token {token}", hint="copy its added_tokens.json, too"
            )
        return int(found)


def read_tokenizer(folder: Path) -> Read:
    """The tokenizer of a checkpoint in an original layout. Raises CheckpointError."""
    settings = read_optional(folder, "tokenizer_config.json")
    added = _added(folder, settings)
    named = _named(settings, read_optional(folder, "special_tokens_map.json"))
    if (folder / SPM_FILE).is_file():
        kind = str(settings.get("tokenizer_class", ""))
        every_part = not kind.startswith("Llama") or settings.get("legacy") is not False
        model = spm.read_spm(folder / SPM_FILE)
        added = _symbols(model, named) | added
        tokenizer = _from_spm(folder / SPM_FILE, model, named, added, every_part)
        begin = named.get("bos_token", "") if settings.get("add_bos_token", True) else ""
        _frame(tokenizer, begin, named.get("eos_token", "") if settings.get("add_eos_token", False) else "")
    elif (folder / "tokenizer.json").is_file():
        tokenizer = _from_json(folder / "tokenizer.json")
    else:
        tokenizer = _from_words(folder)
    _add(tokenizer, named, added)
    length = settings.get("model_max_length")
    context = int(length) if isinstance(length, int) else None
    return Read(tokenizer, named, _begin(tokenizer, named), _begins_alike(tokenizer, named), context)


def _begin(tokenizer: Tokenizer, named: Mapping[str, str]) -> str:
    first = named.get("bos_token", "")
    return first if first and tokenizer.encode("").ids[:1] == [tokenizer.token_to_id(first)] else ""


def _begins_alike(tokenizer: Tokenizer, named: Mapping[str, str]) -> bool:
    """Whether a text has the same ids after a control token as at the beginning."""
    control = next(iter(named.values()), None)
    if control is None:
        return True
    after: list[int] = tokenizer.encode(f"{control}x", add_special_tokens=False).ids[1:]
    return after == tokenizer.encode("x", add_special_tokens=False).ids


def _named(settings: Mapping[str, Any], older: Mapping[str, Any]) -> dict[str, str]:
    """older: special_tokens_map.json, which counts where tokenizer_config.json does not list added tokens itself."""
    all_ = {**older, **settings} if "added_tokens_decoder" in settings else {**settings, **older}
    found = {name: all_[name] for name in _NAMED if all_.get(name)}
    return {name: str(token["content"] if isinstance(token, dict) else token) for name, token in found.items()}


def _added(folder: Path, settings: Mapping[str, Any]) -> dict[int, AddedToken]:
    """id → token, from tokenizer_config.json, else from added_tokens.json."""
    try:
        if table := settings.get("added_tokens_decoder"):
            return {int(index): _added_token(entry) for index, entry in table.items()}
        table = read_optional(folder, "added_tokens.json")
        return {int(index): AddedToken(str(text), normalized=False, special=True) for text, index in table.items()}
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"the added tokens of {folder} cannot be read: {error}") from error


def _added_token(entry: Mapping[str, Any]) -> AddedToken:
    flags = {
        name: bool(entry.get(name, False)) for name in ("lstrip", "rstrip", "single_word", "normalized", "special")
    }
    return AddedToken(str(entry["content"]), **flags)


def _add(tokenizer: Tokenizer, named: Mapping[str, str], added: Mapping[int, AddedToken]) -> None:
    """Added tokens at their own ids. Raises CheckpointError where an id is taken or left out."""
    known = {token.content for token in added.values()}
    tokenizer.add_special_tokens(
        [AddedToken(text, normalized=False, special=True) for text in named.values() if text not in known]
    )
    for index, token in sorted(added.items()):
        (tokenizer.add_special_tokens if token.special else tokenizer.add_tokens)([token])
        if tokenizer.token_to_id(token.content) != index:
            raise CheckpointError(
                f"the tokenizer gives {token.content} the id {tokenizer.token_to_id(token.content)}, "
                f"its settings say {index}",
                hint="its files must come from the same checkpoint",
            )


# -- SentencePiece ---------------------------------------------------------------------------------------------------
def _symbols(model: spm.SpmModel, named: Mapping[str, str]) -> dict[int, AddedToken]:
    """Pieces that SentencePiece cuts out of a text before it merges anything, such as Yi's <|im_start|>. Runs of spaces
    among them are left to the merges, which see them as SentencePiece does, with its sign for a space."""
    return {
        index: AddedToken(piece.text, normalized=False, special=False)
        for index, piece in enumerate(model.pieces)
        if piece.kind == spm.USER_DEFINED and SPACE not in piece.text and piece.text not in named.values()
    }


def _from_spm(
    file: Path, model: spm.SpmModel, named: Mapping[str, str], added: Mapping[int, AddedToken], every_part: bool
) -> Tokenizer:
    if model.model_type != spm.BPE or not model.byte_fallback:
        raise CheckpointError(
            f"{file} is not a BPE model with bytes to fall back on", hint="no rule for others is known"
        )
    if model.remove_extra_whitespaces:
        raise CheckpointError(f"{file} removes white space from texts; no rule for such a model is known")
    vocabulary = {piece.text: index for index, piece in enumerate(model.pieces)}
    for index, token in added.items():
        if index < len(model.pieces):
            vocabulary.pop(model.pieces[index].text, None)
            vocabulary[token.content] = index
    unknown = next((piece.text for piece in model.pieces if piece.kind == spm.UNKNOWN), named.get("unk_token"))
    tokenizer = Tokenizer(
        BPE(vocabulary, _merges(model, vocabulary), unk_token=unknown, fuse_unk=True, byte_fallback=True)
    )
    steps: list[Any] = [normalizers.Precompiled(model.charsmap)] if model.charsmap else []
    stripped: list[Any] = [decoders.Strip(" ", 1, 0)] if model.add_dummy_prefix else []
    if every_part:
        steps += [normalizers.Prepend(SPACE)] if model.add_dummy_prefix else []
        steps.append(normalizers.Replace(" ", SPACE))
    else:
        scheme = "first" if model.add_dummy_prefix else "never"
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement=SPACE, prepend_scheme=scheme, split=False)
    if steps:
        tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), *stripped]
    )
    return tokenizer


def _merges(model: spm.SpmModel, vocabulary: Mapping[str, int]) -> list[tuple[str, str]]:
    """Every pair of pieces that makes a piece, the best score first: SentencePiece always merges into the piece with
    the highest score."""
    ranked: list[tuple[float, int, int, int, str, str]] = []
    lengths = {len(text) for text in vocabulary}
    for index, piece in enumerate(model.pieces):
        if piece.kind not in (spm.NORMAL, spm.USER_DEFINED) or vocabulary.get(piece.text) != index:
            continue
        for cut in sorted(length for length in lengths if len(piece.text) - length in lengths):
            left, right = piece.text[:cut], piece.text[cut:]
            if left in vocabulary and right in vocabulary:
                ranked.append((-piece.score, index, vocabulary[left], vocabulary[right], left, right))
    return [(left, right) for *_, left, right in sorted(ranked)]


def _frame(tokenizer: Tokenizer, before: str, after: str) -> None:
    """The tokens that stand before and after every text; "" for none."""
    ends = [token for token in (before, after) if token]
    if not ends:
        return
    tokenizer.add_special_tokens([AddedToken(token, normalized=False, special=True) for token in ends])
    single = [part for part in (before, "$A", after) if part]
    pair = [*single, *(f"{part}:1" for part in (before, "$B", after) if part)]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=single, pair=pair, special_tokens=[(token, tokenizer.token_to_id(token)) for token in ends]
    )


# -- others ----------------------------------------------------------------------------------------------------------
def _from_json(file: Path) -> Tokenizer:
    try:
        return Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception
        raise CheckpointError(f"{file} cannot be read: {error}", hint="fetch that file again") from error


def _from_words(folder: Path) -> Tokenizer:
    """vocab.json and merges.txt, as Qwen2's tokenizer reads them."""
    words, merges = folder / "vocab.json", folder / "merges.txt"
    if not (words.is_file() and merges.is_file()):
        raise CheckpointError(
            f"{folder} has no {SPM_FILE}, no tokenizer.json, and no vocab.json with merges.txt",
            hint="copy the tokenizer's files of the original model",
        )
    from tokenizers import Regex
    from transformers.models.qwen2.tokenization_qwen2 import PRETOKENIZE_REGEX

    try:
        tokenizer = Tokenizer(BPE.from_file(str(words), str(merges)))
    except Exception as error:  # the library raises plain Exception
        raise CheckpointError(f"{words} and {merges.name} cannot be read: {error}", hint="fetch them again") from error
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PRETOKENIZE_REGEX), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer
