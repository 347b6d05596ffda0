"""A converted tokenizer gives the ids of the checkpoint's own, whatever the text and wherever control tokens stand."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

from fourways.core.errors import CheckpointError
from fourways.hub.convert.sentencepiece_file import read_spm
from fourways.hub.convert.tokenizer import read_tokenizer

KINDS = ("internlm2", "qwen2", "phi3", "llama", "llava-llama", "llava-mistral", "llava-yi")


class Made(dict[str, tuple[Path, Tokenizer]]):
    """Folder and tokenizer by kind; its representation is short, for a failure's message."""

    def __repr__(self) -> str:
        return "Made()"


@pytest.fixture(scope="module")
def made(originals: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Kind → its folder, and the tokenizer that was made of it."""
    where = tmp_path_factory.mktemp("tokenizers")
    folders = {name: originals.internvl(where / name, name) for name in originals.LANGUAGE_MODELS}
    folders |= {
        f"llava-{name}": originals.llava(where / f"llava-{name}", name)[0] for name in ("llama", "mistral", "yi")
    }
    read = {name: read_tokenizer(folder).tokenizer.to_str() for name, folder in folders.items()}
    return Made({name: (folder, Tokenizer.from_str(read[name])) for name, folder in folders.items()})


def texts(tokens: list[str]) -> st.SearchStrategy[str]:
    words = st.sampled_from(
        ["the", "image", " ", "  ", "\n", "circle", "是", "左上角", "é", "🦊", "\t", "Describe", "<", "1.5"]
    )
    # Four control characters are white space to Python alone: it takes them away after Phi-3's signs of turns.
    drawn = st.text(max_size=6).map(lambda text: re.sub("[\x1c-\x1f]", "", text))
    part = st.one_of(words, st.sampled_from(tokens), drawn)
    return st.lists(part, max_size=14).map("".join)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_ids_are_those_of_the_original_tokenizer(
    kind: str, data: st.DataObject, made: Made, original_models: ModuleType
) -> None:
    folder, tokenizer = made[kind]
    entries = json.loads((folder / "tokenizer_config.json").read_text())["added_tokens_decoder"].values()
    tokens = [entry["content"] for entry in entries if entry["content"] != "<unk>"]
    tokens += {"internlm2": ["[UNUSED_TOKEN_3]"], "llava-yi": ["<|im_start|>"]}.get(kind, [])
    # Metaspace adds no space before a text that begins with one; no prompt does.
    text = data.draw(texts(tokens).filter(lambda text: not text.startswith((" ", "▁"))))
    assert tokenizer.encode(text).ids == original_models.tokenize(folder, text)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_encoded_can_be_read_again(kind: str, made: Made) -> None:
    text = "Describe the image: 左上角的物体 is 🦊, isn't it?"
    tokenizer = made[kind][1]
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


@pytest.mark.parametrize("dummy_prefix", [True, False])
def test_a_sentencepiece_file_is_read_as_its_library_reads_it(
    dummy_prefix: bool, tmp_path: Path, originals: ModuleType
) -> None:
    import sentencepiece

    originals.sentencepiece_model(tmp_path, dummy_prefix=dummy_prefix, symbols=("<a>", "<b>"))
    library = sentencepiece.SentencePieceProcessor(model_file=str(tmp_path / "tokenizer.model"))
    model = read_spm(tmp_path / "tokenizer.model")
    assert [piece.text for piece in model.pieces] == [library.id_to_piece(i) for i in range(library.vocab_size())]
    assert [piece.score for piece in model.pieces] == [library.get_score(i) for i in range(library.vocab_size())]
    assert (model.model_type, model.byte_fallback, model.add_dummy_prefix) == (2, True, dummy_prefix)
    assert model.charsmap == b"" and not model.remove_extra_whitespaces


def test_a_piece_of_a_million_characters_is_no_reason_to_wait(tmp_path: Path, originals: ModuleType) -> None:
    folder, _ = originals.llava(tmp_path / "m", "llama")
    text = b"a" * 1_000_000
    long = b"\x0a" + _varint(len(text)) + text + b"\x15\x00\x00\x00\xc7"  # piece and score
    model = folder / "tokenizer.model"
    model.write_bytes(model.read_bytes() + b"\x0a" + _varint(len(long)) + long)
    assert read_spm(model).pieces[-1].text == text.decode()
    began = time.process_time()
    assert read_tokenizer(folder).tokenizer.encode("the image").tokens == ["<s>", "▁the", "▁im", "age"]
    assert time.process_time() - began < 5


def _varint(value: int) -> bytes:
    low = value & 0x7F
    return bytes([low | 0x80]) + _varint(value >> 7) if value >> 7 else bytes([low])


@settings(deadline=None)
@given(noise=st.binary(max_size=200))
def test_noise_is_no_sentencepiece_file(noise: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "noise.model"
    file.write_bytes(noise)
    try:
        read_spm(file)
    except CheckpointError as error:
        assert "SentencePiece" in error.message


def test_added_tokens_are_found_in_their_old_file_too(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    text = "<|im_start|>user\n<img><IMG_CONTEXT></img> Describe<|im_end|>"
    expected = read_tokenizer(folder).tokenizer.encode(text).ids
    settings_ = json.loads((folder / "tokenizer_config.json").read_text())
    table = settings_.pop("added_tokens_decoder")
    originals.write(folder / "tokenizer_config.json", settings_)
    originals.write(folder / "added_tokens.json", {entry["content"]: int(index) for index, entry in table.items()})
    assert read_tokenizer(folder).tokenizer.encode(text).ids == expected


def test_an_added_token_whose_id_is_taken_is_refused(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    settings_ = json.loads((folder / "tokenizer_config.json").read_text())
    table = settings_["added_tokens_decoder"]
    table[str(int(max(table, key=int)) + 5)] = next(iter(table.values())) | {"content": "<far>"}
    originals.write(folder / "tokenizer_config.json", settings_)
    with pytest.raises(CheckpointError, match="gives <far> the id"):
        read_tokenizer(folder)
