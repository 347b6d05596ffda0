"""A checkpoint is read whole or refused with one clear line; random weights have its shape and nothing else."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import torch
from safetensors.torch import load_file, save_file

from fourways.core.candidate import Checkpoint
from fourways.core.conversation import Conversation
from fourways.core.errors import CheckpointError
from fourways.families.contract import Family
from fourways.families.registry import find_family
from fourways.families.testing import embedded, greedy, noise_image

ALL = ("qwen2", "qwen2_5", "qwen3", "llava", "internvl")


def load(checkpoint: Checkpoint, **settings: str) -> Family:
    options = {"dtype": "float32", "device": "cpu"} | settings
    return find_family(checkpoint.architecture).load(checkpoint, **options)  # type: ignore[arg-type]  # literals by test


@pytest.fixture
def copy(checkpoints: dict[str, Checkpoint], tmp_path: Path) -> Callable[[str], Checkpoint]:
    def make(name: str) -> Checkpoint:
        folder = shutil.copytree(checkpoints[name].folder, tmp_path / name)
        return msgspec.structs.replace(checkpoints[name], folder=folder)

    return make


@pytest.mark.parametrize("name", ALL)
def test_a_truncated_file_is_called_damaged(name: str, copy: Callable[[str], Checkpoint]) -> None:
    checkpoint = copy(name)
    file = checkpoint.folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1000])
    with pytest.raises(CheckpointError, match=r"model\.safetensors .* damaged") as error:
        load(checkpoint)
    assert error.value.hint
    assert "\n" not in error.value.message


def test_garbage_is_called_damaged(copy: Callable[[str], Checkpoint]) -> None:
    checkpoint = copy("llava")
    (checkpoint.folder / "model.safetensors").write_bytes(b"\xff" * 4096)
    with pytest.raises(CheckpointError, match="damaged"):
        load(checkpoint)


def test_a_missing_shard_is_named(copy: Callable[[str], Checkpoint]) -> None:
    checkpoint = copy("qwen2_5")
    weights = load_file(checkpoint.folder / "model.safetensors")
    (checkpoint.folder / "model.safetensors").unlink()
    names = sorted(weights)
    shards = {"a.safetensors": names[:20], "b.safetensors": names[20:]}
    for shard, held in shards.items():
        save_file({n: weights[n] for n in held}, checkpoint.folder / shard, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {n: shard for shard, held in shards.items() for n in held}}
    (checkpoint.folder / "model.safetensors.index.json").write_text(json.dumps(index))
    load(checkpoint)
    (checkpoint.folder / "b.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"b\.safetensors is missing"):
        load(checkpoint)


def test_an_index_cannot_point_outside_its_folder(copy: Callable[[str], Checkpoint], tmp_path: Path) -> None:
    checkpoint = copy("internvl")
    shutil.move(checkpoint.folder / "model.safetensors", tmp_path / "outside.safetensors")
    index = {"weight_map": {"lm_head.weight": "../outside.safetensors"}}
    (checkpoint.folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match="outside the folder"):
        load(checkpoint)


def test_a_missing_tensor_is_named_and_never_drawn_at_random(copy: Callable[[str], Checkpoint]) -> None:
    checkpoint = copy("internvl")
    file = checkpoint.folder / "model.safetensors"
    weights = load_file(file)
    lost = next(name for name in sorted(weights) if "q_proj" in name)
    del weights[lost]
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lacks 1 tensor"):
        load(checkpoint)


def test_a_tensor_of_another_shape_is_refused(copy: Callable[[str], Checkpoint]) -> None:
    checkpoint = copy("qwen2")
    file = checkpoint.folder / "model.safetensors"
    weights = load_file(file)
    name = next(n for n in sorted(weights) if "q_proj.weight" in n)
    weights[name] = weights[name][:-1].clone()
    save_file(weights, file, metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"1 tensor.* other shapes .* stored") as caught:
        load(checkpoint)
    assert caught.value.fault == "weights.shape"


def test_pickled_weights_are_never_opened(copy: Callable[[str], Checkpoint]) -> None:
    checkpoint = copy("llava")
    (checkpoint.folder / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="no weights"):
        load(checkpoint)
    (checkpoint.folder / "pytorch_model.bin").write_bytes(b"cos\nsystem\n(S'touch /tmp/never'\ntR.")
    with pytest.raises(CheckpointError, match="pickled"):
        load(checkpoint)


@pytest.mark.parametrize("lost", ["tokenizer.json", "preprocessor_config.json"])
def test_a_missing_companion_file_is_named(lost: str, copy: Callable[[str], Checkpoint]) -> None:
    checkpoint = copy("qwen3")
    (checkpoint.folder / lost).unlink()
    with pytest.raises(CheckpointError) as error:
        load(checkpoint)
    assert lost.split(".")[0] in f"{error.value.message} {error.value.hint}"


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("qwen3", "preprocessor_config.json", '{"size": {"height": 5}}'),
        ("qwen3", "video_preprocessor_config.json", "[1, 2"),
        ("internvl", "preprocessor_config.json", '{"size": {"height": 448, "width": 448}}'),
        ("llava", "preprocessor_config.json", '{"size": {"shortest_edge": 336}}'),
        ("llava", "preprocessor_config.json", "not JSON"),
        ("internvl", "tokenizer.json", "{}"),
        ("internvl", "model.safetensors.index.json", "[]"),
    ],
)
def test_an_unfit_companion_file_gives_one_line_and_a_hint(
    name: str, file: str, text: str, copy: Callable[[str], Checkpoint]
) -> None:
    checkpoint = copy(name)
    (checkpoint.folder / file).write_text(text)
    with pytest.raises(CheckpointError) as error:
        load(checkpoint)
    assert error.value.hint
    assert "\n" not in error.value.message


def test_an_unfit_config_gives_one_line_and_a_hint(checkpoints: dict[str, Checkpoint]) -> None:
    for name, changed in (("qwen2", {"text_config": 5}), ("llava", {"image_grid_pinpoints": [[1, 2]]})):
        checkpoint = checkpoints[name]
        with pytest.raises(CheckpointError) as error:
            load(msgspec.structs.replace(checkpoint, config=checkpoint.config | changed, random_weights=True))
        assert error.value.hint
        assert "\n" not in error.value.message


def test_a_tokenizer_of_another_model_is_refused(copy: Callable[[str], Checkpoint]) -> None:
    checkpoint = copy("internvl")
    checkpoint = msgspec.structs.replace(checkpoint, config=checkpoint.config | {"image_token_id": 5})
    config = json.loads((checkpoint.folder / "config.json").read_text()) | {"image_token_id": 5}
    (checkpoint.folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="control token"):
        load(checkpoint)


def test_an_answer_ends_where_generation_config_says_and_else_where_the_tokenizer_says(
    copy: Callable[[str], Checkpoint],
) -> None:
    checkpoint = copy("qwen2_5")
    for settings, expected in (({"eos_token_id": [265, 263]}, (265, 263)), ({"eos_token_id": 7}, (7,)), ({}, (265,))):
        (checkpoint.folder / "generation_config.json").write_text(json.dumps(settings))
        assert load(checkpoint).spec.eos_token_ids == expected


def test_a_sliding_window_bounds_the_context(checkpoints: dict[str, Checkpoint]) -> None:
    checkpoint = checkpoints["llava"]
    text = checkpoint.config["text_config"] | {"model_type": "mistral", "sliding_window": 512}
    windowed = msgspec.structs.replace(
        checkpoint, config=checkpoint.config | {"text_config": text}, random_weights=True
    )
    assert load(checkpoint).spec.context == 4096
    assert load(windowed).spec.context == 512


# -- random weights --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_random_weights_need_no_file_and_answer_without_nan(
    name: str, dtype: str, copy: Callable[[str], Checkpoint]
) -> None:
    checkpoint = msgspec.structs.replace(copy(name), random_weights=True)
    (checkpoint.folder / "model.safetensors").unlink()
    family = load(checkpoint, dtype=dtype)
    assert {p.dtype for p in family.module.parameters()} == {getattr(torch, dtype)}
    conversation = Conversation.ask("Describe it.", noise_image(120, 90))
    _, prompt = embedded(family, conversation)
    assert bool(torch.isfinite(prompt.embeds).all())
    tokens, gaps = greedy(family, conversation, 4)
    assert tokens
    assert all(gap >= 0 for gap in gaps)


@pytest.mark.parametrize("name", ALL)
def test_random_weights_have_the_shapes_and_buffers_of_trained_ones(
    name: str, checkpoints: dict[str, Checkpoint], families: dict[str, Family]
) -> None:
    drawn = load(msgspec.structs.replace(checkpoints[name], random_weights=True)).module
    trained = families[name].module
    assert {n: p.shape for n, p in drawn.named_parameters()} == {n: p.shape for n, p in trained.named_parameters()}
    buffers = dict(trained.named_buffers())
    assert buffers.keys() == dict(drawn.named_buffers()).keys()
    for buffer_name, buffer in drawn.named_buffers():
        assert torch.equal(buffer, buffers[buffer_name]), buffer_name


def test_random_weights_are_the_same_each_time(checkpoints: dict[str, Checkpoint]) -> None:
    checkpoint = msgspec.structs.replace(checkpoints["qwen2_5"], random_weights=True)
    first, second = (dict(load(checkpoint).module.named_parameters()) for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_unit_keys_tell_weights_and_dtypes_apart(checkpoints: dict[str, Checkpoint]) -> None:
    checkpoint = checkpoints["internvl"]
    image = noise_image(120, 90)
    variants = [
        load(checkpoint),
        load(checkpoint, dtype="bfloat16"),
        load(msgspec.structs.replace(checkpoint, random_weights=True)),
        load(msgspec.structs.replace(checkpoint, sha256={"model.safetensors": "00"})),
    ]
    keys = [family.layout(Conversation.ask("?", image)).visuals[0].unit_keys for family in variants]
    assert len(set(keys)) == len(keys)
