"""docs/models.md has the table as it is now, and the recipe with standard tools gives the identity."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from fourways import zoo
from fourways.hub.manifest import KNOWN, fill, make, table, write_manifest
from fourways.hub.manifest.table import written_into

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"


def test_the_page_has_the_table_as_it_is_now() -> None:
    page = PAGE.read_text("utf-8")
    assert page == written_into(page), "run `python -m fourways.hub.manifest.table docs/models.md`"
    assert all(f"| {known.name} |" in page for known in KNOWN)


def test_a_page_without_a_place_for_it_is_refused() -> None:
    with pytest.raises(ValueError, match="0 places"):
        written_into("# Models\n")


def test_every_row_has_every_column() -> None:
    assert {line.count("|") for line in table().splitlines()} == {8}


def test_the_recipe_with_standard_tools_gives_the_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOURWAYS_CACHE", str(tmp_path / "cache"))
    folder = Path(shutil.copytree(zoo.checkpoint("llava"), tmp_path / "model"))
    made = fill(make(folder), folder)
    write_manifest(made, folder)
    (recipe,) = re.findall(r"^    (sha256sum .*)$", PAGE.read_text("utf-8"), re.MULTILINE)
    told = subprocess.run(["/bin/sh", "-c", recipe], cwd=folder, capture_output=True, text=True, timeout=30, check=True)
    assert told.stdout.split()[0] == made.identity
