"""Converted tensors are the original's, bit for bit, in the places where transformers' classes look for them."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from fourways.core.errors import CheckpointError, FourwaysError
from fourways.hub.convert import Options, convert
from fourways.hub.convert.check import check_written
from fourways.hub.convert.language_models import unpack_wqkv
from fourways.hub.convert.plan import Piece, Stored
from fourways.hub.convert.sources import SafetensorsShard
from fourways.hub.convert.writing import Cut, write_weights
from fourways.hub.weights import read_header

Tensors = dict[str, torch.Tensor]


def quiet(stage: str, done: int, total: int) -> None: ...


def tensors(folder: Path) -> Tensors:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(str(file)).items()}


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and bool((one == other).all())


def rebuilt_vision(new: Tensors, layer: int, kind: str) -> torch.Tensor:
    return torch.cat([new[f"vision_tower.encoder.layer.{layer}.attention.{part}_proj.{kind}"] for part in "qkv"])


def rebuilt_wqkv(new: Tensors, layer: int, heads: int, kv_heads: int, dim: int) -> torch.Tensor:
    """As InternLM2 packs it: each head of keys and values with its queries before it."""
    place = f"language_model.model.layers.{layer}.self_attn"
    q, k, v = (
        new[f"{place}.{part}_proj.weight"].view(-1, dim, new[f"{place}.q_proj.weight"].shape[1]) for part in "qkv"
    )
    groups = heads // kv_heads
    packed = [
        head for group in range(kv_heads) for head in (*q[group * groups : (group + 1) * groups], k[group], v[group])
    ]
    return torch.cat(packed)


@settings(deadline=None)
@given(groups=st.integers(1, 9), kv_heads=st.integers(1, 9), head_dim=st.integers(1, 16), width=st.integers(1, 3))
def test_packed_projections_come_apart_as_the_original_model_takes_them_apart(
    groups: int, kv_heads: int, head_dim: int, width: int
) -> None:
    heads = groups * kv_heads
    rows = (heads + 2 * kv_heads) * head_dim
    packed = torch.arange(rows * width).view(rows, width)
    parts = {
        name: torch.cat([packed[start:stop] for start, stop in cuts])
        for name, cuts in unpack_wqkv(rows, heads, kv_heads, head_dim).items()
    }
    hidden = torch.arange(5 * width).view(5, width)
    split = (hidden @ packed.T).view(5, kv_heads, groups + 2, head_dim)  # (tokens, groups, members, head_dim)
    assert same(hidden @ parts["q"].T, split[:, :, :groups].reshape(5, -1))
    assert same(hidden @ parts["k"].T, split[:, :, groups].reshape(5, -1))
    assert same(hidden @ parts["v"].T, split[:, :, groups + 1].reshape(5, -1))


def test_a_packed_projection_of_another_size_is_refused() -> None:
    with pytest.raises(CheckpointError, match="wqkv has 100 rows"):
        unpack_wqkv(100, 4, 2, 16)


@pytest.mark.parametrize("language", ["internlm2", "qwen2", "phi3", "llama"])
def test_every_tensor_of_an_internvl_arrives_once_and_whole(
    language: str, tmp_path: Path, originals: ModuleType
) -> None:
    folder = originals.internvl(tmp_path / "m", language)
    old, new = tensors(folder), tensors(convert(folder, None, Options(), quiet).folder)
    dim = originals.WIDTH // originals.HEADS
    numbers = sum(t.numel() for name, t in old.items() if "inv_freq" not in name)
    extra = 2 * originals.WIDTH  # one more token, <video>: a row of the embedding and one of the output layer
    assert sum(tensor.numel() for tensor in new.values()) == numbers + extra
    for layer in range(originals.LAYERS):
        for kind in ("weight", "bias"):
            assert same(rebuilt_vision(new, layer, kind), old[f"vision_model.encoder.layers.{layer}.attn.qkv.{kind}"])
        if language == "internlm2":
            packed = rebuilt_wqkv(new, layer, originals.HEADS, originals.KV_HEADS, dim)
            assert same(packed, old[f"language_model.model.layers.{layer}.attention.wqkv.weight"])
    output = "language_model.output.weight" if language == "internlm2" else "language_model.lm_head.weight"
    assert same(new["language_model.lm_head.weight"][:-1], old[output])
    assert same(new["multi_modal_projector.linear_2.bias"], old["mlp1.3.bias"])
    assert same(new["vision_tower.encoder.layer.1.lambda_2"], old["vision_model.encoder.layers.1.ls2"])


def test_a_new_token_scores_as_the_token_it_copies(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "internlm2")
    settings = json.loads((folder / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    start = next(int(index) for index, entry in settings.items() if entry["content"] == "<img>")
    head = tensors(convert(folder, None, Options(), quiet).folder)["language_model.lm_head.weight"]
    assert same(head[-1], head[start])


@pytest.mark.parametrize("language", ["llama", "mistral"])
@pytest.mark.parametrize("tower", [True, False])
def test_every_tensor_of_a_llava_arrives_once_and_whole(
    language: str, tower: bool, tmp_path: Path, originals: ModuleType
) -> None:
    folder, clip = originals.llava(tmp_path / "m", language, tower=tower)
    old, new = tensors(folder), tensors(convert(folder, None, Options(vision_tower=clip), quiet).folder)
    for name, tensor in tensors(clip).items():
        if name.startswith("vision_model.") and not name.endswith("position_ids"):
            assert same(new[f"vision_tower.{name}"], tensor)
    for name, tensor in old.items():
        if name.startswith("model.layers."):
            assert same(new[f"language_model.{name}"], tensor)
    rows = old["lm_head.weight"].shape[0]
    assert new["language_model.lm_head.weight"].shape[0] % 64 == 0
    assert same(new["language_model.lm_head.weight"][:rows], old["lm_head.weight"])
    assert same(new["image_newline"], old["model.image_newline"])
    assert same(new["multi_modal_projector.linear_1.weight"], old["model.mm_projector.0.weight"])


def test_a_tensor_that_no_rule_knows_is_named_and_nothing_is_written(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2", shards=1)
    found = tensors(folder)
    found["language_model.model.layers.0.self_attn.q_proj.qweight"] = torch.zeros(4, 4, dtype=torch.int32)
    found["extra.thing"] = torch.zeros(3)
    save_file(found, str(folder / "model.safetensors"))
    with pytest.raises(CheckpointError, match=r"2 tensor\(s\) .*extra.thing \[3\].*q_proj.qweight \[4, 4\]"):
        convert(folder, None, Options(), quiet)
    assert [place.name for place in tmp_path.iterdir()] == ["m"]


def test_a_message_stays_short_whatever_a_header_holds(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2", shards=1)
    names = {f"extra.{number}": torch.zeros(1) for number in range(500)}
    save_file(tensors(folder) | names, str(folder / "model.safetensors"))
    with pytest.raises(CheckpointError, match=r"500 tensor\(s\).*…") as error:
        convert(folder, None, Options(), quiet)
    assert len(error.value.message) < 1000


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda found: found.pop("mlp1.1.bias"), "missing"),
        (lambda found: found.update({"mlp1.1.bias": torch.zeros(7)}), "mismatched"),
        (lambda found: found.pop("language_model.lm_head.weight"), "lacks language_model.lm_head.weight"),
    ],
)
def test_a_checkpoint_that_lacks_something_is_refused(
    change: object, word: str, tmp_path: Path, originals: ModuleType
) -> None:
    folder = originals.internvl(tmp_path / "m", "llama", shards=1)
    found = tensors(folder)
    assert callable(change)
    change(found)
    save_file(found, str(folder / "model.safetensors"))
    with pytest.raises(FourwaysError, match=word):
        convert(folder, None, Options(), quiet)
    assert [place.name for place in tmp_path.iterdir()] == ["m"]


def test_the_check_sees_a_token_beyond_the_embedding(tmp_path: Path, originals: ModuleType) -> None:
    folder = convert(originals.internvl(tmp_path / "m", "qwen2"), None, Options(), quiet).folder
    check_written(folder, "<IMG_CONTEXT>")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    last = max(tokenizer["added_tokens"], key=lambda token: int(token["id"]))
    tokenizer["added_tokens"].append(last | {"id": last["id"] + 1, "content": "<one more>"})
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(CheckpointError, match=r"1 token.*<one more>"):
        check_written(folder, "<IMG_CONTEXT>")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_rows_are_cut_in_every_dtype_as_torch_cuts_them(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    dtype = data.draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float16, torch.int64, torch.uint8]))
    shape = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    tensor = torch.randint(0, 200, shape).to(dtype)
    ends = st.tuples(st.integers(0, shape[0] - 1), st.integers(1, shape[0])).filter(lambda cut: cut[0] < cut[1])
    rows = tuple(data.draw(st.lists(ends, min_size=1, max_size=4)))
    where = tmp_path_factory.mktemp("cut")
    save_file({"a": tensor, "b": torch.zeros(3)}, str(where / "old.safetensors"))
    shard = SafetensorsShard(where / "old.safetensors")
    written: list[int] = []
    write_weights(where, [[Cut(shard, "a", Piece("c", rows)), Cut(shard, "b", Piece("d"))]], written.append)
    new = load_file(str(where / "model.safetensors"))
    assert same(new["c"], torch.cat([tensor[start:stop] for start, stop in rows]))
    assert sum(written) == sum(t.numel() * t.itemsize for t in new.values())
    assert set(read_header(where / "model.safetensors")) == {"c", "d"}


def test_a_cut_outside_a_tensor_is_refused() -> None:
    with pytest.raises(CheckpointError, match="cannot be cut"):
        Piece("a", ((0, 5),)).of(Stored("F32", (4, 2)))
