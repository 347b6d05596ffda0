"""docs/models.md has the table as it is now, and the recipe with standard tools gives the identity."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from fourways import zoo
from fourways.hub.manifest import KNOWN, Known, fill, make, table, write_manifest
from fourways.hub.manifest.table import written_into

PAGE = Path(__file__).resolve().parents[2] / "docs" / "models.md"


def test_the_page_has_the_table_as_it_is_now() -> None:
    page = PAGE.read_text("utf-8")
    assert page == written_into(page), "run `python -m fourways.hub.manifest.table docs/models.md`"
    assert all(f"| {known.name} |" in page for known in KNOWN)


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_the_table_says_what_the_manifest_of_a_checkpoint_says(known: Known, tmp_path: Path) -> None:
    """Of each class there is a checkpoint of one tensor; its manifest and the row agree in every column."""
    row = next(line for line in table().splitlines() if line.startswith(f"| {known.name} |"))
    _, classes, takes, formats, least, family, hot_swap = (cell.strip() for cell in row.strip("|").split("|"))
    for number, (name, layout) in enumerate(
        [*((one, "transformers") for one in known.classes), *((one, "original") for one in known.original)]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        vision, grids = {"model_type": known.vision}, [[336, 672]] if known.name == "llava-next" else []
        config = {"architectures": [name], "vision_config": vision, "image_grid_pinpoints": grids}
        (folder / "config.json").write_text(json.dumps(config))
        save_file({next(iter(known.parts)): np.zeros(4, np.float16)}, folder / "model.safetensors")
        made = make(folder)
        assert (made.architecture, made.layout) == (known.name, layout) and f"`{name}`" in classes
        assert ", ".join(made.modalities) == takes
        if layout == "original":
            assert made.formats == ("safetensors-original",)
            assert ("original layout, converted" in formats) == (known.family is not None)
            assert (made.requires, made.family_entry_point, made.hot_swap) == ({}, None, "none")
        else:
            assert made.formats == ("safetensors",)
            assert ("safetensors" in formats.split("; ")) == (made.family_entry_point is not None)
            assert (least, family) == (f"{made.requires['transformers']} or later", made.family_entry_point or "none")
            assert made.hot_swap == hot_swap


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
