"""`fourways models`: what a person types and sees, from an empty registry on."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fourways import zoo
from fourways.cli import main


@dataclass
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def models(*words: str) -> Done:
    return fourways("models", *words)


def fourways(*words: str) -> Done:
    out, error, code = io.StringIO(), io.StringIO(), 0
    before, sys.argv = sys.argv, ["fourways", *words]
    try:
        with redirect_stdout(out), redirect_stderr(error):
            main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 0
    finally:
        sys.argv = before
    return Done(code, out.getvalue(), error.getvalue())


@pytest.fixture(autouse=True)
def _own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()
    monkeypatch.setenv("FOURWAYS_REGISTRY", str(tmp_path / "data" / "registry.db"))
    monkeypatch.setenv("FOURWAYS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "shelf" / "tiny")
    return tmp_path / "shelf" / "tiny"


def adapter(folder: Path, base: str) -> Path:
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "base_model_name_or_path": base, "r": 4})
    )
    (folder / "adapter_model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return folder


def test_an_empty_registry_is_listed_and_not_made(tmp_path: Path) -> None:
    done = models("list")
    assert done.code == 0 and "nothing is registered" in done.out
    assert str(tmp_path / "data" / "registry.db") in done.out.replace("\n", "")
    assert not list((tmp_path / "data").iterdir())
    assert models("list", "--json").json == {"schema": "fourways.models/v1", "models": []}


def test_a_model_is_added_shown_renamed_and_forgotten_and_its_files_stay(folder: Path) -> None:
    added = models("add", "tiny", str(folder))
    assert added.code == 0, added.err
    [entry] = models("list", "--json").json["models"]
    assert (entry["name"], entry["state"], entry["folder"]) == ("tiny", "ok", str(folder))
    assert entry["identity"] in added.out
    shown = models("show", "tiny")
    assert "qwen2.5-vl" in shown.out and entry["identity"] in shown.out
    assert models("show", "tiny", "--json").json["model"] == entry
    assert "tiny is now small" in models("rename", "tiny", "small").out
    assert "small" in models().out and "zoo:qwen" in models().out
    removed = models("remove", "small")
    assert removed.code == 0 and str(folder) in removed.out
    assert (folder / "model.safetensors").is_file()
    assert models("list", "--json").json["models"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["show", "tini"], "did you mean tiny?"),
        (["remove", "tini"], "did you mean tiny?"),
        (["rename", "tini", "x"], "did you mean tiny?"),
        (["rename", "tiny", "qwen"], "qwen is the name of an embedded model"),
        (["rename", "tiny", "a/b"], "cannot be a name"),
        (["add", "llava", "shelf/tiny"], "llava is the name of an embedded model"),
        (["add", "tiny", "shelf/tiny"], "tiny is registered already, as this very folder"),
        (["add", "new", "nowhere"], "nowhere is not a folder"),
        (["add", "new", "shelf"], "has no config.json"),
        (["add", "new", "shelf/tiny", "--base", "tiny"], "is a model, not an adapter"),
        (["list", "--registry", "mysql://me:s3cret@host/db"], "cannot be kept by 'mysql'"),
        (["list", "--registry", "shelf/tiny/tokenizer.json"], "is no registry, or it is damaged"),
        (["discover", "nowhere"], "nowhere: no such folder"),
        (["convert", "nowhere"], "nowhere: no such folder"),
        (["convert", "zoo:qwen"], "zoo:qwen is an embedded model, and needs no conversion"),
        (["add", "new", "shelf/tiny", "--registry", "no/where.db"], "there is no folder"),
        (["list", "--registry", "nowhere.db"], "there is no registry at"),
    ],
)
def test_a_mistake_is_one_line_with_a_hint_and_exit_code_2(folder: Path, words: list[str], said: str) -> None:
    models("add", "tiny", str(folder))
    done = models(*words)
    assert done.code == 2, done
    assert said in done.err and "error: " in done.err
    assert "s3cret" not in done.err and "Traceback" not in done.err


def test_discover_registers_models_before_their_adapters_and_once(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, tmp_path / "shelf" / "deeper" / "tiny")
    adapter(tmp_path / "shelf" / "a-lora", str(folder))
    broken = tmp_path / "shelf" / "broken"
    shutil.copytree(folder, broken)
    (broken / "model.safetensors").write_bytes(b"short")
    seen = models("discover", "shelf")
    assert "3 of 4 can be registered: --add" in seen.out
    first = models("discover", "shelf", "--add", "--json")
    assert first.code == 0, first.err
    records = {one["name"]: one for one in first.json["found"]}
    assert set(records) == {"a-lora", "tiny", "tiny-2", "broken"}
    assert [name for name, one in records.items() if not one["registered"]] == ["broken"]
    entries = {one["name"]: one for one in models("list", "--json").json["models"]}
    assert entries["a-lora"]["base"] in ("tiny", "tiny-2")
    assert entries[entries["a-lora"]["base"]]["folder"] == str(folder)
    assert models("discover", "shelf", "--add", "--json").json["found"] == first.json["found"]
    assert "adapters whose base it was: a-lora" in models("remove", entries["a-lora"]["base"]).err


def test_a_model_that_changed_is_shown_as_such(folder: Path) -> None:
    models("add", "tiny", str(folder))
    (folder / "tokenizer.json").write_text("{}")
    [entry] = models("list", "--json").json["models"]
    assert entry["state"] == "changed" and "tokenizer.json" in entry["why"]
    assert "changed: tokenizer.json" in models("show", "tiny").out
    shutil.rmtree(folder)
    assert models("list", "--json").json["models"][0]["state"] == "gone"


def test_a_registered_name_can_be_compared_and_one_that_changed_is_refused(tmp_path: Path, folder: Path) -> None:
    shutil.copytree(folder, tmp_path / "other")
    models("add", "tiny", str(folder))
    models("add", "second", str(tmp_path / "other"))
    (tmp_path / "other" / "tokenizer.json").write_text("{}")
    done = fourways("compare", "tiny", "second", "--axes", "accuracy", "--dry-run")
    assert done.code == 2
    assert str(folder) in done.out.replace("\n", "")
    assert "second changed since it was registered" in done.out + done.err


def test_listing_imports_nothing_that_runs_models(folder: Path) -> None:
    models("add", "tiny", str(folder))
    script = (
        "import sys; from fourways.cli import main\n"
        "try: main()\n"
        "finally: print([n for n in ('torch', 'transformers', 'huggingface_hub', 'alembic') if n in sys.modules])"
    )
    for words in (["list"], ["show", "tiny"]):
        command = [sys.executable, "-c", script, "models", *words]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[-1] == "[]"


def test_every_command_has_help_with_an_example() -> None:
    for command in ("discover", "pull", "add", "list", "show", "rename", "remove"):
        done = models(command, "--help")
        assert done.code == 0 and f"fourways models {command}" in " ".join(done.out.split())


def test_one_that_cannot_be_read_does_not_keep_the_others_from_being_registered(folder: Path) -> None:
    shelf = Path("shelf")
    for name in ("a", "b"):
        shutil.copytree(folder, shelf / name)
    (shelf / "a" / "preprocessor_config.json").unlink()
    (shelf / "a" / "preprocessor_config.json").symlink_to("preprocessor_config.json")
    done = models("discover", "shelf", "--add")
    assert done.code == 1 and "error: a: " in done.err and "cannot be read" in done.err
    assert [one["name"] for one in models("list", "--json").json["models"]] == ["b", "tiny"]


def test_a_folder_of_an_embedded_models_name_is_offered_as_my_own(tmp_path: Path) -> None:
    for name in zoo.NAMES:
        shutil.copytree(zoo.checkpoint(name), tmp_path / "m" / name)
    found = models("discover", "m", "--json").json["found"]
    assert [one["name"] for one in found] == ["my-internvl", "my-llava", "my-qwen"]
    assert "3 of 3 can be registered" in models("discover", "m").out
    first, second = models("discover", "m", "--add"), models("discover", "m", "--add")
    assert first.code == 0 and "registered already" not in first.err
    assert f"made a new registry at {tmp_path / 'data' / 'registry.db'}" in first.err
    assert "3 of 3 registered already" in second.err and "made a new" not in second.err
    assert second.out.count("registered") == 3 and "new" not in second.out


def test_a_mistyped_place_of_a_registry_makes_no_folder(folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "nope" / "x.db"
    done = models("add", "tiny", str(folder), "--registry", str(place))
    assert done.code == 2 and f"there is no folder {place.parent}" in done.err
    assert not place.parent.exists()


def test_a_removed_models_files_are_said_to_stay_only_where_they_are(folder: Path) -> None:
    models("add", "tiny", str(folder))
    shutil.rmtree(folder)
    done = models("remove", "tiny")
    assert done.code == 0 and "stay" not in done.out and f"{folder} is not here" in done.out


def test_a_pull_without_the_hub_says_what_a_pull_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    done = models("pull", "org/name")
    assert done.code == 1 and "HF_HUB_OFFLINE is set" in done.err and "fourways models add NAME FOLDER" in done.err
    assert "--weights" not in done.err
