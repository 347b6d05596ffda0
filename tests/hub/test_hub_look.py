"""A checkpoint is looked at before anything is loaded, and each way of being broken has its own message."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from fourways import zoo
from fourways.core.errors import CheckpointError
from fourways.hub import look, parameter_count

CONFIG = {"architectures": ["LlavaNextForConditionalGeneration"], "model_type": "llava_next"}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOURWAYS_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole, tiny checkpoint in two shards."""
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "tokenizer.json").write_text("{}")
    save_file({"a": np.zeros((2, 3), np.float32)}, tmp_path / "model-00001-of-00002.safetensors")
    save_file({"b": np.zeros(5, np.float16)}, tmp_path / "model-00002-of-00002.safetensors")
    places = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))
    return tmp_path


def complaint(folder: Path) -> str:
    with pytest.raises(CheckpointError) as caught:
        look(folder)
    assert caught.value.hint
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_whole_checkpoint_is_described_by_architecture_and_digests(folder: Path) -> None:
    found = look(folder)
    assert found.architecture == "LlavaNextForConditionalGeneration"
    assert set(found.sha256) == {path.name for path in folder.iterdir()}
    assert not found.random_weights
    assert parameter_count(folder) == 11


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_embedded_models_are_whole(name: str) -> None:
    assert look(zoo.checkpoint(name)).architecture.endswith("ForConditionalGeneration")


def test_a_digest_changes_with_the_bytes_and_not_with_the_time(folder: Path) -> None:
    before = look(folder).sha256
    (folder / "tokenizer.json").touch()
    assert look(folder).sha256 == before
    (folder / "tokenizer.json").write_text("{ }")
    after = look(folder).sha256
    assert {name for name in before if before[name] != after[name]} == {"tokenizer.json"}


def test_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "model-00002-of-00002.safetensors").unlink()
    assert "lacks 1 of 2 weight files: model-00002-of-00002.safetensors" in complaint(folder)


def test_a_shard_that_was_cut_short_says_how_much_is_missing(folder: Path) -> None:
    shard = folder / "model-00001-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:-7])
    assert "cut short: 7 of its bytes are missing" in complaint(folder)


def test_a_shard_that_ends_inside_its_header_is_cut_short(folder: Path) -> None:
    shard = folder / "model-00001-of-00002.safetensors"
    shard.write_bytes(shard.read_bytes()[:20])
    assert "ends inside its header" in complaint(folder)


def test_a_shard_with_bytes_after_its_last_tensor_is_damaged(folder: Path) -> None:
    with (folder / "model-00001-of-00002.safetensors").open("ab") as shard:
        shard.write(b"xyz")
    assert "3 bytes follow its last tensor" in complaint(folder)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip that calls itself safetensors", b"\xff" * 64])
def test_a_file_that_is_not_safetensors_is_called_that(folder: Path, content: bytes) -> None:
    (folder / "model-00001-of-00002.safetensors").write_bytes(content)
    assert "is not a safetensors file" in complaint(folder)


def test_a_header_that_is_not_json_is_refused(folder: Path) -> None:
    (folder / "model-00001-of-00002.safetensors").write_bytes(struct.pack("<Q", 8) + b"{broken}")
    assert "its header cannot be read" in complaint(folder)


def test_a_git_lfs_pointer_is_recognised(folder: Path) -> None:
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    (folder / "model-00001-of-00002.safetensors").write_bytes(pointer)
    assert "Git LFS pointer" in complaint(folder)


def test_a_tensor_of_the_index_that_no_shard_holds_is_named(folder: Path) -> None:
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    index["weight_map"]["lm_head.weight"] = "model-00002-of-00002.safetensors"
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert "lm_head.weight" in complaint(folder)


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "model.bin"])
def test_an_index_may_not_name_a_file_outside_or_of_another_kind(folder: Path, name: str) -> None:
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": name}}))
    assert "is not a safetensors file of this folder" in complaint(folder)


def test_pickled_weights_are_refused_with_the_reason(folder: Path) -> None:
    for shard in folder.glob("*.safetensors*"):
        shard.unlink()
    (folder / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    assert "pytorch_model.bin; such files can run code" in complaint(folder)


def test_a_folder_without_weights_says_so(folder: Path) -> None:
    for shard in folder.glob("*.safetensors*"):
        shard.unlink()
    assert "has no model.safetensors" in complaint(folder)


def test_a_folder_without_a_tokenizer_says_so(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    assert "has no tokenizer" in complaint(folder)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is not a JSON object"),
        ("[]", "is not a JSON object"),
        ("{}", "names no architecture"),
        (None, "has no config.json"),
    ],
)
def test_a_config_that_cannot_be_used_says_why(folder: Path, content: str | None, said: str) -> None:
    if content is None:
        (folder / "config.json").unlink()
    else:
        (folder / "config.json").write_text(content)
    with pytest.raises(CheckpointError, match=said):
        look(folder)


def test_an_adapter_folder_is_recognised(tmp_path: Path) -> None:
    (tmp_path / "adapter_config.json").write_text("{}")
    assert "is a LoRA adapter, not a model" in complaint(tmp_path)
