"""A registered name stands for the very files that were registered, wherever a model is named."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from fourways import zoo
from fourways.compare import Defaults, parse_candidates
from fourways.core.errors import CheckpointError, UserError
from fourways.hub import cache, locate, resolve
from fourways.hub.registry import Entry, NameTaken, Registry, in_force
from fourways.hub.registry.condition import condition_of
from fourways.hub.registry.enrol import Request, draw_up, enrol

EMBEDDED = zoo.checkpoints()
BEFORE = (1_700_000_000, 1_700_000_000)


@pytest.fixture(autouse=True)
def _own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOURWAYS_REGISTRY", str(tmp_path / "registry.db"))
    monkeypatch.setenv("FOURWAYS_CACHE", str(tmp_path / "cache"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "m")
    return tmp_path / "m"


def add(name: str, folder: Path, **more: str) -> Entry:
    with Registry(in_force()) as registry:
        return enrol(registry, Request(name, folder, **more))


def state(name: str) -> tuple[str, str]:
    with Registry(in_force()) as registry:
        found = condition_of(registry.get(name))
    return found.state, found.why


def save_adapter(folder: Path, base: str, content: bytes = b"{}") -> Path:
    folder.mkdir()
    (folder / "adapter_config.json").write_text(f'{{"peft_type": "LORA", "base_model_name_or_path": "{base}", "r": 4}}')
    (folder / "adapter_model.safetensors").write_bytes(len(content).to_bytes(8, "little") + content)
    return folder


def test_a_registered_name_leads_to_its_folder(folder: Path) -> None:
    entry = add("my-model", folder)
    assert locate("my-model", embedded=EMBEDDED).folder == folder
    checkpoint = resolve("my-model", embedded=EMBEDDED)
    assert {file.name: file.sha256 for file in entry.files} == checkpoint.sha256
    assert resolve("my-model", embedded=EMBEDDED, weights="random").random_weights


def test_a_folder_and_an_embedded_model_are_found_before_a_registered_one(folder: Path) -> None:
    add("my-model", folder)
    add("qwen", folder)
    Path("my-model").mkdir()
    assert locate("my-model", embedded=EMBEDDED).folder == Path("my-model")
    assert locate("qwen", embedded=EMBEDDED).folder == EMBEDDED["qwen"]


def test_a_registered_model_is_found_before_a_shipped_configuration(folder: Path) -> None:
    add("Qwen2.5-VL-7B-Instruct", folder)
    for weights in ("trained", "random"):
        assert locate("Qwen2.5-VL-7B-Instruct", embedded=EMBEDDED, weights=weights).folder == folder


def test_a_misspelt_name_gets_the_nearest_registered_one(folder: Path) -> None:
    add("photographs-v2", folder)
    with pytest.raises(CheckpointError) as caught:
        locate("photograph-v2", embedded=EMBEDDED)
    assert caught.value.hint is not None and "did you mean photographs-v2?" in caught.value.hint


def test_one_changed_byte_of_the_weights_is_refused_before_a_measurement(folder: Path) -> None:
    add("m", folder)
    weights = folder / "model.safetensors"
    stat, content = weights.stat(), bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert state("m")[0] == "touched"
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # what the quick look cannot see
    assert state("m")[0] == "ok"
    with pytest.raises(
        CheckpointError, match=r"m changed since it was registered: model\.safetensors is not"
    ) as caught:
        resolve("m", embedded=EMBEDDED)
    assert caught.value.hint is not None and str(folder) in caught.value.hint and "remove m" in caught.value.hint


def test_a_file_that_was_written_again_with_the_same_bytes_is_no_change(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "_SETTLED_NS", 0)  # a digest is remembered at once
    add("m", folder)
    os.utime(folder / "model.safetensors", BEFORE)
    assert state("m") == ("touched", "model.safetensors was written since, and not read again")
    resolve("m", embedded=EMBEDDED)
    assert state("m") == ("ok", "")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda m: (m / "tokenizer.json").unlink(), "tokenizer.json cannot be read: No such file"),
        (lambda m: (m / "tokenizer.json").write_text("{}"), "tokenizer.json has 2 bytes, and had 20,247"),
        (lambda m: (m / "added_tokens.json").write_text("{}"), "added_tokens.json is new"),
    ],
)
def test_a_file_that_is_gone_grown_or_new_is_seen_without_reading_any(folder: Path, change: object, why: str) -> None:
    add("m", folder)
    assert callable(change)
    change(folder)
    assert state("m")[0] == "changed" and why in state("m")[1]
    with pytest.raises(CheckpointError, match="m changed since it was registered"):
        locate("m", embedded=EMBEDDED)


def test_a_folder_that_is_gone_is_said_and_one_of_another_machine_is_called_so(folder: Path) -> None:
    entry = add("m", folder)
    with Registry(in_force()) as registry:
        registry.add(msgspec.structs.replace(entry, name="far", host="another-machine", folder="/not/here"))
    folder.rename(folder.with_name("moved"))
    assert state("m") == ("gone", f"{folder} is not there any more")
    assert state("far")[0] == "elsewhere" and "another-machine" in state("far")[1]
    with pytest.raises(CheckpointError, match="m is registered, but") as caught:
        resolve("m", embedded=EMBEDDED)
    assert caught.value.hint is not None and "fourways models remove m" in caught.value.hint


def test_an_adapter_is_no_model_and_says_where_to_name_it(folder: Path, tmp_path: Path) -> None:
    add("l", save_adapter(tmp_path / "l", "nobody/knows"))
    with pytest.raises(CheckpointError, match="l is a registered adapter, not a model") as caught:
        locate("l", embedded=EMBEDDED)
    assert caught.value.hint is not None and "adapter:" in caught.value.hint


def test_an_adapter_finds_its_base_by_name_source_or_folder_and_keeps_what_it_was(folder: Path, tmp_path: Path) -> None:
    base = add("base", folder, source="org/tiny", revision="c" * 40)
    for number, word in enumerate(("base", "org/tiny", str(folder))):
        entry = add(f"l{number}", save_adapter(tmp_path / f"l{number}", word))
        assert (entry.base, entry.base_identity) == ("base", base.identity)
        assert entry.identity is not None and all(file.sha256 for file in entry.files)


def test_a_base_that_two_models_could_be_is_not_guessed(folder: Path, tmp_path: Path) -> None:
    add("one", folder, source="org/tiny")
    add("two", folder, source="org/tiny")
    adapter = save_adapter(tmp_path / "l", "org/tiny")
    assert add("guessed", adapter).base is None
    assert add("said", adapter, base="two").base == "two"
    with pytest.raises(UserError, match="is an adapter, not a model"):
        add("wrong", adapter, base="said")
    with pytest.raises(UserError, match="is a model, not an adapter"):
        add("wrong", folder, base="one")


def test_an_adapter_that_holds_its_bases_digests_is_matched_by_them_alone(folder: Path, tmp_path: Path) -> None:
    base = add("base", folder)
    shutil.copytree(folder, tmp_path / "other")
    (tmp_path / "other" / "generation_config.json").write_text('{"max_new_tokens": 7}')
    add("other", tmp_path / "other")
    adapter = save_adapter(tmp_path / "l", "other")
    told = {"schema": "fourways.adapter/v1", "base_sha256": {file.name: file.sha256 for file in base.files}}
    (adapter / "manifest.json").write_text(json.dumps(told))
    assert add("l", adapter).base == "base"
    with pytest.raises(UserError, match="was not trained on other"):
        add("wrong", adapter, base="other")
    (adapter / "manifest.json").write_text(json.dumps({**told, "base_sha256": {"config.json": "0" * 64}}))
    assert add("unknown", adapter).base is None


def test_a_hashing_that_was_stopped_is_pending_and_goes_on(folder: Path) -> None:
    with Registry(in_force()) as registry:
        registry.add(draw_up(registry, Request("m", folder)))
    assert state("m")[0] == "pending"
    resolve("m", embedded=EMBEDDED)
    os.utime(folder / "model.safetensors", BEFORE)
    assert add("m", folder).identity is not None
    assert state("m")[0] == "ok"
    with pytest.raises(NameTaken, match="as this very folder"):
        add("m", folder)


def test_a_pending_entry_whose_folder_changed_does_not_go_on(folder: Path) -> None:
    with Registry(in_force()) as registry:
        registry.add(draw_up(registry, Request("m", folder)))
    (folder / "tokenizer.json").write_text("{}")
    with pytest.raises(NameTaken, match="it changed since"):
        add("m", folder)


def test_a_name_stays_with_its_first_folder(folder: Path, tmp_path: Path) -> None:
    add("m", folder)
    shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(NameTaken, match="m is registered already, as"):
        add("m", tmp_path / "copy")


@pytest.mark.parametrize("spoil", ["nothing", "empty", "pickled"])
def test_what_is_neither_a_model_nor_an_adapter_is_not_registered(tmp_path: Path, spoil: str) -> None:
    place = tmp_path / "x"
    if spoil != "nothing":
        place.mkdir()
    if spoil == "pickled":
        shutil.copy(zoo.checkpoint("qwen") / "config.json", place)
        (place / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(CheckpointError):
        add("m", place)
    with Registry(in_force()) as registry:
        assert registry.entries() == []


def test_a_folder_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    place = os.fsencode(tmp_path) + b"/\xff"
    shutil.copytree(zoo.checkpoint("qwen"), os.fsdecode(place))
    with pytest.raises(UserError, match="is not UTF-8"):
        add("m", Path(os.fsdecode(place)))


def test_without_a_registry_a_name_costs_no_database_and_no_hub_client() -> None:
    script = (
        "import sys; from pathlib import Path; from fourways.hub import locate\n"
        f"locate('zoo:qwen', embedded={{'qwen': Path({str(zoo.checkpoint('qwen'))!r})}})\n"
        "try: locate('unknown', embedded={})\n"
        "except Exception as error: print(type(error).__name__)\n"
        "print([name for name in ('sqlalchemy', 'alembic', 'huggingface_hub', 'torch') if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["CheckpointError", "[]"]
    assert not in_force().is_there()


def test_a_candidate_file_names_an_adapter_by_folder_or_by_its_registered_name(folder: Path, tmp_path: Path) -> None:
    """A folder wins; a registered adapter that changed is refused before anything is measured."""
    add("m", folder)
    saved = save_adapter(tmp_path / "a", str(folder))
    add("lora", saved)
    file = tmp_path / "candidates.yaml"

    def adapter(word: str) -> str | None:
        file.write_text(f"candidates: [{{model: m, adapter: {word}}}]")
        return parse_candidates([str(file)], Defaults())[0].adapter

    assert adapter("lora") == str(saved) == adapter(str(saved))
    assert adapter("nothing") == "nothing"
    with pytest.raises(CheckpointError, match="m is a registered model, not an adapter"):
        adapter("m")
    weights = saved / "adapter_model.safetensors"
    stat, content = weights.stat(), weights.read_bytes()
    weights.write_bytes(content.replace(b"{}", b"[]"))
    os.utime(weights, ns=(stat.st_atime_ns, stat.st_mtime_ns))  # what only the digest tells
    with pytest.raises(CheckpointError, match=r"lora changed since it was registered: adapter_model\.safetensors"):
        adapter("lora")
    Path("lora").mkdir()
    assert adapter("lora") == "lora"


@pytest.mark.parametrize(
    ("field", "value", "kept"),
    [
        ("lora_alpha", "NaN", None),
        ("lora_alpha", "1e999", None),
        ("lora_alpha", "1" * 400, None),
        ("r", str(2**70), None),
        ("base_model_name_or_path", '"a\\u0000b"', None),
        ("base_model_name_or_path", '"\\ud800"', None),
        ("base_model_name_or_path", '"~nobody-at-all/model"', "~nobody-at-all/model"),
        ("revision", '"\\u001b[31m"', None),
        ("target_modules", '["q_proj", "\\ud800", 3]', ("q_proj",)),
    ],
)
def test_what_an_adapter_says_is_kept_where_a_database_can_keep_it(
    field: str, value: str, kept: object, tmp_path: Path
) -> None:
    saved = save_adapter(tmp_path / "a", "x")
    (saved / "adapter_config.json").write_text(f'{{"peft_type": "LORA", "{field}": {value}}}')
    (saved / "manifest.json").write_text('{"x":' * 100_000)  # what tells of its base
    entry = add("lora", saved)
    with Registry(in_force()) as registry:
        assert registry.get("lora") == entry
    names = {"lora_alpha": "alpha", "r": "rank", "base_model_name_or_path": "base", "revision": "base_revision"}
    assert getattr(entry.adapter, names.get(field, field)) == kept
    json.dumps(msgspec.to_builtins(entry), allow_nan=False)
