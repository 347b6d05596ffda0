"""What `fourways export` writes, `fourways score` reads: the run's own figures come back."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import msgspec
import openpyxl
import pytest
from typer.testing import CliRunner

from fourways.benchmarks import registry
from fourways.benchmarks.answered import OPTION
from fourways.benchmarks.contract import Sample
from fourways.benchmarks.predictions import Answer, answer_rows
from fourways.cli.main import app
from fourways.core.boxes import BoxFormat
from fourways.core.candidate import Candidate
from fourways.core.engine import EngineInfo
from fourways.core.errors import UserError
from fourways.core.events import VisualGeometry
from fourways.core.rows import ROWS_SCHEMA, AnswerRow, RowsHeader
from fourways.core.run import (
    RUN_SCHEMA,
    BenchmarkRecord,
    CandidateRecord,
    ClockRecord,
    Environment,
    RunHeader,
    SourceState,
)
from fourways.figures import compute

BOXES = BoxFormat("seen_pixels", "json_bbox_2d")
REPLIES = ("Yes", "no", "Yes, no sign", "B.", "=1+1", "+x", "-5", "@me", "the answer is B", "A", "two", "a\nb", "\x0bA",
           "cat")  # fmt: skip


def sample(key: str, number: int) -> Sample:
    """A sample such as the benchmark's own reader makes."""
    base = Sample(f"{number}", f"{number}", f"image {number // 2}", bytes, f"Question {number}?", ("A",), "animals")
    fields: dict[str, object] = {}
    options = {"A": "cat", "B": "dog"}
    if key == "mme":
        place = number % 2
        group = f"color/{number // 2:04d}"
        fields = {"id": f"{group}/{place}", "group": group, "gold": ("no" if place else "yes",), "category": "color"}
    if key.startswith("mmbench"):
        index = number // 2 + (number % 2) * 1_000_000
        fields = {"id": str(index), "group": str(number // 2), "options": options,
                  "extra": {"l2_category": "logic_reasoning"}}  # fmt: skip
    if key in ("mmstar", "realworldqa", "choice:mine"):
        fields = {"options": options, "extra": {"l2_category": "fine"} if key == "mmstar" else {}}
    if key == "choice:mine":
        fields |= {"group": f"asked together {number // 3}"}
    if key in ("pope", "yes_no:mine"):
        fields = {"gold": ("yes" if number % 3 else "no",), "category": "random" if key == "pope" else "animals"}
    if key == "refcoco":
        fields = {"gold": (1.5, 2.25, 30.0, 40.0), "category": "refcoco_val",
                  "extra": {"width": "64", "height": "48"}}  # fmt: skip
    if key == "open:mine":
        fields = {"gold": ("two", "2") if number % 2 else ("cat",)}
    if key == "vqav2":
        fields = {"gold": (*("two",) * 4, *("cat",) * 6), "extra": {"question_type": "how many"}}
    return Sample(**{name: fields.get(name, getattr(base, name)) for name in Sample.__slots__})  # type: ignore[arg-type]  # by their names


def rows_of(key: str, candidate: str) -> Iterator[AnswerRow]:
    benchmark = registry.get(key)
    seen = (VisualGeometry((64, 48), (128, 96), 1, 4, False),) if key == "refcoco" else ()
    replies = (*REPLIES, '[{"bbox_2d": [3, 4, 60, 80]}]', '[{"bbox_2d": [0, 0, 9, 9]}]')
    answers = [Answer(sample(key, n), replies[n * 7 % len(replies)], seen) for n in range(48)]
    for row in answer_rows(benchmark, answers, candidate, BOXES):
        options = {f"{OPTION}{letter}": text for letter, text in sample(key, 0).options.items()}
        yield msgspec.structs.replace(row, extra={**row.extra, **options})


def write_run(folder: Path, rows: list[AnswerRow], candidates: tuple[str, ...] = ("zoo:qwen",)) -> Path:
    folder.mkdir()
    info = EngineInfo("local", "qwen2.5-vl", BOXES, frozenset({"generate"}), {})
    keys = dict.fromkeys(row.benchmark for row in rows)
    header = RunHeader(
        schema=RUN_SCHEMA, run_id="r", started="2026-11-22T10:00:00+00:00", argv=("fourways",), source=SourceState("0"),
        seed=7, axes=("accuracy",), limit=None, quick=False,
        candidates=tuple(CandidateRecord(Candidate(one, model=one), None, {}, info) for one in candidates),
        suite=tuple(BenchmarkRecord(key, key, key, "0" * 64, 1, 1, 1, "0" * 64, "dev v1.1") for key in keys),
        definitions={}, environment=Environment("cpu", 1, 1, 1, "Linux", "6", "3.11", {}),
        clock=ClockRecord("c", 1.0, 0.0, ""),
    )  # fmt: skip
    (folder / "run.json").write_bytes(msgspec.json.encode(header))
    lines = [RowsHeader(ROWS_SCHEMA, "r", None, None, None), *rows]
    (folder / "rows.jsonl").write_bytes(b"".join(msgspec.json.encode(line) + b"\n" for line in lines))
    return folder


def export(run: Path, to: str, out: Path, *more: str) -> list[Path]:
    result = CliRunner().invoke(app, ["export", str(run), "--to", to, "--out", str(out), *more])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return sorted(out.iterdir())


def scored(*words: str) -> dict[tuple[str, ...], tuple[float | None, float | None, float | None, int]]:
    result = CliRunner().invoke(app, ["score", *words, "--json"])
    if result.exception is not None:
        raise result.exception
    figures = json.loads(result.stdout)["figures"]
    return {(f["metric"], *f["labels"].values()): (f["value"], f["low"], f["high"], f["n"]) for f in figures}


def own(rows: list[AnswerRow]) -> dict[tuple[str, ...], tuple[float | None, float | None, float | None, int]]:
    """The run's figures, as its summary has them."""
    return {
        (f.metric, *(text for name, text in f.labels.items() if name != "benchmark")): (f.value, f.low, f.high, f.n)
        for f in compute(rows)
        if "benchmark" in f.labels
    }


RULES = {"vqav2": "always", "refcoco": "declared", "mmstar": "official"}
ALL = ("mme", "mmbench_en", "mmbench_cn", "realworldqa", "pope", "mmstar", "refcoco", "choice:mine", "yes_no:mine",
       "open:mine")  # fmt: skip


@pytest.mark.parametrize("to", ["vlmevalkit", "lmms-eval"])
@pytest.mark.parametrize("key", ALL)
def test_scoring_an_export_gives_the_runs_own_figures(key: str, to: str, tmp_path: Path) -> None:
    rows = list(rows_of(key, "zoo:qwen"))
    (path,) = export(write_run(tmp_path / "run", rows), to, tmp_path / "out")
    rule = ("--rule", RULES[key]) if key in RULES else ()
    found, expected = scored(key, str(path), *rule), own(rows)
    shared = [name for name in found if name in expected]
    assert shared
    for name in shared:
        assert found[name] == pytest.approx(expected[name], rel=1e-12), name


def test_what_a_form_has_no_place_for_is_said(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [*rows_of("pope", "a"), *rows_of("vqav2", "a")])
    for to, told in (("vlmevalkit", True), ("lmms-eval", False)):
        said = CliRunner().invoke(app, ["export", str(run), "--to", to, "--out", str(tmp_path / to)])
        assert said.exit_code == 0
        assert ("note: vlmevalkit has no form for vqav2: left out" in said.output) == told


def test_a_submission_to_vqa_is_scored_like_the_run(tmp_path: Path) -> None:
    rows = list(rows_of("vqav2", "zoo:qwen"))
    gold = tmp_path / "annotations.json"
    people = [
        {"question_id": int(row.sample), "image_id": row.image, "question_type": "how many",
         "answer_type": row.category, "answers": [{"answer": text} for text in row.gold]}
        for row in rows
    ]  # fmt: skip
    gold.write_text(json.dumps({"annotations": people}))
    run = write_run(tmp_path / "run", rows)
    for to in ("vqav2-submission", "lmms-eval"):
        (path,) = export(run, to, tmp_path / to)
        found = scored("vqav2", str(path), "--gold", str(gold), "--rule", "always")
        for name, figure in own(rows).items():
            if name in found:
                assert found[name] == pytest.approx(figure, abs=1e-12)
    results = json.loads((tmp_path / "vqav2-submission" / "zoo-qwen_vqav2_dev-v1.1.json").read_text())
    assert {type(one["question_id"]) for one in results} == {int}
    assert len(results) == len(rows)


def test_a_run_folder_is_scored_again_under_another_rule(tmp_path: Path) -> None:
    rows = list(rows_of("mme", "zoo:qwen"))
    run = write_run(tmp_path / "run", rows)
    assert scored("mme", str(run))["mme_sum",] == own(rows)["mme_sum",]
    assert scored("mme", str(run), "--rule", "vlmevalkit")["mme_sum",] != own(rows)["mme_sum",]


def test_a_submission_to_mmbench_has_the_columns_that_the_server_wants(tmp_path: Path) -> None:
    rows = list(rows_of("mmbench_en", "zoo:qwen"))
    (path,) = export(write_run(tmp_path / "run", rows), "mmbench-submission", tmp_path / "out")
    sheet = openpyxl.load_workbook(path).worksheets[0]
    lines = list(sheet.iter_rows(values_only=True))
    assert lines[0] == ("index", "question", "A", "B", "C", "D", "prediction")
    assert len(lines) == len(rows) + 1
    assert all(isinstance(line[0], int) for line in lines[1:])


def test_no_reply_becomes_a_formula(tmp_path: Path) -> None:
    (path,) = export(write_run(tmp_path / "run", list(rows_of("mme", "zoo:qwen"))), "vlmevalkit", tmp_path / "out")
    cells = [cell for row in openpyxl.load_workbook(path).worksheets[0].iter_rows() for cell in row]
    assert {cell.value for cell in cells} >= {"=1+1", "+x", "-5", "@me"}
    assert not any(cell.data_type == "f" for cell in cells)


def test_a_reply_longer_than_a_cell_makes_the_table_tsv(tmp_path: Path) -> None:
    rows = list(rows_of("mme", "zoo:qwen"))
    right = next(place for place, row in enumerate(rows) if row.gold == ("yes",) and row.score == 1)
    rows[right] = msgspec.structs.replace(rows[right], reply="Yes " + 'x\t"y"\n' * 20_000)
    (path,) = export(write_run(tmp_path / "run", rows), "vlmevalkit", tmp_path / "out")
    assert path.name == "zoo-qwen_MME.tsv"
    assert scored("mme", str(path))["mme_sum",] == own(rows)["mme_sum",]


def test_each_candidate_has_its_file_and_none_is_overwritten(tmp_path: Path) -> None:
    rows = [*rows_of("pope", "a"), *rows_of("pope", "b")]
    run = write_run(tmp_path / "run", rows, ("a", "b"))
    assert [path.name for path in export(run, "vlmevalkit", tmp_path / "out")] == ["a_POPE.xlsx", "b_POPE.xlsx"]
    with pytest.raises(UserError, match="already"):
        export(run, "vlmevalkit", tmp_path / "out")
    assert len(export(run, "lmms-eval", tmp_path / "one", "--candidate", "b")) == 1
    with pytest.raises(UserError, match="no candidate is called"):
        export(run, "lmms-eval", tmp_path / "two", "--candidate", "c")
    with pytest.raises(UserError, match="nothing in it is for"):
        export(run, "vqav2-submission", tmp_path / "three")
    with pytest.raises(UserError, match="is not known"):
        export(run, "excel", tmp_path / "four")


def test_a_run_that_is_not_finished_is_written_and_said_to_be_a_part(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", list(rows_of("mme", "zoo:qwen")))
    words = ["export", str(run), "--to", "lmms-eval", "--out"]
    assert "zoo:qwen has not answered everything yet" in CliRunner().invoke(app, [*words, str(tmp_path / "a")]).stderr
    (run / "state.json").write_text('{"schema": "fourways.state/v1", "finished": {"accuracy": ["zoo:qwen"]}}')
    assert "not answered" not in CliRunner().invoke(app, [*words, str(tmp_path / "b")]).stderr
