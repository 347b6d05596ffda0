"""A manifest says what the files say, and nothing that they do not."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from safetensors.numpy import save_file

from fourways import zoo
from fourways.core.boxes import BoxFormat
from fourways.core.errors import CheckpointError
from fourways.core.family import FamilyCard
from fourways.core.manifest import Conversion, ImageLimits, ManifestFile, PartSize, identity_of
from fourways.families.registry import registered
from fourways.hub import look, shipped_configs
from fourways.hub.manifest import fill, filled, make, read_manifest, write_manifest

LLAVA = "LlavaNextForConditionalGeneration"
TENSORS = {
    "vision_tower.a.weight": (4, 4),
    "multi_modal_projector.linear_1.weight": (4, 8),
    "language_model.model.embed_tokens.weight": (32, 8),
    "language_model.model.layers.0.mlp.up_proj.weight": (8, 8),
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOURWAYS_CACHE", str(tmp_path_factory.mktemp("cache")))


def checkpoint(folder: Path, config: dict[str, Any], dtype: type = np.float16, **files: Any) -> Path:
    """A whole, tiny checkpoint. files: name without .json → content."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps({"architectures": [LLAVA], **config}))
    (folder / "tokenizer.json").write_text("{}")
    save_file({name: np.zeros(shape, dtype) for name, shape in TENSORS.items()}, folder / "model.safetensors")
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


@pytest.mark.parametrize("name", zoo.NAMES)
def test_an_embedded_model_is_described_in_every_field(name: str) -> None:
    folder = zoo.checkpoint(name)
    made = fill(make(folder), folder)
    seen = look(folder)
    assert made.architecture_class == seen.architecture
    assert seen.architecture in registered().families[made.family_entry_point or ""].card.architectures
    assert {file.name: file.sha256 for file in made.files} == seen.sha256
    assert (made.hashes, made.identity) == ("complete", identity_of(made.files))
    assert made.weight_dtype == "fp32"
    assert made.context == 4096
    assert made.licence == "apache-2.0"
    assert made.chat_template_sha256 == seen.sha256["chat_template.jinja"]
    assert list(made.requires) == ["transformers"]
    assert (made.quantization, made.source, made.revision, made.converted) == (None, None, None, None)


@pytest.mark.parametrize("name", zoo.NAMES)
def test_image_limits_are_those_that_the_family_counts_by(name: str) -> None:
    """The family's own counter, asked about pictures of many shapes; thin strips go beyond the bounds."""
    folder = zoo.checkpoint(name)
    made = make(folder)
    counter = registered().families[made.family_entry_point or ""].counter(look(folder))
    sizes = [(w, h) for w in (1, 20, 56, 100, 333, 1000, 5000) for h in (1, 20, 56, 100, 333, 1000, 5000)]
    shapes = [counter.image(w, h) for w, h in sizes if max(w, h) / min(w, h) < 20]
    if made.image.max_tiles is not None:
        assert max(shape.tiles for shape in shapes) == made.image.max_tiles
    else:
        pixels = [shape.seen[0] * shape.seen[1] for shape in shapes]
        assert made.image.min_pixels is not None and made.image.max_pixels is not None
        assert made.image.min_pixels <= min(pixels) and max(pixels) <= made.image.max_pixels
        assert max(pixels) > 0.8 * made.image.max_pixels


@pytest.mark.parametrize(
    ("name", "context", "image"),
    [
        ("Qwen2.5-VL-7B-Instruct", 128_000, ImageLimits(3136, 12_845_056)),
        ("Qwen3-VL-8B-Instruct", 262_144, ImageLimits(65_536, 16_777_216)),
        ("llava-v1.6-mistral-7b-hf", 32_768, ImageLimits(tile=(336, 336), max_tiles=5)),
        ("InternVL3-8B-hf", 32_768, ImageLimits(tile=(448, 448), max_tiles=13)),
    ],
)
def test_the_published_sizes_have_their_published_limits(
    name: str, context: int, image: ImageLimits, tmp_path: Path
) -> None:
    shipped = shipped_configs()[name]
    settings_ = json.loads((shipped / "preprocessor_config.json").read_text())
    folder = checkpoint(tmp_path, json.loads((shipped / "config.json").read_text()), preprocessor_config=settings_)
    made = make(folder)
    assert (made.context, made.image) == (context, image)


def test_parts_are_counted_by_name_and_add_up(tmp_path: Path) -> None:
    made = make(checkpoint(tmp_path, {}))
    assert made.parts == {
        "vision_tower": PartSize(1, 16, 32),
        "connector": PartSize(1, 32, 64),
        "language_model": PartSize(2, 320, 640),
    }
    assert (made.shards, made.tensors, made.parameters, made.weight_dtype) == (1, 4, 368, "fp16")
    assert (made.hashes, made.identity) == ("pending", None)


@pytest.mark.parametrize(
    ("config", "files", "expected"),
    [
        ("Qwen2VLForConditionalGeneration", {"preprocessor_config": {"min_pixels": 4, "max_pixels": 9}},
         ImageLimits(4, 9)),
        ("Qwen2VLForConditionalGeneration",
         {"preprocessor_config": {"max_pixels": 9, "size": {"shortest_edge": 5, "longest_edge": 7}}},
         ImageLimits(5, 9)),
        ("Qwen2VLForConditionalGeneration",
         {"preprocessor_config": {"max_pixels": 9}, "processor_config": {"image_processor": {"max_pixels": 8}}},
         ImageLimits(None, 8)),
        ("InternVLForConditionalGeneration",
         {"preprocessor_config": {"max_patches": 6, "size": {"height": 28, "width": 28}}},
         ImageLimits(tile=(28, 28), max_tiles=7)),
        ("MllamaForConditionalGeneration", {"config": {"vision_config": {"image_size": 560, "max_num_tiles": 4}}},
         ImageLimits(tile=(560, 560), max_tiles=4)),
        ("Gemma3ForConditionalGeneration", {"config": {"vision_config": {"image_size": 896}}},
         ImageLimits(tile=(896, 896), max_tiles=1)),
        ("Idefics3ForConditionalGeneration",
         {"preprocessor_config": {"size": {"longest_edge": 1456}, "max_image_size": {"longest_edge": 364}}},
         ImageLimits(tile=(364, 364), max_tiles=17)),
        ("SmolVLMForConditionalGeneration",
         {"preprocessor_config": {"size": {"longest_edge": 2048}, "max_image_size": {"longest_edge": 512},
                                  "do_image_splitting": False}},
         ImageLimits(tile=(512, 512), max_tiles=1)),
        ("LlavaForConditionalGeneration", {"config": {"vision_config": {"image_size": 336}}},
         ImageLimits(tile=(336, 336), max_tiles=1)),
        ("LlavaForConditionalGeneration",
         {"config": {"vision_config": {"model_type": "pixtral", "image_size": 1024}}}, ImageLimits(None, 1024**2)),
        ("Phi3VForCausalLM", {"preprocessor_config": {"num_crops": 16}}, ImageLimits(tile=(336, 336), max_tiles=17)),
        ("WhisperForConditionalGeneration", {"preprocessor_config": {"feature_size": 80}}, ImageLimits()),
        ("Qwen2VLForConditionalGeneration", {"preprocessor_config": {"max_pixels": "9", "size": [1]}}, ImageLimits()),
    ],
)  # fmt: skip
def test_image_limits_of_each_architecture(
    config: str, files: dict[str, Any], expected: ImageLimits, tmp_path: Path
) -> None:
    own = files.get("config", {})
    others = {name: content for name, content in files.items() if name != "config"}
    assert make(checkpoint(tmp_path, {"architectures": [config], **own}, **others)).image == expected


INTERNVL_CHAT = {
    "architectures": ["InternVLChatModel"],
    "auto_map": {"AutoModel": "modeling_internvl_chat.InternVLChatModel"},
    "force_image_size": 448,
    "max_dynamic_patch": 12,
    "use_thumbnail": True,
    "llm_config": {"architectures": ["InternLM2ForCausalLM"], "max_position_embeddings": 32768},
    "vision_config": {"image_size": 448},
}
LLAVA_V16 = {
    "architectures": ["LlavaMistralForCausalLM"],
    "image_aspect_ratio": "anyres",
    "image_grid_pinpoints": [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]],
    "max_position_embeddings": 32768,
    "mm_vision_tower": "openai/clip-vit-large-patch14-336",
}


@pytest.mark.parametrize(
    ("config", "architecture", "image"),
    [
        (INTERNVL_CHAT, "internvl", ImageLimits(tile=(448, 448), max_tiles=13)),
        (LLAVA_V16, "llava-next", ImageLimits(tile=(336, 336), max_tiles=5)),
    ],
)
def test_an_original_layout_is_known_and_loaded_by_nobody(
    config: dict[str, Any], architecture: str, image: ImageLimits, tmp_path: Path
) -> None:
    made = make(checkpoint(tmp_path, config))
    assert (made.architecture, made.layout, made.formats) == (architecture, "original", ("safetensors-original",))
    assert (made.family_entry_point, made.lora_targets, made.hot_swap, made.requires) == (None, None, "none", {})
    assert (made.context, made.image) == (32768, image)


def test_a_family_of_another_package_is_asked_for_an_unknown_class_only(tmp_path: Path) -> None:
    asked = []

    def cards() -> dict[str, FamilyCard]:
        asked.append(True)
        card = FamilyCard(
            "other", ("OtherModel",), "generic", BoxFormat("norm_1", "brackets"), {"llm": "^x$"}, video=True
        )
        return {"their-entry": card}

    make(checkpoint(tmp_path / "known", {}), cards)
    assert not asked
    made = make(checkpoint(tmp_path / "theirs", {"architectures": ["OtherModel"]}), cards)
    assert (made.architecture, made.family_entry_point) == ("unknown", "their-entry")
    assert (made.lora_targets, made.hot_swap, made.modalities) == ("^x$", "adapters", ("text", "image", "video"))
    nobodys = make(checkpoint(tmp_path / "nobodys", {"architectures": ["NobodysModel"]}), cards)
    assert (nobodys.architecture, nobodys.family_entry_point, nobodys.hot_swap) == ("unknown", None, "none")
    assert nobodys.parts.keys() == {"vision_tower", "connector", "language_model"}


def test_the_chat_template_that_the_family_would_take_is_hashed(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, {}, tokenizer_config={"chat_template": "of the tokenizer"})
    texts = [make(folder).chat_template_sha256]
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"chat_template": [{"name": "tool", "template": "x"}, {"name": "default", "template": "named"}]})
    )
    texts.append(make(folder).chat_template_sha256)
    (folder / "chat_template.json").write_text(json.dumps({"chat_template": "of the processor"}))
    texts.append(make(folder).chat_template_sha256)
    (folder / "chat_template.jinja").write_text("a file of its own")
    texts.append(make(folder).chat_template_sha256)
    wanted = ("of the tokenizer", "named", "of the processor", "a file of its own")
    assert texts == [hashlib.sha256(text.encode()).hexdigest() for text in wanted]


@pytest.mark.parametrize(
    ("readme", "licence"),
    [
        ("---\nlicense: mit\n---\n# x", "mit"),
        ("---\nlicense: other\nlicense_name: qwen\n---\n", "qwen"),
        ("---\nlicense: other\n---\n", "other"),
        ("---\nlicense: [apache-2.0]\n---\n", "apache-2.0"),
        ("# no front matter\nlicense: mit\n", None),
        ("---\nlicense: {a: [\n---\n", None),
        ("---\nlicense: 3\n---\n", None),
        ("---\n!!python/object/apply:os.system ['true']\n---\n", None),
        ("---\nlicense: mit", None),
        (None, None),
    ],
)
def test_the_licence_is_the_front_matters(readme: str | None, licence: str | None, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, {})
    if readme is not None:
        (folder / "README.md").write_text(readme)
    assert make(folder).licence == licence


COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (f"hub/models--Qwen--Qwen2.5-VL-3B/snapshots/{COMMIT}", ("Qwen2.5-VL-3B", "Qwen/Qwen2.5-VL-3B", COMMIT)),
        ("hub/models--Qwen--Qwen2.5-VL-3B/snapshots/main", ("Qwen2.5-VL-3B", "Qwen/Qwen2.5-VL-3B", "main")),
        ("modelscope/hub/models/Qwen/Qwen2___5-VL-3B", ("Qwen2.5-VL-3B", "modelscope:Qwen/Qwen2.5-VL-3B", None)),
        ("my-model", ("my-model", None, None)),
        ("hub/models--gpt2/snapshots/x", ("gpt2", "gpt2", "x")),
    ],
)
def test_source_and_revision_are_told_by_the_caches_own_folders(
    place: str, expected: tuple[str, str | None, str | None], tmp_path: Path
) -> None:
    folder = checkpoint(tmp_path / place, {})
    if place.startswith("modelscope"):
        (folder / ".msc").write_bytes(b"its client's own")
    made = make(folder)
    assert (made.name, made.source, made.revision) == expected


def test_a_download_into_a_folder_tells_its_commit_if_it_was_one(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model", {})
    records = folder / ".cache" / "huggingface" / "download"
    records.mkdir(parents=True)
    (records / "config.json.metadata").write_text(f"{COMMIT}\netag\n1.0\n")
    assert make(folder).revision == COMMIT
    (records / "model.safetensors.metadata").write_text(f"{COMMIT[::-1]}\netag\n1.0\n")
    assert make(folder).revision is None


def test_other_forms_of_weights_that_lie_there_are_named(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, {})
    for name in ("pytorch_model.bin", "model-q4.gguf", "training_args.bin"):
        (folder / name).write_bytes(b"x")
    assert make(folder).formats == ("safetensors", "bin", "gguf")


def test_a_manifest_beside_the_weights_changes_no_digest_and_is_never_believed(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, {})
    before = look(folder).sha256
    made = fill(make(folder), folder)
    lies = [json.loads(json.dumps({"name": f.name, "bytes": f.bytes, "sha256": "0" * 64})) for f in made.files]
    write_manifest(made, folder)
    assert look(folder).sha256 == before
    content = json.loads((folder / "fourways.model.json").read_text())
    (folder / "fourways.model.json").write_text(json.dumps({**content, "files": lies}))
    assert fill(make(folder), folder) == made
    assert look(folder).sha256 == before


def test_hashes_are_filled_in_for_the_files_that_were_looked_at_and_no_others(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "model", {})
    made = make(folder)
    (tmp_path / "outside").write_text("x")
    outside = replace(made, files=(ManifestFile("../outside", 1),))
    for wrong, change in ((outside, "{}"), (made, "{    }")):
        (folder / "tokenizer.json").write_text(change)
        with pytest.raises(CheckpointError, match="is not the file of"):
            fill(wrong, folder)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not the file of 2 bytes"):
        fill(made, folder)


def test_what_only_the_maker_knew_is_taken_over_for_the_same_bytes_alone(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, {})
    made = fill(make(folder), folder)
    told = Conversion("internvl@1", "internvl_chat", {"model.safetensors": "ab"})
    write_manifest(replace(made, converted=told, source="org/name", licence="mit", name="not this"), folder)
    again = fill(make(folder), folder)
    assert (again.converted, again.source, again.licence, again.name) == (told, "org/name", "mit", folder.name)
    anew = Conversion("internvl@2", "internvl_chat", {})
    assert fill(replace(make(folder), converted=anew), folder).converted == anew
    (folder / "tokenizer.json").write_text("{ }")
    other = fill(make(folder), folder)
    assert (other.converted, other.source, other.licence) == (None, None, None)


@pytest.mark.parametrize("name", [b"a:b.json", b"a\\b.json", b"a\nb.json", b"\xff.json"])
def test_a_file_name_that_other_systems_take_for_a_path_is_refused(name: bytes, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, {})
    (folder / os.fsdecode(name)).write_text("{}")
    with pytest.raises(CheckpointError, match="which not every system can name"):
        make(folder)


def test_a_folder_is_named_as_it_is_called_from_inside_and_by_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one whose name is no UTF-8: a manifest is JSON."""
    folder = checkpoint(tmp_path / os.fsdecode(b"model-\xff") / "mine", {})
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    assert [make(place).name for place in (Path(), folder, tmp_path / "link")] == ["mine"] * 3
    monkeypatch.chdir(checkpoint(folder.parent, {}))
    made = make(Path())
    assert read_manifest(write_manifest(made, tmp_path / "out.json")) == made


def test_json_as_python_writes_it_is_read(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, {"limit": float("inf"), "scale": float("nan")})
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 1000000000000000019884624838656, "a": NaN}')
    assert make(folder).architecture == "llava-next"


def test_a_digest_that_is_not_known_leaves_the_hashes_pending(tmp_path: Path) -> None:
    folder = checkpoint(tmp_path, {})
    made = filled(make(folder), folder, {"config.json": "ab" * 32})
    assert (made.hashes, made.identity) == ("pending", None)
    assert [file.sha256 for file in made.files if file.sha256] == ["ab" * 32]
