"""fourways.model.json is written whole and believed by nobody who has not checked it."""

from __future__ import annotations

import hashlib
import json
from itertools import permutations
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways import zoo
from fourways.core.errors import CheckpointError, FourwaysError
from fourways.core.manifest import Manifest, ManifestFile, identity_of
from fourways.evidence import load_schema
from fourways.evidence.redact import redact
from fourways.hub.manifest import fill, is_safe_name, make, manifest_json, read_manifest, write_manifest


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    folder = zoo.checkpoint("internvl")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOURWAYS_CACHE", str(tmp_path_factory.mktemp("cache")))
        return fill(make(folder), folder)


def test_what_is_written_is_read_again(made: Manifest, tmp_path: Path) -> None:
    assert write_manifest(made, tmp_path) == tmp_path / "fourways.model.json"
    assert read_manifest(tmp_path) == made
    assert read_manifest(write_manifest(made, tmp_path / "other.json")) == made


def test_a_pending_manifest_is_a_manifest_too(tmp_path: Path) -> None:
    pending = make(zoo.checkpoint("qwen"))
    write_manifest(pending, tmp_path)
    assert read_manifest(tmp_path) == pending


def test_it_passes_its_published_schema_and_another_file_does_not(made: Manifest) -> None:
    validator = jsonschema.Draft202012Validator(load_schema("model"))
    content = json.loads(manifest_json(made))
    validator.validate(content)
    for broken in ({**content, "architecture": "bert"}, {k: v for k, v in content.items() if k != "files"}):
        with pytest.raises(jsonschema.ValidationError):
            validator.validate(broken)


def test_nothing_in_it_looks_like_a_secret_to_the_header(made: Manifest) -> None:
    """The header of a run redacts its strings; a manifest must pass through unchanged."""
    strings = [one for one in json.dumps(json.loads(manifest_json(made))).split('"') if one]
    assert [redact(one) for one in strings] == strings


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema": "fourways.model/v2"}, "its schema is 'fourways.model/v2', not fourways.model/v1"),
        ({"schema": None}, "is no manifest"),
        ({"architecture": "bert"}, "is no manifest"),
        ({"identity": "0" * 64}, "its identity is not that of the digests it lists"),
        ({"identity": None}, "its identity is not that of the digests it lists"),
        ({"hashes": "pending"}, "its hashes are pending, and its digests say otherwise"),
        ({"tensors": -1}, "a count is below 0"),
        ({"parts": {"connector": {"tensors": 1, "parameters": -5, "bytes": 1}}}, "a count is below 0"),
        ({"files": []}, "its identity is not"),
        ({"shards": "3"}, "is no manifest"),
    ],
)
def test_a_manifest_that_does_not_agree_with_itself_is_refused(
    made: Manifest, change: dict[str, Any], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "fourways.model.json"
    file.write_text(json.dumps({**json.loads(manifest_json(made)), **change}))
    with pytest.raises(CheckpointError, match=said) as caught:
        read_manifest(file)
    assert caught.value.hint


def listing(*files: tuple[str, int, str | None]) -> dict[str, Any]:
    entries = [ManifestFile(*file) for file in files]
    identity = identity_of(entries)
    return {
        "files": [{"name": n, "bytes": b, "sha256": d} for n, b, d in files],
        "identity": identity,
        "hashes": "pending" if identity is None else "complete",
    }


GOOD = "ab" * 32


def test_the_identity_is_of_names_and_digests_sorted_by_name_as_sha256sum_writes_them() -> None:
    files = [ManifestFile("b", 1, "11" * 32), ManifestFile("A", 2, "22" * 32), ManifestFile("a", 3, GOOD)]
    lines = f"{'22' * 32}  A\n{GOOD}  a\n{'11' * 32}  b\n"
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert {identity_of(order) for order in permutations(files)} == {expected}
    assert identity_of([*files, ManifestFile("c", 1)]) is None


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([("../../etc/passwd", 1, GOOD)], "no name of a file inside the folder"),
        ([("/etc/passwd", 1, GOOD)], "no name of a file inside the folder"),
        ([("a", 1, GOOD), ("a", 1, GOOD)], "names a file twice"),
        ([("a", -1, GOOD)], "a has -1 bytes"),
        ([("a", 1, GOOD.upper())], "the digest of a is no SHA-256"),
        ([("a", 1, "")], "the digest of a is no SHA-256"),
    ],
)
def test_files_that_it_must_not_name_are_refused(
    made: Manifest, files: list[tuple[str, int, str | None]], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "fourways.model.json"
    file.write_text(json.dumps({**json.loads(manifest_json(made)), **listing(*files)}))
    with pytest.raises(CheckpointError, match=said):
        read_manifest(file)


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "a/../b", "a//b", "/a", "a/", "./a", "..\\a", "C:a", "a\x00b", "a\nb", "a\x7f", "a" * 1001],
)
def test_a_name_that_leads_elsewhere_is_not_safe(name: str) -> None:
    assert not is_safe_name(name)


@given(st.text(max_size=30))
def test_a_safe_name_stays_in_its_folder(name: str) -> None:
    if is_safe_name(name):
        folder = Path("/somewhere/model")
        assert (folder / name).is_relative_to(folder)
        assert ".." not in (folder / name).parts
        assert (folder / name).as_posix() == f"{folder.as_posix()}/{name}"


@pytest.mark.parametrize("name", ["model.safetensors", "a/b.json", "..gitignore", "ä 中.json", "...", "-rf"])
def test_an_ordinary_name_is_safe(name: str) -> None:
    assert is_safe_name(name)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 200_000, b"null"])
def test_what_is_no_manifest_is_called_that(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "fourways.model.json").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"fourways\.model\.json is no manifest"):
        read_manifest(tmp_path)


def test_a_file_too_large_for_a_manifest_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "fourways.model.json").open("wb") as stream:
        stream.truncate(1 << 34)
    with pytest.raises(CheckpointError, match="no file of at most 16 MiB"):
        read_manifest(tmp_path)


def test_no_manifest_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no manifest"):
        read_manifest(tmp_path)


def test_a_place_that_cannot_be_written_is_named(made: Manifest, tmp_path: Path) -> None:
    with pytest.raises(FourwaysError, match="could not be written"):
        write_manifest(made, tmp_path / "nowhere" / "file.json")
