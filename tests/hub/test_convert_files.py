"""A conversion is whole or not there: pickles, places, disks, Ctrl-C, memory, and the files that go with weights."""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

from fourways.cli.main import app
from fourways.core.errors import CheckpointError, FourwaysError, UserError
from fourways.core.manifest import MANIFEST_FILE
from fourways.hub.convert import Options, beside, convert, needs_conversion
from fourways.hub.convert import run as running
from fourways.hub.manifest import read_manifest
from fourways.zoo import checkpoint

MIB = 1 << 20


def quiet(stage: str, done: int, total: int) -> None: ...


def left(where: Path) -> list[str]:
    return sorted(place.name for place in where.iterdir())


# -- pickles ---------------------------------------------------------------------------------------------------------
class Touch:
    """Would make a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (os.mkdir, (str(self.file),))


def test_pickled_weights_are_refused_with_the_flag_that_reads_them(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    originals.pickled(folder)
    with pytest.raises(CheckpointError) as error:
        convert(folder, None, Options(), quiet)
    assert "--read-pickles" in (error.value.hint or "") and left(tmp_path) == ["m"]


@pytest.mark.parametrize("zipped", [True, False])
def test_pickled_weights_come_out_as_the_same_safetensors(zipped: bool, tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "internlm2", shards=1)
    expected = load_file(str(convert(folder, tmp_path / "a", Options(), quiet).folder / "model.safetensors"))
    originals.pickled(folder)
    if not zipped:  # the form of old versions of torch
        file = folder / "pytorch_model.bin"
        torch.save(torch.load(file, weights_only=True), file, _use_new_zipfile_serialization=False)
    got = load_file(
        str(convert(folder, tmp_path / "b", Options(read_pickles=True), quiet).folder / "model.safetensors")
    )
    assert set(got) == set(expected) and all(torch.equal(got[name], expected[name]) for name in got)


def test_code_in_a_pickle_is_not_run_even_when_pickles_are_read(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    originals.pickled(folder)
    trap = tmp_path / "trap"
    torch.save({"a": Touch(trap)}, folder / "pytorch_model.bin")
    with pytest.raises(CheckpointError, match="more than tensors"):
        convert(folder, None, Options(read_pickles=True), quiet)
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"a": Touch(trap)}, protocol=2))
    with pytest.raises(CheckpointError, match="more than tensors"):
        convert(folder, None, Options(read_pickles=True), quiet)
    assert not trap.exists() and left(tmp_path) == ["m"]


@pytest.mark.parametrize("name", ["../secret.bin", "/etc/passwd", "sub/x.bin", "x.txt"])
def test_an_index_cannot_name_a_file_elsewhere(name: str, tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    originals.pickled(folder)
    (folder / "pytorch_model.bin").unlink()
    originals.write(folder / "pytorch_model.bin.index.json", {"weight_map": {"a": name}})
    with pytest.raises(CheckpointError, match=r"no \.bin file of this folder"):
        convert(folder, None, Options(read_pickles=True), quiet)


def test_a_checkpoint_in_transformers_layout_is_freed_of_its_pickles(tmp_path: Path, originals: ModuleType) -> None:
    folder = tmp_path / "m"
    shutil.copytree(checkpoint("internvl"), folder)
    expected = load_file(str(folder / "model.safetensors"))
    originals.pickled(folder)
    old = torch.load(folder / "pytorch_model.bin", weights_only=True)
    expected["language_model.model.rotary_emb.inv_freq"] = torch.ones(4)  # as old versions of transformers saved
    torch.save(old | expected, folder / "pytorch_model.bin")
    assert needs_conversion(folder)
    place = convert(folder, None, Options(read_pickles=True), quiet).folder
    got = load_file(str(place / "model.safetensors"))
    assert all(torch.equal(got[name], tensor) for name, tensor in expected.items()) and len(got) == len(expected)
    assert (place / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


# -- code ------------------------------------------------------------------------------------------------------------
def test_a_checkpoints_code_is_neither_run_nor_copied(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "internlm2")
    for file in folder.glob("*.py"):
        file.write_text(f"import os; os.mkdir({str(tmp_path / 'trap')!r})\n")
    place = convert(folder, None, Options(), quiet).folder
    assert not (tmp_path / "trap").exists() and not list(place.glob("*.py"))
    assert all("auto_map" not in file.read_text() for file in place.glob("*.json"))


# -- places ----------------------------------------------------------------------------------------------------------
def test_the_place_is_beside_the_source_unless_told(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "InternVL2-1B", "qwen2")
    assert beside(folder) == tmp_path / "InternVL2-1B-hf" == convert(folder, None, Options(), quiet).folder
    assert convert(folder, tmp_path / "deep" / "er", Options(), quiet).folder == tmp_path / "deep" / "er"


def test_nothing_is_written_into_a_cache_of_downloads_unless_told(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "models--a--b" / "snapshots" / "c0ffee", "qwen2")
    with pytest.raises(UserError, match="cache") as error:
        convert(folder, None, Options(), quiet)
    assert "--out" in (error.value.hint or "")


def test_a_place_that_is_taken_is_left_alone(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    (tmp_path / "m-hf").mkdir()
    (tmp_path / "m-hf" / "mine.txt").write_text("mine")
    for out in (None, tmp_path / "m-hf", folder / "model-00001-of-00002.safetensors", folder / "inside"):
        with pytest.raises(UserError, match=r"there already|lies inside"):
            convert(folder, out, Options(), quiet)
    assert left(tmp_path / "m-hf") == ["mine.txt"]
    (tmp_path / "m-hf" / "mine.txt").unlink()
    assert convert(folder, None, Options(), quiet).folder == tmp_path / "m-hf"


def test_a_disk_without_room_is_told_before_anything_is_written(
    tmp_path: Path, originals: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    usage = type(shutil.disk_usage(tmp_path))(100, 90, 10)
    monkeypatch.setattr(running.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(FourwaysError, match="GiB are needed"):
        convert(folder, None, Options(), quiet)
    assert left(tmp_path) == ["m"]


@pytest.mark.parametrize("stage", ["hash", "write", "check"])
def test_whatever_stops_it_leaves_nothing_behind(stage: str, tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    os.utime(folder / "config.json")  # so that there is something to hash

    def stop(at: str, done: int, total: int) -> None:
        if at == stage and (done or at == "check"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert(folder, None, Options(), stop)
    assert left(tmp_path) == ["m"]


def large(folder: Path, originals: ModuleType, mib: int) -> None:
    """Makes the checkpoint's weights so much larger: an embedding of many rows, in a shard of its own."""
    rows = mib * MIB // 4 // originals.WIDTH
    config = json.loads((folder / "config.json").read_text())
    config["llm_config"]["vocab_size"] = rows
    originals.write(folder / "config.json", config)
    index = json.loads((folder / "model.safetensors.index.json").read_text())
    for number, name in enumerate(("language_model.model.tok_embeddings.weight", "language_model.output.weight")):
        old = folder / index["weight_map"][name]
        kept = {key: tensor for key, tensor in load_file(str(old)).items() if key != name}
        save_file(kept, str(old))
        index["weight_map"][name] = f"large-{number}.safetensors"
        save_file({name: torch.zeros(rows, originals.WIDTH)}, str(folder / f"large-{number}.safetensors"))
    originals.write(folder / "model.safetensors.index.json", index)


INTERRUPTED = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
from fourways.cli.main import main
main()
"""
MEASURED = """
import re
from pathlib import Path
from transformers import InternVLForConditionalGeneration
from fourways.cli.main import main
peak = lambda: int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) // 1024
before = peak()
try:
    main()
finally:
    print("grew", peak() - before, flush=True)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of memory is read from Linux's /proc")
def test_memory_does_not_grow_with_the_checkpoint(tmp_path: Path, originals: ModuleType) -> None:
    """240 MiB of weights in shards of 120, converted by the command: not even one shard is held."""
    folder = originals.internvl(tmp_path / "m", "internlm2")
    large(folder, originals, 120)
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, "models", "convert", str(folder)],
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < 100, done.stdout
    written = sum(file.stat().st_size for file in (tmp_path / "m-hf").glob("*.safetensors"))
    assert written > 240 * MIB


def test_ctrl_c_ends_it_with_130_and_nothing_is_left(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "internlm2")
    large(folder, originals, 60)
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, "models", "convert", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        ends = time.monotonic() + 100
        while not list(tmp_path.glob(".m-hf.*.partial/*.safetensors")) and time.monotonic() < ends:
            time.sleep(0.005)
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130 and "removed" in told
    assert left(tmp_path) == ["m"]


# -- the command -----------------------------------------------------------------------------------------------------
def test_the_command_writes_weights_and_manifest(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "internlm2")
    (folder / "LICENSE").write_text("MIT")
    done = CliRunner().invoke(app, ["models", "convert", str(folder)])
    assert done.exit_code == 0, done.output
    place = tmp_path / "m-hf"
    manifest = read_manifest(place)
    assert (manifest.architecture, manifest.layout, manifest.hashes) == ("internvl", "transformers", "complete")
    assert manifest.converted is not None and manifest.converted.converter == "internvl_chat@1"
    assert set(manifest.converted.source) >= {"config.json", "tokenizer.model", "model-00001-of-00002.safetensors"}
    assert CliRunner().invoke(app, ["models", "convert", str(place)]).exit_code == 0
    assert read_manifest(place).converted == manifest.converted, "described again, it still knows where it came from"
    assert (place / "LICENSE").read_text() == "MIT" and str(place) in done.output.replace("\n", "")


def test_a_checkpoint_that_needs_no_conversion_is_only_described(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    shutil.copytree(checkpoint("llava"), folder)
    before = left(folder)
    done = CliRunner().invoke(app, ["models", "convert", str(folder)])
    assert done.exit_code == 0 and "needs no conversion" in done.output, done.output
    assert left(folder) == sorted({*before, MANIFEST_FILE}) and left(tmp_path) == ["m"]
    assert read_manifest(folder).converted is None
    with pytest.raises(UserError, match="needs no conversion"):
        convert(folder, tmp_path / "out", Options(), quiet)


def test_compare_names_the_command_that_converts(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    done = CliRunner().invoke(app, ["compare", str(folder)])
    assert isinstance(done.exception, CheckpointError)
    assert done.exception.hint == f"fourways models convert {folder}"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"template": "internlm9"}, "conversation template"),
        ({"ps_version": "v1"}, "ps_version"),
        ({"use_llm_lora": 16}, "LoRA"),
        ({"force_image_size": 56}, "force_image_size"),
        ({"use_thumbnail": False}, "thumbnail"),
        ({"llm_config": {"architectures": ["GemmaForCausalLM"]}}, "GemmaForCausalLM"),
        ({"vision_config": None}, "vision_config"),
    ],
)
def test_what_the_new_layout_cannot_say_is_refused(
    change: dict[str, object], word: str, tmp_path: Path, originals: ModuleType
) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    config = json.loads((folder / "config.json").read_text())
    originals.write(folder / "config.json", config | change)
    with pytest.raises(CheckpointError, match=word):
        convert(folder, None, Options(), quiet)
    assert left(tmp_path) == ["m"]


@pytest.mark.parametrize(
    ("part", "change", "word"),
    [
        (None, {"downsample_ratio": 0}, "downsample_ratio"),
        (None, {"downsample_ratio": 0.3}, "downsample_ratio"),
        (None, {"select_layer": 3}, "of a tower of 2 layers"),
        (None, {"max_dynamic_patch": 10**9}, "tiles"),
        (None, {"min_dynamic_patch": 9}, "from 9 to 4 tiles"),
        (None, {"system_message": ["x"]}, "system_message"),
        (None, {"torch_dtype": "../x"}, "cannot be opened"),
        ("llm_config", {"vocab_size": 10**10}, "vocab_size"),
        ("llm_config", {"num_hidden_layers": 10**7}, "num_hidden_layers 10000000"),
        ("vision_config", {"num_hidden_layers": 10**7}, "num_hidden_layers 10000000"),
        ("llm_config", {"rope_theta": float("nan")}, "not JSON"),
    ],
)
def test_a_config_that_lies_is_refused_at_once(
    part: str | None, change: dict[str, object], word: str, tmp_path: Path, originals: ModuleType
) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    config = json.loads((folder / "config.json").read_text())
    (config if part is None else config[part]).update(change)
    originals.write(folder / "config.json", config)
    with pytest.raises(FourwaysError, match=word):
        convert(folder, None, Options(), quiet)
    assert left(tmp_path) == ["m"]


def test_an_end_that_is_no_token_is_refused(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    originals.write(folder / "generation_config.json", {"eos_token_id": [10**20]})
    with pytest.raises(CheckpointError, match="answers end with"):
        convert(folder, None, Options(), quiet)


@pytest.mark.parametrize("change", [os.utime, os.unlink])
def test_a_source_that_changes_under_the_reading_is_told(
    change: Callable[[Path], None], tmp_path: Path, originals: ModuleType
) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")

    def tell(stage: str, done: int, total: int) -> None:
        if stage == "check":
            change(folder / "model-00001-of-00002.safetensors")

    with pytest.raises(FourwaysError, match=r"00001-of-00002.safetensors changed"):
        convert(folder, None, Options(), tell)
    assert left(tmp_path) == ["m"]


def test_a_checkpoints_own_system_message_goes_before_the_forms(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    config = json.loads((folder / "config.json").read_text())
    for place, message, said in ((tmp_path / "a", None, "书生"), (tmp_path / "b", "Be brief.", "Be brief.")):
        originals.write(folder / "config.json", config | {"system_message": message})
        assert said in (convert(folder, place, Options(), quiet).folder / "chat_template.jinja").read_text()


FORMS_IN_PYTHON = """
import os
os.mkdir({trap!r})
register(Form(name='raw', system_message='', roles=('', '')))
register(Form(
    name='internlm2-chat', sep=os.sep,
    # system_message='Not this.',
    system_message='You are '
    'an assistant.',
))
"""


@pytest.mark.parametrize(
    ("config", "code", "said"),
    [
        ({}, FORMS_IN_PYTHON, "You are an assistant."),
        ({"system_message": "Be brief."}, FORMS_IN_PYTHON, "Be brief."),
        ({}, FORMS_IN_PYTHON.replace("internlm2-chat", "another"), "书生"),
        ({}, "Form(name='internlm2-chat', system_message=os.name)", "书生"),
        ({}, "no Python", "书生"),
        ({}, "(" * 300_000, "书生"),
        ({}, "x = " + "-" * 300_000 + "1", "书生"),
        ({}, "x = 1" + "+1" * 300_000, "书生"),
    ],
    ids=["its own", "config.json first", "another form", "computed", "no Python", "brackets", "signs", "sums"],
)
def test_the_system_message_of_a_conversation_file_is_read_and_its_code_is_not_run(
    config: dict[str, object], code: str, said: str, tmp_path: Path, originals: ModuleType
) -> None:
    folder = originals.internvl(tmp_path / "m", "internlm2")
    own = json.loads((folder / "config.json").read_text())
    originals.write(folder / "config.json", own | config)
    (folder / "conversation.py").write_text(code.replace("{trap!r}", repr(str(tmp_path / "trap"))))
    recipe = running.make_recipe(folder, own | config, Options())
    assert said in (recipe.template or "") and not (tmp_path / "trap").exists()


def test_a_system_message_that_cannot_be_written_is_refused(tmp_path: Path, originals: ModuleType) -> None:
    folder = originals.internvl(tmp_path / "m", "qwen2")
    config = json.loads((folder / "config.json").read_text()) | {"system_message": "half of a sign: \ud800"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="whole characters"):
        convert(folder, None, Options(), quiet)
    assert left(tmp_path) == ["m"]


JUNK = st.sampled_from([None, -1, 0, 3, 1.5, "x", [], [1], {}, True, 10**30, float("nan")])


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_a_config_with_junk_in_it_is_taken_or_refused_in_one_line(
    data: st.DataObject, two_originals: tuple[Path, Path]
) -> None:
    folder = data.draw(st.sampled_from(two_originals))
    config = json.loads((folder / "config.json").read_text())
    parts = [config, *(value for value in config.values() if isinstance(value, dict))]
    for _ in range(data.draw(st.integers(1, 3))):
        part = data.draw(st.sampled_from(parts))
        part[data.draw(st.sampled_from(sorted(set(part) - {"architectures"})))] = data.draw(JUNK)
    with contextlib.suppress(FourwaysError):
        running.make_recipe(folder, config, Options(vision_tower=folder.with_name(f"{folder.name}-clip")))


@pytest.fixture(scope="module")
def two_originals(originals: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    where = tmp_path_factory.mktemp("junk")
    return originals.internvl(where / "m", "internlm2"), originals.llava(where / "l", "mistral")[0]


def test_a_llava_without_its_tower_asks_for_it(tmp_path: Path, originals: ModuleType) -> None:
    folder, _ = originals.llava(tmp_path / "m", "llama", tower=False)
    with pytest.raises(CheckpointError) as error:
        convert(folder, None, Options(), quiet)
    assert "--vision-tower" in (error.value.hint or "")


def test_an_older_llava_is_refused(tmp_path: Path, originals: ModuleType) -> None:
    folder, clip = originals.llava(tmp_path / "m", "llama")
    config = json.loads((folder / "config.json").read_text())
    originals.write(folder / "config.json", config | {"mm_patch_merge_type": "flat", "image_aspect_ratio": "pad"})
    with pytest.raises(CheckpointError, match=r"mm_patch_merge_type is 'flat'.*not LLaVA 1.6"):
        convert(folder, None, Options(vision_tower=clip), quiet)
