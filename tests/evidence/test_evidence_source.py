"""The header's word on its source: every change of the package shows, and nothing else does."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import fourways
from fourways.core.run import SourceState
from fourways.evidence.source import source_state

_NOBODY = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false"]


def git(folder: Path, *arguments: str) -> str:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    done = subprocess.run(
        ["git", "-C", str(folder), *_NOBODY, *arguments], capture_output=True, text=True, check=True, env=clean
    )
    return done.stdout.strip()


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout whose src/fourways is taken for the running source."""
    folder = tmp_path / "checkout" / "src" / "fourways"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "part.py").write_text("x = 1\n")
    (folder.parents[1] / "README.md").write_text("read me")
    (folder.parents[1] / ".gitignore").write_text("__pycache__/\n")
    git(folder.parents[1], "init", "-q", "-b", "work")
    git(folder, "add", "-A", str(folder.parents[1]))
    git(folder, "commit", "-q", "-m", "first")
    monkeypatch.setattr(fourways, "__file__", str(folder / "__init__.py"))
    return folder


def test_a_clean_checkout_is_its_commit(package: Path) -> None:
    state = source_state()
    assert state.commit == git(package, "rev-parse", "HEAD")
    assert state.branch == "work"
    assert state.commit_date == git(package, "show", "-s", "--format=%cI")
    assert (state.dirty, state.diff_sha256) == (False, None)


def test_a_commit_that_was_checked_out_by_itself_is_on_no_branch(package: Path) -> None:
    git(package, "checkout", "-q", "--detach")
    assert source_state().commit == git(package, "rev-parse", "HEAD")
    assert source_state().branch is None


def edited(package: Path) -> None:
    (package / "part.py").write_text("x = 2\n")


def staged(package: Path) -> None:
    edited(package)
    git(package, "add", "part.py")


def untracked(package: Path) -> None:
    (package / "new.py").write_text("y = 1\n")


def deleted(package: Path) -> None:
    (package / "part.py").unlink()


def renamed(package: Path) -> None:
    git(package, "mv", "part.py", "whole.py")


def odd_name(package: Path) -> None:
    (package / "naïve\nname.py").write_bytes(b"\xff")


@pytest.mark.parametrize("change", [edited, staged, untracked, deleted, renamed, odd_name])
def test_every_change_of_the_package_makes_it_dirty_with_a_digest_of_its_own(package: Path, change: object) -> None:
    assert callable(change)
    change(package)
    state = source_state()
    assert state.dirty is True
    assert state.diff_sha256 is not None and len(state.diff_sha256) == 64
    (package / "another.py").write_text("z = 1\n")
    assert source_state().diff_sha256 != state.diff_sha256


def test_the_same_change_has_the_same_digest_staged_or_not_and_under_any_git_configuration(package: Path) -> None:
    edited(package)
    before = source_state().diff_sha256
    git(package, "add", "part.py")
    for key, value in (
        ("diff.noprefix", "true"),
        ("color.ui", "always"),
        ("diff.context", "9"),
        ("core.quotePath", "true"),
    ):
        git(package, "config", key, value)
    assert source_state().diff_sha256 == before


def test_what_is_no_part_of_the_package_or_ignored_or_only_touched_is_no_change(package: Path) -> None:
    (package.parents[1] / "README.md").write_text("changed")
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "part.pyc").write_bytes(b"\0")
    os.utime(package / "part.py", (1, 1))
    assert source_state().dirty is False


def test_the_repository_of_a_hook_that_started_us_is_not_taken_for_ours(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    git(other, "init", "-q")
    expected = source_state()
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert source_state() == expected


def test_looking_writes_nothing(package: Path) -> None:
    os.utime(package / "part.py", (1, 1))
    index = package.parents[1] / ".git" / "index"
    before = index.read_bytes()
    source_state()
    assert index.read_bytes() == before


def test_outside_a_checkout_only_the_version_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fourways, "__file__", str(tmp_path / "site-packages" / "fourways" / "__init__.py"))
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    assert source_state() == SourceState(version=fourways.__version__)


def test_a_package_installed_inside_somebody_elses_checkout_is_not_that_checkout(
    package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = package.parents[1] / ".venv" / "fourways"
    inside.mkdir(parents=True)
    (inside / "__init__.py").write_text("")
    monkeypatch.setattr(fourways, "__file__", str(inside / "__init__.py"))
    assert source_state().commit is None
