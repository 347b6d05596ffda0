"""`fourways score`: what it prints, what it says of what is odd, and how it refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from typer.testing import CliRunner, Result

from fourways.cli.main import app
from fourways.cli.scorecard import SCORE_SCHEMA, Score
from fourways.core.errors import UserError

ROOT = Path(__file__).parents[2]
GOLDEN = json.loads((ROOT / "tests" / "data" / "kit_rules_golden.json").read_text())


@pytest.fixture
def mme(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    folder.mkdir()
    for task, lines in GOLDEN["mme"]["lines"].items():
        (folder / f"{task}.txt").write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    return folder


def score(*words: str) -> Result:
    result = CliRunner().invoke(app, ["score", *words])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def as_json(*words: str) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(score(*words, "--json").stdout)
    return made


def test_every_official_figure_of_mme_is_printed_with_its_interval_and_n(mme: Path) -> None:
    lines = score("mme", str(mme)).stdout.splitlines()
    for half in ("Perception", "Cognition"):
        expected = GOLDEN["mme"]["official"][half]
        assert any(f"mme_{half.lower()}" in line and f"{expected['total']:.2f}" in line for line in lines)
        for task, (acc, acc_plus, points) in expected["tasks"].items():
            mine = [line for line in lines if f" {task} " in line]
            assert f"{100 * acc:.2f} %" in mine[0]
            assert f"{100 * acc_plus:.2f} %" in mine[1]
            assert f"{points:.2f} of 200" in mine[2]
    assert any(line.startswith("unparsed: ") and "counted as wrong" in line for line in lines)
    assert "rule: official (MME evaluation tool, calculation.py)" in lines[1]
    assert sum(" – " in line for line in lines) == len(as_json("mme", str(mme))["figures"])


def test_json_holds_everything_and_follows_the_published_schema(mme: Path) -> None:
    made = as_json("mme", str(mme))
    published = json.loads((ROOT / "docs" / "score.v1.schema.json").read_text())
    jsonschema.validate(made, published)
    assert published == {**msgspec.json.schema(Score), "$id": SCORE_SCHEMA}
    primary = [figure for figure in made["figures"] if figure["primary"]]
    total = sum(half["total"] for half in GOLDEN["mme"]["official"].values())
    assert [figure["metric"] for figure in primary] == ["mme_sum"]
    assert primary[0]["value"] == pytest.approx(total, rel=1e-14)
    assert primary[0]["low"] < primary[0]["value"] < primary[0]["high"]
    assert set(made["definitions"]) == {figure["definition"] for figure in made["figures"]}
    assert all(made["definitions"].values())
    assert len(made["predictions"]["sha256"]) == 64


def test_no_path_of_the_machine_stands_in_the_record(mme: Path) -> None:
    assert str(mme.parent) not in score("mme", str(mme), "--json").stdout


def test_what_is_odd_is_counted_and_shown(mme: Path) -> None:
    (mme / "OCR.txt").unlink()
    (mme / "notes.txt").write_text("mine")
    printed = score("mme", str(mme)).stdout
    assert "1 × subtask without a file" in printed
    assert "1 × text file that is no subtask's, left out (notes.txt)" in printed


def test_another_rule_gives_other_figures_under_other_names(mme: Path) -> None:
    official, kit = as_json("mme", str(mme)), as_json("mme", str(mme), "--rule", "vlmevalkit")
    assert not set(official["definitions"]) & set(kit["definitions"])
    assert official["figures"][0]["value"] != kit["figures"][0]["value"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("mmme", "x"), "'mmme' cannot be scored"),
        (("mme", "x", "--rule", "mine"), "--rule 'mine' is not known for mme"),
        (("mme", "x", "--boxes", "qwen-vl"), "mme has none"),
        (("refcoco", "x", "--boxes", "best"), "--boxes 'best' is not known"),
        (("mme", "nowhere"), "nowhere: no such file or folder"),
    ],
)
def test_what_cannot_be_is_one_line_and_a_hint(words: tuple[str, ...], message: str) -> None:
    with pytest.raises(UserError) as caught:
        score(*words)
    assert message in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 2


def test_replies_with_boxes_need_a_declared_format(tmp_path: Path) -> None:
    path = tmp_path / "refcoco_val.jsonl"
    path.write_text('{"answer": "(1,1),(500,500)", "gt_bbox": [0, 0, 50, 50], "hw": [100, 100]}')
    with pytest.raises(UserError, match="need --boxes"):
        score("refcoco", str(path))
    assert as_json("refcoco", str(path), "--boxes", "qwen-vl")["rule"] == "qwen-vl"
    assert as_json("refcoco", str(path), "--boxes", "qwen-vl", "--rule", "declared")["rule"] == "declared"
    assert as_json("refcoco", str(path), "--boxes", "qwen2-vl", "--rule", "official")["rule"] == "declared"


def test_vqa_is_printed_with_the_official_two_decimals(tmp_path: Path) -> None:
    (tmp_path / "annotations.json").write_text(json.dumps({"annotations": GOLDEN["vqa"]["annotations"]}))
    (tmp_path / "results.json").write_text(json.dumps(GOLDEN["vqa"]["results"]))
    words = ("vqav2", str(tmp_path / "results.json"), "--gold", str(tmp_path / "annotations.json"))
    assert f"{GOLDEN['vqa']['github'][0]:.2f} %" in score(*words).stdout
    made = as_json(*words, "--rule", "always")
    assert (made["figures"][0]["printed"], made["figures"][0]["printed_unit"]) == (
        GOLDEN["vqa"]["always"][0],
        "percent",
    )


def test_scoring_loads_neither_torch_nor_what_it_does_not_read(mme: Path) -> None:
    code = (
        "import sys; from fourways.cli import main; sys.argv = ['fourways', 'score', 'mme', sys.argv[1]]\n"
        "try: main()\nexcept SystemExit: pass\n"
        "print(sorted({'torch', 'transformers', 'openpyxl', 'scipy.stats', 'pandas', 'datasets'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(mme)], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
