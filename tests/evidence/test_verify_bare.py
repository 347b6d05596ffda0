"""The recipe of docs/evidence.md: a signed run is verified with gpg and sha256sum alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fourways.core.run_files import SIGNATURE_FILE, STATEMENT_FILE

DOCS = Path(__file__).parents[2] / "docs" / "evidence.md"
TOOLS = ("gpg", "gpg-agent", "sed", "sha256sum", "mktemp")


@pytest.fixture(scope="module")
def recipe() -> str:
    """The page's own lines, so that they cannot fall behind."""
    found = re.search(r"<!-- recipe -->\n+```sh\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A PATH with these tools and no others: no python, no jq, no openssl."""
    folder = tmp_path_factory.mktemp("bin")
    for tool in TOOLS:
        found = shutil.which(tool)
        assert found is not None, tool
        (folder / tool).symlink_to(found)
    return folder


@pytest.fixture
def place(tmp_path: Path, signed_copy: Path, allow_alice: Path) -> Iterator[Path]:
    """A folder with the run and the key, and nothing else; its agents end with the test."""
    shutil.copyfile(allow_alice, tmp_path / "alice.asc")
    signed_copy.rename(tmp_path / "run")
    with tempfile.TemporaryDirectory(prefix="fw") as short:  # an agent's socket has a path of at most 107 bytes
        (tmp_path / "tmp").symlink_to(short)
        yield tmp_path
        for home in Path(short).glob("tmp.*"):
            subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)


def run_recipe(recipe: str, place: Path, tools: Path) -> subprocess.CompletedProcess[str]:
    """In an empty environment, every line of which must succeed."""
    script = f"set -e\n{recipe}".replace("RUN", "run")
    bare = {"PATH": str(tools), "TMPDIR": str((place / "tmp").resolve()), "HOME": str(place / "nobody")}
    return subprocess.run(
        ["/bin/sh", "-c", script], cwd=place, env=bare, capture_output=True, text=True, errors="replace", check=False
    )


def test_a_signed_run_is_verified_with_gpg_and_sha256sum_alone(recipe: str, place: Path, tools: Path) -> None:
    done = run_recipe(recipe, place, tools)
    assert done.returncode == 0, done.stderr
    assert "Good signature" in done.stderr
    covered = [path.name for path in (place / "run").iterdir() if path.name not in (STATEMENT_FILE, SIGNATURE_FILE)]
    assert sorted(done.stdout.splitlines()[-len(covered) :]) == sorted(f"{name}: OK" for name in covered)


@pytest.mark.parametrize("name", ["rows.jsonl", "summary.json", "report.html", STATEMENT_FILE, SIGNATURE_FILE])
def test_a_changed_file_fails_the_recipe(recipe: str, place: Path, tools: Path, name: str) -> None:
    content = bytearray((place / "run" / name).read_bytes())
    content[len(content) // 2] ^= 1
    (place / "run" / name).write_bytes(content)
    done = run_recipe(recipe, place, tools)
    assert done.returncode != 0


def test_a_key_that_did_not_sign_fails_the_recipe(recipe: str, place: Path, tools: Path, keyring: object) -> None:
    keyring.public("mallory@example.org", place / "alice.asc")  # type: ignore[attr-defined]  # the tests' Keyring
    assert run_recipe(recipe, place, tools).returncode != 0


def test_a_statement_in_another_layout_fails_the_recipe(recipe: str, place: Path, tools: Path) -> None:
    """sed would find no file in it, and nothing checked is no success."""
    import json

    statement = place / "run" / STATEMENT_FILE
    statement.write_text(json.dumps(json.loads(statement.read_bytes())))
    only_sums = recipe[recipe.index("cd ") :]
    assert run_recipe(only_sums, place, tools).returncode != 0
