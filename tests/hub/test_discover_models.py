"""What lies in a folder tree is found once, named by where it came from, and nothing that it holds can lead astray."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fourways import zoo
from fourways.hub.discover import Finding, Search

COMMIT, OTHER = "a" * 40, "b" * 40


def found(*tops: Path, depth: int = 8, notes: list[str] | None = None) -> list[Finding]:
    return list(Search([].append if notes is None else notes.append, depth).below(tops))


def model(folder: Path) -> Path:
    shutil.copytree(zoo.checkpoint("qwen"), folder)
    return folder


def adapter(folder: Path, **config: object) -> Path:
    folder.mkdir(parents=True)
    said = {"peft_type": "LORA", "base_model_name_or_path": "org/base", "r": 8, "lora_alpha": 16, **config}
    (folder / "adapter_config.json").write_text(json.dumps(said))
    (folder / "adapter_model.safetensors").write_bytes((2).to_bytes(8, "little") + b"{}")
    return folder


def cached(top: Path, repository: str, commit: str, **refs: str) -> Path:
    """A snapshot as huggingface_hub lays it out: links into blobs."""
    place = top / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / commit
    snapshot.mkdir(parents=True)
    (place / "blobs").mkdir(exist_ok=True)
    for file in zoo.checkpoint("qwen").iterdir():
        blob = place / "blobs" / f"{commit[:4]}{file.name}"
        shutil.copy(file, blob)
        (snapshot / file.name).symlink_to(os.path.relpath(blob, snapshot))
    for name, target in refs.items():
        ref = place / "refs" / name.replace("__", "/")
        ref.parent.mkdir(parents=True, exist_ok=True)
        ref.write_text(target)
    return snapshot


def test_plain_folders_of_models_and_adapters_are_found_at_any_place(tmp_path: Path) -> None:
    model(tmp_path / "x" / "y" / "m")
    adapter(tmp_path / "x" / "a")
    adapter(tmp_path / "x" / "y" / "m" / "checkpoint-10")
    listed = {(one.kind, one.folder.relative_to(tmp_path).as_posix(), one.trouble) for one in found(tmp_path)}
    assert listed == {
        ("model", "x/y/m", None), ("adapter", "x/a", None), ("adapter", "x/y/m/checkpoint-10", None)
    }  # fmt: skip


def test_a_hugging_face_cache_tells_repository_commit_and_branches(tmp_path: Path) -> None:
    snapshot = cached(tmp_path / "hub", "org/na-me_1.5", COMMIT, main=COMMIT, pr__1=COMMIT, old=OTHER)
    cached(tmp_path / "hub", "org/na-me_1.5", OTHER)
    (tmp_path / "hub" / "datasets--org--data" / "snapshots" / COMMIT).mkdir(parents=True)
    shutil.copy(zoo.checkpoint("qwen") / "config.json", tmp_path / "hub" / "datasets--org--data" / "snapshots" / COMMIT)
    first, second = found(tmp_path)
    assert (first.folder, first.origin.layout) == (snapshot, "huggingface")
    assert (first.origin.source, first.origin.revision) == ("org/na-me_1.5", COMMIT)
    assert first.origin.refs == ("main", "pr/1")
    assert (second.origin.revision, second.origin.refs) == (OTHER, ("old",))


def test_each_layout_of_modelscopes_cache_tells_its_repository(tmp_path: Path) -> None:
    places = {"hub/org/Old___5": "modelscope:org/Old.5", "hub/models/org/Mid___5": "modelscope:org/Mid.5",
              "models/org--New.5/snapshots/master": "modelscope:org/New.5"}  # fmt: skip
    for place in places:
        folder = model(tmp_path / place)
        (folder / ".msc").write_bytes(pickle.dumps([{"Path": "config.json"}]))
        (folder / ".mv").write_text("Revision:v1.0,CreatedAt:1700000000")
    (tmp_path / "hub" / "org" / "Old.5").symlink_to(tmp_path / "hub" / "org" / "Old___5")
    listed = {one.folder.relative_to(tmp_path).as_posix(): one.origin for one in found(tmp_path)}
    assert {place: origin.source for place, origin in listed.items()} == places
    assert {origin.revision for origin in listed.values()} == {"v1.0", "master"}


class _Bomb:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return (os.system, ("touch exploded",))


def test_the_pickles_of_modelscopes_client_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folder = model(tmp_path / "hub" / "org" / "m")
    for name in (".msc", ".mdl"):
        (folder / name).write_bytes(pickle.dumps(_Bomb()))
    assert [one.origin.source for one in found(tmp_path)] == ["modelscope:org/m"]
    assert not (tmp_path / "exploded").exists()


def test_circles_of_links_end_and_what_several_links_lead_to_is_found_once(tmp_path: Path) -> None:
    real = model(tmp_path / "z" / "real")
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "up").symlink_to(tmp_path)
    (tmp_path / "a" / "link").symlink_to(real)
    (tmp_path / "self").symlink_to(tmp_path / "self")
    (tmp_path / "nowhere").symlink_to(tmp_path / "missing")
    assert [one.folder for one in found(tmp_path, tmp_path / "a", depth=30)] == [real]


def test_a_link_out_of_the_folder_is_followed(tmp_path: Path) -> None:
    real = model(tmp_path / "disk" / "m")
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "m").symlink_to(real)
    assert [one.folder for one in found(tmp_path / "models")] == [real]


def test_what_lies_too_deep_is_left_out_and_said(tmp_path: Path) -> None:
    model(tmp_path / "1" / "2" / "3" / "m")
    notes: list[str] = []
    assert found(tmp_path, depth=3, notes=notes) == []
    assert notes == ["1 folders lie deeper than 3 and were not looked at: --depth"]
    assert len(found(tmp_path, depth=4)) == 1


@pytest.mark.parametrize(
    ("spoil", "trouble"),
    [
        (lambda m: (m / "model.safetensors").write_bytes(b"short"), "is not a safetensors file"),
        (lambda m: os.truncate(m / "model.safetensors", 6_000_000), "is cut short"),
        (lambda m: (m / "config.json").write_text("{"), "is not a JSON object"),
        (lambda m: (m / "config.json").write_text("[" * 100_000), "is not a JSON object"),
        (lambda m: (m / "config.json").write_text("{}"), "names no architecture"),
        (lambda m: (m / "model.safetensors").rename(m / "pytorch_model.bin"), "only as pytorch_model.bin"),
        (
            lambda m: (m / "model.safetensors.index.json").write_text('{"weight_map": {"t": "../../x.safetensors"}}'),
            "is not a safetensors file of this folder",
        ),
    ],
)
def test_a_model_that_cannot_be_used_is_listed_with_its_trouble(
    tmp_path: Path, spoil: Callable[[Path], object], trouble: str
) -> None:
    spoil(model(tmp_path / "m"))
    [one] = found(tmp_path)
    assert one.trouble is not None and trouble in one.trouble


def test_an_adapter_with_pickled_weights_is_listed_with_its_trouble(tmp_path: Path) -> None:
    folder = adapter(tmp_path / "a")
    (folder / "adapter_model.safetensors").rename(folder / "adapter_model.bin")
    [one] = found(tmp_path)
    assert one.trouble is not None and "has no adapter_model.safetensors" in one.trouble


def test_configurations_without_weights_and_other_programs_files_are_no_models(tmp_path: Path) -> None:
    (tmp_path / "only").mkdir()
    shutil.copy(zoo.checkpoint("qwen") / "config.json", tmp_path / "only")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "config.json").write_text('{"port": 80}')
    (tmp_path / "other" / "data.bin").write_bytes(b"x")
    search = Search(lambda _: None)
    assert list(search.below([tmp_path])) == []
    assert search.configs_only == 1


def test_a_folder_that_may_not_be_read_is_noted_and_the_rest_is_found(
    tmp_path: Path, unprivileged: Callable[[], None]
) -> None:
    model(tmp_path / "m")
    (tmp_path / "closed").mkdir(mode=0o000)
    script = (
        "import sys; from pathlib import Path; from fourways.hub.discover import Search\n"
        "print([one.folder.name for one in Search(print).below([Path(sys.argv[1])])])"
    )
    said = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=unprivileged,
    ).stdout.splitlines()
    (tmp_path / "closed").chmod(0o755)
    assert said == [f"{tmp_path / 'closed'} was left out: Permission denied", "['m']"]
