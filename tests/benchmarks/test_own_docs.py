"""Every command of docs/your-own-benchmark.md runs, on made photographs, and says what the page says it does."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from typer.testing import CliRunner

from fourways.cli.main import app
from fourways.core.errors import BenchmarkFormatError

PAGE = Path(__file__).resolve().parents[2] / "docs/your-own-benchmark.md"


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text("utf-8")


@pytest.fixture(scope="module")
def folder(text: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the page's commands were run from top to bottom."""
    folder = tmp_path_factory.mktemp("ours")
    for number, name in enumerate(sorted(set(re.findall(r"photos/[a-z]+\.jpg", text)) - {"photos/hal.jpg"})):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (96, 64), (number * 70, 200 - number * 60, 90)).save(folder / name)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
            for command in re.findall(r"^cat > .*?^END$|^\S.*?$", block, re.DOTALL | re.MULTILINE):
                run(command)
    return folder


def run(command: str) -> None:
    if command.startswith("cat "):
        subprocess.run(["sh", "-c", command], check=True)
        return
    program, *words = shlex.split(command)
    assert program == "fourways"
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output


def figures(run: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((run / "summary.json").read_text())["figures"]
    return found


def test_the_page_has_commands(text: str) -> None:
    assert len(re.findall(r"^fourways compare ", text, re.MULTILINE)) == 4


@pytest.mark.parametrize(
    ("run", "candidates", "expected"),
    [
        ("first", 2, {"open:our-photos": {"exact", "vqa"}}),
        (
            "second",
            1,
            {
                "choice:our-choices": {"accuracy"},
                "yes_no:our-checks": {"accuracy", "f1", "precision", "recall", "yes_ratio"},
            },
        ),
        ("third", 1, {"choice:our-choices@rank": {"accuracy"}}),
        ("fourth", 1, {"open:our-photos": {"exact", "vqa"}, "yes_no:our-checks": {"accuracy"}}),
    ],
)
def test_each_run_has_the_figures_that_the_page_names(
    folder: Path, run: str, candidates: int, expected: dict[str, set[str]]
) -> None:
    found = figures(folder / run)
    assert len({figure["candidate"] for figure in found}) == candidates
    for key, metrics in expected.items():
        assert metrics <= {figure["metric"] for figure in found if figure["labels"].get("benchmark") == key}
    assert (folder / run / "report.html").is_file()


def test_the_map_of_columns_is_kept_in_the_run(folder: Path) -> None:
    suite = {entry["key"]: entry for entry in json.loads((folder / "fourth/run.json").read_text())["suite"]}
    assert suite["open:our-photos"]["columns"] == {"question": "q", "answers": "label", "image": "file"}
    assert suite["yes_no:our-checks"]["columns"] == {}


def test_a_missing_photograph_is_named_as_the_page_says(
    folder: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.chdir(folder)
    table = Path("our-photos.csv")
    Path("broken.csv").write_text(table.read_text().replace("photos/hall.jpg", "photos/hal.jpg"))
    done = CliRunner().invoke(
        app, ["compare", "zoo:qwen", "--axes", "accuracy", "--suite", "open:x=broken.csv", "--out", "no"]
    )
    assert isinstance(done.exception, BenchmarkFormatError) and not Path("no").exists()
    said = re.search(r"```text\nerror: our-photos\.csv, (.*)\nhint: (.*)\n```", text)
    assert said is not None
    assert (done.exception.message, done.exception.hint) == (f"broken.csv, {said[1]}", said[2])


def test_every_column_of_the_page_is_one_that_is_read(text: str) -> None:
    from fourways.benchmarks.own import KINDS

    table = text[text.index("| column | kinds") :].split("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`([a-z_]+|[A-Z])`", row.split("|")[1])}
    read = {role for kind in KINDS.values() for role in kind.roles}
    assert named == {role for role in read if len(role) > 1} | {"A", "B"}
