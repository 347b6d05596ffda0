"""Whatever the files of a checkpoint hold, there is a manifest that can be written and read, or one clear error."""

from __future__ import annotations

import json
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save_file

from fourways.core.errors import CheckpointError
from fourways.core.manifest import Manifest
from fourways.hub.manifest import KNOWN, fill, make, read_manifest, write_manifest

LLAVA = "LlavaNextForConditionalGeneration"


def checkpoint(folder: Path, config: dict[str, Any]) -> Path:
    """A whole, tiny checkpoint."""
    (folder / "config.json").write_text(json.dumps({"architectures": [LLAVA], **config}))
    save_file({"language_model.a": np.zeros((4, 4), np.float16)}, folder / "model.safetensors")
    return folder


@pytest.mark.parametrize(
    "name", ["tokenizer_config.json", "README.md", "fourways.model.json", ".cache/huggingface/download/x.metadata"]
)
@pytest.mark.parametrize("kind", ["pipe", "folder", "loop"])
def test_what_stands_where_a_small_file_belongs_is_never_waited_for(name: str, kind: str, tmp_path: Path) -> None:
    """A pipe would be read for ever. Where the file is needed it is named; else it is as if it were not there."""
    folder = checkpoint(tmp_path, {})
    place = folder / name
    place.parent.mkdir(parents=True, exist_ok=True)
    {"pipe": os.mkfifo, "folder": Path.mkdir, "loop": lambda path: path.symlink_to(path)}[kind](place)
    if name == "tokenizer_config.json":
        with pytest.raises((CheckpointError, OSError), match=r"tokenizer_config\.json"):
            make(folder)
        return
    made = fill(make(folder), folder)
    assert (made.licence, made.source, made.revision, made.hashes) == (None, None, None, "complete")


@pytest.mark.parametrize(
    "config",
    [
        {"max_position_embeddings": 2**70},
        {"image_grid_pinpoints": [[2**70, 2**70]]},
        {"quantization_config": {"quant_method": "\ud800"}},
        {"quantization_config": {"quant_method": "a\x00b", "bits": 2**90}},
        {"quantization_config": {"quant_method": "int" + "9" * 5000}},
    ],
)
def test_a_setting_beyond_reason_is_taken_as_not_said(config: dict[str, Any], tmp_path: Path) -> None:
    made = make(checkpoint(tmp_path, config))
    assert (made.context, made.image.max_tiles) == (None, None)
    if made.quantization is not None:
        assert (made.quantization.bits, made.quantization.method.isprintable()) == (None, True)
    assert read_manifest(write_manifest(made, tmp_path / "out.json")) == made


@pytest.mark.parametrize("name", ["", "\ud800", "a\x00b", "a\x1b[31mb", "a" * 5000])
def test_an_architecture_that_cannot_be_written_is_none(name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="names no architecture"):
        make(checkpoint(tmp_path, {"architectures": [name]}))


@pytest.mark.parametrize("licence", ['"a\\ud800b"', '"a\\0b"', "2001-99-99", "&a [*a]"])
def test_a_licence_that_is_no_plain_text_is_not_said(licence: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, {})
    (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n")
    assert make(folder).licence in (None, "2001-99-99")


def test_a_cache_folder_whose_name_is_no_text_gives_no_source(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"models--org--\xff") / "snapshots" / "main"
    folder.mkdir(parents=True)
    made = make(checkpoint(folder, {}))
    assert made.source is None
    assert read_manifest(write_manifest(made, tmp_path / "out.json")) == made


@pytest.mark.parametrize("shards", [{}, {"a": "x" * 5000 + ".safetensors"}, {"a": "b\x00.safetensors"}])
def test_an_index_that_names_no_shard_of_the_folder_is_refused(shards: dict[str, str], tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, {})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(CheckpointError, match=r"names no weights|not a safetensors file of this folder"):
        make(folder)


@pytest.mark.parametrize("name", ["preprocessor_config", "tokenizer_config", "chat_template", "processor_config"])
@pytest.mark.parametrize("content", ["{", "[]", "3", "\ud800", "[" * 100_000])
def test_a_small_file_that_is_no_json_object_is_named(name: str, content: str, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, {})
    (folder / f"{name}.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(CheckpointError, match=rf"{name}\.json is not a JSON object") as caught:
        make(folder)
    assert caught.value.hint


def header(folder: Path, text: str, length: int | None = None, body: bytes = b"") -> None:
    raw = text.encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(raw) if length is None else length) + raw + body)


@pytest.mark.parametrize(
    ("text", "length", "said"),
    [
        ('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', None, "cut short: 8 of its bytes"),
        ('{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,0]}}', None, "damaged: its header gives a 0 bytes"),
        ('{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}', None, "its header cannot be read"),
        ('{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}', None, "damaged: its header gives a -8 bytes"),
        ('{"a":{"dtype":"F32","shape":"2","data_offsets":[0,8]}}', None, "its header cannot be read"),
        ('{"a":{"dtype":"F32","shape":[2]}}', None, "its header cannot be read"),
        ('{"a":3}', None, "its header cannot be read"),
        ('{"a":' + '{"a":' * 100_000, None, "its header cannot be read"),
        (f'{{"a":{{"dtype":"F7","shape":[{2**62},{2**62}],"data_offsets":[0,0]}}}}', None, "which is not its shape"),
        (f'{{"a":{{"dtype":"F7","shape":[{2**63}],"data_offsets":[0,0]}}}}', None, "its header cannot be read"),
        ('{"a":{"dtype":"F7","shape":[' + "9," * 99 + '9],"data_offsets":[0,0]}}', None, "its header cannot be read"),
        ("{}", 99_999_999, "ends inside its header"),
        ("{}", 100_000_001, "is not a safetensors file"),
        ("{}", 2**63, "is not a safetensors file"),
        ("version https://git-lfs.github.com/spec/v1", 0x206E6F6973726576, "is not a safetensors file"),
    ],
)
def test_weights_that_cannot_be_described_are_refused_with_the_reason(
    text: str, length: int | None, said: str, tmp_path: Path
) -> None:
    header(checkpoint(tmp_path, {}), text, length)
    with pytest.raises(CheckpointError, match=said) as caught:
        make(tmp_path)
    assert caught.value.hint


@pytest.mark.parametrize(
    "places", [{"a": (0, 4), "b": (0, 4)}, {"a": (4, 8)}, {"a": (0, 4), "b": (2, 6)}, {"a": (0, 2), "b": (4, 8)}]
)
def test_tensors_that_overlap_or_leave_a_gap_are_refused_as_by_safetensors(
    places: dict[str, tuple[int, int]], tmp_path: Path
) -> None:
    entries = {name: {"dtype": "U8", "shape": [e - b], "data_offsets": [b, e]} for name, (b, e) in places.items()}
    folder = checkpoint(tmp_path, {})
    header(folder, json.dumps(entries), body=b"8" * max(end for _, end in places.values()))
    with pytest.raises(CheckpointError, match="overlap or leave a gap"):
        make(folder)
    with pytest.raises(SafetensorError):
        deserialize((folder / "model.safetensors").read_bytes())


def test_a_git_lfs_pointer_is_not_described(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, {})
    (folder / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    with pytest.raises(CheckpointError, match="Git LFS pointer"):
        make(folder)


WORDS = """
text_config llm_config vision_config thinker_config max_position_embeddings image_size image_grid_pinpoints
max_dynamic_patch use_thumbnail size longest_edge shortest_edge max_pixels quantization_config quant_method bits
group_size config_groups weights num_bits quant_type default _type weight_block_size chat_template template
image_processor max_image_size max_patches force_image_size auto_map model_type num_crops
"""
KEYS = st.sampled_from(WORDS.split())
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.floats(allow_nan=False)
    | st.text(st.characters(), max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    architecture=st.sampled_from(
        ["qwen2-vl", "llava-next", "internvl", "idefics3", "mllama", "gemma3", "pixtral", "phi3-v", "x"]
    ),
    config=st.dictionaries(KEYS, JSON, max_size=6),
    processor=st.dictionaries(KEYS, JSON, max_size=6),
)
def test_settings_of_any_shape_give_a_manifest_and_never_a_crash(
    architecture: str, config: dict[str, Any], processor: dict[str, Any], tmp_path: Path
) -> None:
    """Values of strange types are taken as not said; what is said is in range."""
    classes = {known.name: (*known.classes, *known.original)[0] for known in KNOWN}
    named = {"architectures": [classes.get(architecture, "Other")]}
    folder = checkpoint(tmp_path, {})
    (folder / "config.json").write_text(json.dumps({**config, **named}))
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    (folder / "tokenizer_config.json").write_text(json.dumps(processor))
    try:
        made: Manifest = make(folder)
    except CheckpointError as error:  # a number beyond what JSON readers hold
        assert "JSON" in error.message
        return
    assert read_manifest(write_manifest(made, tmp_path / "out.json")) == made
    numbers = (made.context, made.image.min_pixels, made.image.max_pixels, made.image.max_tiles)
    assert all(number is None or number > 0 for number in numbers)
    assert made.parameters == sum(part.parameters for part in made.parts.values()) > 0
