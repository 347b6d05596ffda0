"""Families are found by architecture, third parties' too; old layouts are named, with what to do."""

from __future__ import annotations

import importlib
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fourways.core.candidate import Checkpoint
from fourways.core.errors import CheckpointError
from fourways.families.registry import OLD_ARCHITECTURES, ORIGINAL_LAYOUTS, OURS, find_family, registered
from fourways.families.testing import FamilyContract

PACKAGES = Path(__file__).parent / "packages"


def install(packages: Path, *names: str) -> Iterator[None]:
    """Put packages with their metadata on the path, as an installer would."""
    folders = [str(packages / name) for name in names]
    sys.path[:0] = folders
    importlib.invalidate_caches()
    yield
    for folder in folders:
        sys.path.remove(folder)
    importlib.invalidate_caches()


@pytest.fixture(scope="class")
def toy_package() -> Iterator[None]:
    yield from install(PACKAGES, "toy_family")


@pytest.fixture
def broken_package() -> Iterator[None]:
    yield from install(PACKAGES, "broken_family")


@pytest.fixture
def rival_package() -> Iterator[None]:
    yield from install(PACKAGES, "toy_family", "rival_family")


@pytest.mark.usefixtures("toy_package")
class TestAFamilyFromAnotherPackage(FamilyContract):
    """Passes the suite that ours pass."""

    @pytest.fixture(scope="class")
    def checkpoint(self, toy_package: None, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
        toy = importlib.import_module("toy_family")
        made: Checkpoint = toy.make_checkpoint(tmp_path_factory.mktemp("toy"))
        return made


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("Qwen2VLForConditionalGeneration", "QwenVL"),
        ("Qwen2_5_VLForConditionalGeneration", "QwenVL"),
        ("Qwen3VLForConditionalGeneration", "QwenVL"),
        ("LlavaNextForConditionalGeneration", "LlavaNext"),
        ("InternVLForConditionalGeneration", "InternVL"),
    ],
)
def test_our_families_are_found_by_architecture(architecture: str, name: str) -> None:
    assert find_family(architecture).__name__ == name


@pytest.mark.parametrize("architecture", OLD_ARCHITECTURES)
def test_an_old_layout_is_named_with_what_to_use_instead(architecture: str) -> None:
    with pytest.raises(CheckpointError, match=architecture) as error:
        find_family(architecture)
    assert (error.value.hint or "").startswith("use ")


@pytest.mark.parametrize("architecture", ORIGINAL_LAYOUTS)
def test_an_authors_layout_is_named_with_the_command_that_converts_it(architecture: str) -> None:
    with pytest.raises(CheckpointError, match=architecture) as error:
        find_family(architecture, Path("/models/it's mine"))
    program, *words = shlex.split(error.value.hint or "")
    assert (program, words) == ("fourways", ["models", "convert", "/models/it's mine"])


def test_an_unknown_architecture_lists_the_known_ones() -> None:
    with pytest.raises(CheckpointError, match="BertModel") as error:
        find_family("BertModel")
    assert "LlavaNextForConditionalGeneration" in (error.value.hint or "")


@pytest.mark.usefixtures("broken_package")
def test_a_package_that_cannot_be_imported_spoils_nothing_and_is_named() -> None:
    assert "RuntimeError: out of order" in registered().broken["broken-toy"]
    assert find_family("LlavaNextForConditionalGeneration").__name__ == "LlavaNext"
    with pytest.raises(CheckpointError, match="broken-toy could not be imported"):
        find_family("BrokenToyForConditionalGeneration")


@pytest.mark.usefixtures("rival_package")
def test_an_architecture_that_two_packages_claim_is_refused() -> None:
    with pytest.raises(CheckpointError, match="claimed by several"):
        find_family("ToyForConditionalGeneration")


def test_ours_are_known_where_the_package_was_never_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fourways.families.registry.entry_points", lambda group: ())
    assert sorted(registered().families) == ["internvl", "llava-next", "qwen-vl"]


def test_ours_are_known_once_however_the_package_came(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = dict(registered().families)
    monkeypatch.setattr("fourways.families.registry.entry_points", lambda group: OURS)
    assert registered().families == alone
