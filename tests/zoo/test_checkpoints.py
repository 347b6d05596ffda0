"""The embedded checkpoints are complete, small, and load as any checkpoint of their family does."""

import random
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from transformers import AutoModelForImageTextToText, AutoTokenizer

from fourways import zoo
from fourways.hub.manifest import fill, make, read_manifest
from fourways.zoo import prompts
from fourways.zoo.batches import image_tokens
from fourways.zoo.pictures import features, pixels, processor
from fourways.zoo.questions import ASKERS
from fourways.zoo.scenes import LAYOUTS, render, scene
from fourways.zoo.tokens import build

COMMON = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "preprocessor_config.json",
    "processor_config.json",
    "README.md",
)
CLASSES = {
    "qwen": "Qwen2_5_VLForConditionalGeneration",
    "llava": "LlavaNextForConditionalGeneration",
    "internvl": "InternVLForConditionalGeneration",
}


def test_importing_the_room_loads_no_torch() -> None:
    code = "import sys, fourways.zoo; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(KeyError, match="qwen, llava, internvl"):
        zoo.checkpoint("gpt")


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_folder_is_complete_and_small(name: str) -> None:
    folder = zoo.checkpoint(name)
    assert [f for f in COMMON if not (folder / f).is_file()] == []
    assert (folder / "video_preprocessor_config.json").is_file() == (name != "llava")
    assert (folder / "model.safetensors").stat().st_size <= 8_000_000


@pytest.mark.parametrize("name", zoo.NAMES)
def test_it_loads_with_every_weight_in_its_place(name: str) -> None:
    model, info = AutoModelForImageTextToText.from_pretrained(zoo.checkpoint(name), output_loading_info=True)
    assert type(model).__name__ == CLASSES[name]
    assert not any(info.values())
    assert sum(p.numel() for p in model.parameters()) <= 2_000_000


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_manifest_that_ships_is_that_of_the_files_that_ship(name: str) -> None:
    folder = zoo.checkpoint(name)
    assert read_manifest(zoo.manifest_file(name)) == fill(make(folder), folder)


def test_llava_weights_bear_the_names_they_have_on_the_hub() -> None:
    with safe_open(zoo.checkpoint("llava") / "model.safetensors", framework="pt") as file:
        tower = [k for k in file.keys() if "vision_tower" in k]  # noqa: SIM118  # not a mapping
    assert tower and all(k.startswith("vision_tower.vision_model.") for k in tower)


@pytest.mark.parametrize("name", zoo.NAMES)
def test_the_template_renders_what_was_trained_on(name: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(zoo.checkpoint(name))
    content = [{"type": "image"}, {"type": "text", "text": "What color is the circle?"}]
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
    )
    family: prompts.Family = name  # type: ignore[assignment]  # a name of the zoo
    mark = "<IMG_CONTEXT>" if name == "internvl" else prompts.OPEN_CLOSE[family][1]
    wanted = prompts.turn(family, "What color is the circle?").replace(prompts.IMAGE_MARK, mark)
    if name == "internvl":  # its processor puts <img> and </img> around the tokens
        wanted = wanted.replace("<img>", "").replace("</img>", "")
    assert rendered == wanted


@pytest.mark.parametrize(
    "text", ["What color is the circle?", "图中有几个物体？ ñ 🤖\n\t  x", "Knowledge of hundreds, 0.345"]
)
def test_the_tokenizer_loses_nothing(text: str) -> None:
    tokenizer = build()
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


def test_the_words_of_the_world_are_one_token_each() -> None:
    tokenizer, rng = build(), random.Random(0)
    for ask in ASKERS.values():
        for seed in range(10):
            assert len(tokenizer.encode(ask(scene(seed), rng).question).ids) <= 16
    assert [len(tokenizer.encode(w).ids) for w in ("red", "十字形", "top left", "0.34", "112")] == [1] * 5


@pytest.mark.parametrize("name", zoo.NAMES)
def test_tiles_and_tokens_are_as_counted(name: str) -> None:
    family: prompts.Family = name  # type: ignore[assignment]  # a name of the zoo
    model = AutoModelForImageTextToText.from_pretrained(zoo.checkpoint(name))
    process, shapes = processor(family), set()
    for layout in LAYOUTS:
        drawn = next(s for s in map(scene, range(200)) if (s.columns, s.rows) == layout)
        seen = pixels(render(drawn), family, process)
        shapes.add((tuple(seen.values.shape), seen.shape))
        with torch.inference_mode():
            assert len(features(model, family, [seen])) == image_tokens(drawn, family)
    assert len(shapes) >= 3


def test_the_whole_recipe_runs(tmp_path: Path) -> None:
    from fourways.zoo.train import main

    main(["--family", "llava", "--out", str(tmp_path / "out"), "--work", str(tmp_path / "work"), "--share", "0.002"])
    assert [f for f in COMMON if not (tmp_path / "out" / "llava" / f).is_file()] == []
    made = read_manifest(tmp_path / "out" / "llava.model.json")
    assert made == fill(make(tmp_path / "out" / "llava"), tmp_path / "out" / "llava") and made.identity is not None


def test_a_killed_run_goes_on_where_it_stopped(tmp_path: Path) -> None:
    from fourways.zoo.language import train_language

    train_language(tmp_path / "a", steps=8, batch_size=4)
    once = train_language(tmp_path / "a", steps=16, batch_size=4)
    assert torch.load(tmp_path / "a" / "language.pt", weights_only=True)["step"] == 16
    again = train_language(tmp_path / "a", steps=16, batch_size=4)
    assert all(torch.equal(p, q) for p, q in zip(once.parameters(), again.parameters(), strict=True))
