"""Each kind of broken checkpoint gets its own diagnosis: a copy of an embedded model with one fault."""

from __future__ import annotations

import asyncio
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from fourways import zoo
from fourways.compare.health import KINDS, Limits, ModelHealth
from fourways.compare.health.examination import Examination
from fourways.compare.health.local import check_local
from fourways.compare.health.reading import Reading
from fourways.compare.health.target import LocalTarget
from fourways.compare.health.values import check_values
from fourways.core.candidate import Candidate
from fourways.core.manifest import MANIFEST_FILE
from fourways.hub.manifest import fill, make, write_manifest

Break = Callable[[Path], None]
WEIGHTS = "model.safetensors"
PATIENT = Limits(slow_first_ms=1e6, slow_token_ms=1e6)
"""A crowded machine makes every model slow."""
INDEX = "model.safetensors.index.json"


def check(folder: Path, **target: Any) -> ModelHealth:
    one = LocalTarget(Candidate("model", model=str(folder), threads=1), folder, **target)
    return asyncio.run(check_local(one, PATIENT, Examination("model", str(folder), "local", lambda _: None)))


def grave(health: ModelHealth) -> list[str]:
    return [found.code for found in health.findings if found.grade == "broken"]


# -- ways to break a checkpoint ----------------------------------------------------------------------------------------
def edit(name: str, **values: Any) -> Break:
    """Sets keys of a JSON file; `a__b` is b inside a."""

    def broken(folder: Path) -> None:
        whole = json.loads((folder / name).read_bytes())
        for key, value in values.items():
            *path, last = key.split("__")
            place = whole
            for part in path:
                place = place[part]
            place[last] = value
        (folder / name).write_text(json.dumps(whole))

    return broken


def tensors(change: Callable[[dict[str, Tensor]], None]) -> Break:
    def broken(folder: Path) -> None:
        held = load_file(folder / WEIGHTS)
        change(held)
        save_file({name: tensor.contiguous() for name, tensor in held.items()}, folder / WEIGHTS, {"format": "pt"})

    return broken


def remove(name: str) -> Break:
    return lambda folder: (folder / name).unlink()


def write(name: str, content: bytes) -> Break:
    return lambda folder: (folder / name).write_bytes(content) and None


def truncated(folder: Path) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[: len(whole) * 2 // 3])


def sharded(folder: Path) -> dict[str, str]:
    held = load_file(folder / WEIGHTS)
    places = {name: f"model-0000{1 + i % 2}-of-00002.safetensors" for i, name in enumerate(sorted(held))}
    for shard in set(places.values()):
        save_file({n: t for n, t in held.items() if places[n] == shard}, folder / shard, {"format": "pt"})
    (folder / WEIGHTS).unlink()
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return places


def shard_lost(folder: Path) -> None:
    (folder / sorted(set(sharded(folder).values()))[0]).unlink()


def index_lies(folder: Path) -> None:
    places = sharded(folder)
    places["model.layers.77.mlp.up_proj.weight"] = next(iter(places.values()))
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))


def hole_in_one(held: dict[str, Tensor]) -> None:
    matrix = held[language(held)[5]]
    matrix[len(matrix) // 2 :] = 0


def no_beginning(folder: Path) -> None:
    file = folder / "chat_template.jinja"
    file.write_text(file.read_text().replace("add_generation_prompt", "false"))


def token_lost(name: str) -> Break:
    def broken(folder: Path) -> None:
        whole = json.loads((folder / "tokenizer.json").read_bytes())
        whole["added_tokens"] = [one for one in whole["added_tokens"] if one["content"] != name]
        (folder / "tokenizer.json").write_text(json.dumps(whole))

    return broken


def pickled(folder: Path) -> None:
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")


def language(held: dict[str, Tensor]) -> list[str]:
    return [name for name in held if "layers." in name and held[name].ndim == 2 and "vision" not in name]


def one_nan(held: dict[str, Tensor]) -> None:
    held[language(held)[7]][3, 5] = torch.nan


def hole(held: dict[str, Tensor]) -> None:
    for name in language(held)[9:13]:
        held[name].zero_()


def shuffled(held: dict[str, Tensor]) -> None:
    draw = torch.Generator().manual_seed(1)
    for name, tensor in held.items():
        held[name] = tensor.reshape(-1)[torch.randperm(tensor.numel(), generator=draw)].reshape(tensor.shape)


def shuffled_layers(held: dict[str, Tensor]) -> None:
    """The embedding stays whole, so the tokenizer can be seen to fit."""
    draw = torch.Generator().manual_seed(1)
    for name in language(held):
        held[name] = (
            held[name].reshape(-1)[torch.randperm(held[name].numel(), generator=draw)].reshape(held[name].shape)
        )


def loud(held: dict[str, Tensor]) -> None:
    draw = torch.Generator().manual_seed(1)
    for name in language(held):
        held[name].normal_(0, 0.5, generator=draw)


def overflowing(held: dict[str, Tensor]) -> None:
    """Each number is finite; their sums are not."""
    for name in language(held):
        held[name] *= 1e37


def untrained(held: dict[str, Tensor]) -> None:
    draw = torch.Generator().manual_seed(1)
    for name, tensor in held.items():
        if tensor.ndim == 1:
            tensor.fill_(1.0 if name.endswith("weight") else 0.0)
        else:
            tensor.normal_(0, 0.02, generator=draw)


def tensor_lost(held: dict[str, Tensor]) -> None:
    del held[language(held)[4]]


def dead_connector(held: dict[str, Tensor]) -> None:
    """So small that no bit of it survives beside the bias, and not zero."""
    for name in held:
        if ("merger.mlp.2" in name or "projector.linear_2" in name) and name.endswith("weight"):
            held[name].fill_(1e-30)


def vocabulary(order: Callable[[list[int]], list[int]]) -> Break:
    """The same words under other ids; control tokens keep theirs."""

    def broken(folder: Path) -> None:
        whole = json.loads((folder / "tokenizer.json").read_bytes())
        control = {token["content"] for token in whole["added_tokens"]}
        held = whole["model"]["vocab"]
        words = [word for word in held if word not in control]
        ids = order([held[word] for word in words])
        whole["model"]["vocab"] = {
            **{w: i for w, i in held.items() if w in control},
            **dict(zip(words, ids, strict=True)),
        }
        (folder / "tokenizer.json").write_text(json.dumps(whole))

    return broken


def mixed(ids: list[int]) -> list[int]:
    random.Random(3).shuffle(ids)
    return ids


def too_many_words(folder: Path) -> None:
    whole = json.loads((folder / "tokenizer.json").read_bytes())
    whole["model"]["vocab"]["unheard"] = 775
    (folder / "tokenizer.json").write_text(json.dumps(whole))


def changed_after_manifest(folder: Path) -> None:
    write_manifest(fill(make(folder, lambda _: None), folder, lambda *_: None), folder)
    settings = folder / "processor_config.json"
    settings.write_bytes(settings.read_bytes() + b" ")


def lost_after_manifest(folder: Path) -> None:
    write_manifest(fill(make(folder, lambda _: None), folder, lambda *_: None), folder)
    (folder / "video_preprocessor_config.json").unlink()


def template(text: str) -> Break:
    return write("chat_template.jinja", text.encode())


NO_PICTURES = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% for c in m['content'] %}{% if c['type'] == 'text' %}"
    "{{ c['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
)
NO_TEXT = "{% for m in messages %}<|im_start|>{{ m['role'] }}\n<|im_end|>\n{% endfor %}<|im_start|>assistant\n"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 6463624\n"

BROKEN: list[tuple[str, str, str, Break]] = [
    ("weights.truncated", "qwen", "a cut file", truncated),
    ("weights.truncated", "llava", "a cut file", truncated),
    ("weights.missing-shard", "internvl", "a lost shard", shard_lost),
    ("index.lies", "qwen", "a tensor only in the index", index_lies),
    ("index.lies", "llava", "an index without a map", write(INDEX, b"{}")),
    ("lfs-pointer", "internvl", "a pointer", write(WEIGHTS, POINTER)),
    ("pickle-only", "llava", "pickled weights", pickled),
    ("weights.missing", "qwen", "no weights", remove(WEIGHTS)),
    ("weights.damaged", "internvl", "a web page in place of the weights", write(WEIGHTS, b"<html>" * 9)),
    ("weights.nan", "qwen", "one NaN", tensors(one_nan)),
    ("weights.nan", "llava", "one NaN", tensors(one_nan)),
    ("weights.zeros", "internvl", "a hole", tensors(hole)),
    ("weights.untrained", "qwen", "initial weights", tensors(untrained)),
    ("weights.shape", "llava", "another width", edit("config.json", text_config__intermediate_size=360)),
    ("weights.shape", "internvl", "another width", edit("config.json", text_config__intermediate_size=360)),
    ("weights.missing-tensor", "qwen", "a lost tensor", tensors(tensor_lost)),
    ("weights.garbage", "qwen", "shuffled numbers", tensors(shuffled)),
    ("weights.garbage", "llava", "shuffled layers", tensors(shuffled_layers)),
    ("weights.garbage", "internvl", "loud noise in the layers", tensors(loud)),
    ("scores.not-finite", "qwen", "numbers that overflow", tensors(overflowing)),
    ("tokenizer.missing", "llava", "no tokenizer", remove("tokenizer.json")),
    ("tokenizer.damaged", "qwen", "half a tokenizer", write("tokenizer.json", b'{"model": ')),
    ("tokenizer.vocabulary", "qwen", "a word too many", too_many_words),
    ("tokenizer.wrong", "qwen", "words under other ids", vocabulary(mixed)),
    ("tokenizer.wrong", "internvl", "words under other ids", vocabulary(mixed)),
    ("tokenizer.wrong", "llava", "ids off by one", vocabulary(lambda ids: ids[1:] + ids[:1])),
    ("template.missing", "qwen", "no template", remove("chat_template.jinja")),
    ("template.missing", "internvl", "no template", remove("chat_template.jinja")),
    ("template.wrong", "qwen", "a template without pictures", template(NO_PICTURES)),
    ("template.wrong", "llava", "a template without texts", template(NO_TEXT)),
    ("template.wrong", "internvl", "a template that is none", template("{% for m in messages %}")),
    ("image-token.wrong", "qwen", "the clip's token", edit("config.json", image_token_id=769)),
    ("image-token.wrong", "llava", "another family's token", edit("config.json", image_token_index=768)),
    ("image-token.wrong", "internvl", "an ordinary token", edit("config.json", image_token_id=5)),
    ("config.missing", "qwen", "no config", remove("config.json")),
    ("config.invalid", "llava", "half a config", write("config.json", b'{"architectures": ')),
    ("config.invalid", "qwen", "no architecture", edit("config.json", architectures=[])),
    ("architecture.unknown", "internvl", "an unknown class", edit("config.json", architectures=["ResNet"])),
    ("preprocessor.invalid", "llava", "no image settings", remove("preprocessor_config.json")),
    ("ending.wrong", "qwen", "an ordinary word as the end", edit("generation_config.json", eos_token_id=300)),
    ("ending.wrong", "llava", "no token as the end", edit("generation_config.json", eos_token_id=[99999])),
    ("template.wrong", "internvl", "prompts that begin no reply", no_beginning),
    ("template.wrong", "llava", "a template that fails", template("{{ 1 // 0 }}")),
    ("tokenizer.wrong", "qwen", "a control token lost", token_lost("<|im_end|>")),
    ("image-token.wrong", "llava", "the picture's token lost", token_lost("<image>")),
    ("preprocessor.invalid", "qwen", "no spread", edit("preprocessor_config.json", image_std=[0, 0, 0])),
    ("preprocessor.invalid", "llava", "other tiles", edit("preprocessor_config.json", size={"shortest_edge": 84})),
    ("config.invalid", "internvl", "half a generation config", write("generation_config.json", b'{"eos')),
    ("weights.shape", "qwen", "fewer words", edit("config.json", text_config__vocab_size=700)),
    ("architecture.unknown", "internvl", "another layout", edit("config.json", architectures=["InternVLChatModel"])),
    ("files.changed", "internvl", "a file changed since", changed_after_manifest),
    ("files.missing", "qwen", "a file lost since", lost_after_manifest),
    ("manifest.invalid", "llava", "a manifest that is none", write(MANIFEST_FILE, b"{}")),
    ("vision.blind", "qwen", "a dead connector", tensors(dead_connector)),
    ("vision.blind", "llava", "a dead connector", tensors(dead_connector)),
]  # fmt: skip


@pytest.mark.parametrize(("code", "name", "how", "broken"), BROKEN, ids=[f"{c}-{n}-{h}" for c, n, h, _ in BROKEN])
def test_a_broken_checkpoint_gets_its_own_diagnosis_and_no_other(
    tmp_path: Path, code: str, name: str, how: str, broken: Break
) -> None:
    folder = shutil.copytree(zoo.checkpoint(name), tmp_path / "model")
    broken(folder)
    health = check(folder)
    assert grave(health) == [code], health
    assert health.verdict == "broken"
    told = next(found for found in health.findings if found.code == code)
    assert told.message and told.hint


def test_at_least_twelve_kinds_are_made_in_these_tests_each_with_a_code_of_the_catalogue() -> None:
    codes = {code for code, *_ in BROKEN}
    assert len(codes) >= 12 and codes <= {kind.code for kind in KINDS}
    assert {name for _, name, *_ in BROKEN} == set(zoo.NAMES)


@pytest.mark.parametrize("name", zoo.NAMES)
def test_an_embedded_model_is_well(name: str) -> None:
    health = check(zoo.checkpoint(name))
    assert health.verdict == "well" and not health.findings
    assert {probe.status for probe in health.probes if probe.name != "files"} == {"ok"}
    assert all(probe.ms is not None for probe in health.probes if probe.name != "files")


def test_layers_that_config_json_leaves_out_are_suspect(tmp_path: Path) -> None:
    folder = shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "model")
    edit("config.json", text_config__num_hidden_layers=4)(folder)
    assert next(found.code for found in check(folder).findings) == "config.layers"


@pytest.mark.parametrize(
    ("code", "broken"),
    [("weights.hole", tensors(hole_in_one)), ("ending.unlike", edit("generation_config.json", eos_token_id=764))],
)
def test_what_may_be_meant_is_suspect_and_not_broken(tmp_path: Path, code: str, broken: Break) -> None:
    folder = shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "model")
    broken(folder)
    health = check(folder)
    assert health.findings[0].code == code and not grave(health)


def test_what_checkpoints_keep_beside_their_weights_is_no_fault(tmp_path: Path) -> None:
    """Masks of minus infinity, zero points of a quantisation, padded rows of a vocabulary, pruned rows."""
    draw = torch.Generator().manual_seed(1)
    matrix = torch.randn(64, 64, generator=draw)
    matrix[::2] = 0
    table = torch.randn(64, 8, generator=draw)
    table[40:] = 0
    held = {
        "layers.0.attn.masked_bias": torch.full((16, 16), -torch.inf).triu(1),
        "layers.0.up_proj.weight_zero_point": torch.zeros(64, 64),
        "layers.0.up_proj.weight": matrix,
        "embed_tokens.weight": table,
        "layers.0.down_proj.weight": torch.randn(32, 32, generator=draw).to(torch.float8_e4m3fn),
        "layers.0.gate_proj.weight": torch.zeros(32, 32, dtype=torch.int8),
    }
    save_file(held, tmp_path / WEIGHTS)
    assert check_values(tmp_path, Reading(lambda _: None)).findings == ()


def test_a_quantisation_that_nothing_here_loads_is_no_fault_of_the_model(tmp_path: Path) -> None:
    folder = shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "model")
    edit("config.json", quantization_config={"quant_method": "awq", "bits": 4, "group_size": 128})(folder)
    health = check(folder)
    assert health.verdict == "unanswered" and [found.code for found in health.findings] == ["load.unsupported"]


def test_ids_that_are_off_by_one_are_called_so(tmp_path: Path) -> None:
    folder = shutil.copytree(zoo.checkpoint("internvl"), tmp_path / "model")
    vocabulary(lambda ids: ids[1:] + ids[:1])(folder)
    (found,) = check(folder).findings
    assert "off by" in found.message


def test_a_broken_vision_tower_is_no_worse_than_suspect(tmp_path: Path) -> None:
    """The text is answered as ever; that the pictures make no sense shows only in the scores."""

    def noise(held: dict[str, Tensor]) -> None:
        draw = torch.Generator().manual_seed(1)
        for name, tensor in held.items():
            if name.startswith("visual.blocks") and tensor.ndim == 2:
                held[name] = tensor.reshape(-1)[torch.randperm(tensor.numel(), generator=draw)].reshape(tensor.shape)

    folder = shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "model")
    tensors(noise)(folder)
    assert [found.code for found in check(folder).findings] == ["vision.weak"]


def test_norms_at_one_under_a_trained_embedding_are_no_sign_of_missing_training(tmp_path: Path) -> None:
    """Some quantisations begin by multiplying the norms' scales into the next matrices."""

    def fold(held: dict[str, Tensor]) -> None:
        for name in [name for name in held if name.endswith("norm.weight")]:
            held[name] = torch.ones_like(held[name])

    folder = shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "model")
    tensors(fold)(folder)
    assert check_values(folder, Reading(lambda _: None)).findings == ()
    tensors(untrained)(folder)
    assert [found.code for found in check_values(folder, Reading(lambda _: None)).findings] == ["weights.untrained"]
