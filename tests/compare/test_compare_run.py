"""A run: its files, going on with it, adding to it, and what happens when a candidate breaks."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import jsonschema
import msgspec
import pytest

from fourways import zoo
from fourways.benchmarks.registry import suite_of
from fourways.benchmarks.suite import Suite
from fourways.compare import Job, Outcome, add, job_of, load_suite, resume, start
from fourways.compare.progress import Silent
from fourways.core.candidate import Candidate
from fourways.core.errors import BenchmarkFormatError, CheckpointError, UserError
from fourways.core.figure import Figure
from fourways.core.rows import AnswerRow, FailureRow, RequestRow
from fourways.core.run_files import ROWS_FILE, RUN_FILE, STATE_FILE, SUMMARY_FILE, read_header, read_rows, write_whole
from fourways.evidence import RowLog, load_schema, read_rows_header, write_header
from fourways.evidence.rowlog import SUPERSEDED

NOT_THERE = Candidate("gone", url="http://127.0.0.1:9/v1")
REQUEST = RequestRow(
    "qwen", "describe-32", 1, "cold", 0, 0, "00", 0.0, 0.1, 1.0, 2.0, 0.1, (0.1,), 5, 4, 2, {"prefill": 1.0}
)


def job(suite: Suite, out: Path, *candidates: Candidate) -> Job:
    return Job(candidates, ("accuracy",), suite, limit=8, out=out)


def accuracy(outcome: Outcome, candidate: str) -> list[Figure]:
    return [f for f in outcome.summary.figures if f.candidate == candidate and f.axis == "accuracy"]


@pytest.fixture(scope="module")
def small(suite_folder: Path) -> Suite:
    return suite_of({"mme": suite_folder / "mme" / "MME_Benchmark_release_version"})


@pytest.fixture(scope="module")
def qwen(models: Mapping[str, Path]) -> Candidate:
    """Its thread count is given, so that opening takes no trial of it."""
    return Candidate("qwen", model=str(models["qwen"]), threads=1)


@pytest.fixture(scope="module")
def internvl(models: Mapping[str, Path]) -> Candidate:
    return Candidate("internvl", model=str(models["internvl"]), threads=1)


@pytest.fixture(scope="module")
def finished(small: Mapping[str, Path], qwen: Candidate, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run of one model that ended well."""
    return start(job(small, tmp_path_factory.mktemp("finished"), qwen), Silent())


@pytest.fixture
def copy(finished: Outcome, tmp_path: Path) -> Path:
    """A copy of it to work on."""
    folder = tmp_path / "copy"
    folder.mkdir()
    for file in finished.folder.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


def test_a_run_is_called_like_its_folder(
    small: Mapping[str, Path], qwen: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = start(Job((qwen,), ("accuracy",), small, limit=1), Silent())
    assert outcome.folder == Path("runs") / read_header(outcome.folder).run_id


def test_every_file_of_a_run_keeps_its_published_schema(finished: Outcome) -> None:
    folder = finished.folder
    for name, file in (("run", RUN_FILE), ("state", STATE_FILE), ("summary", SUMMARY_FILE)):
        jsonschema.Draft202012Validator(load_schema(name)).validate(json.loads((folder / file).read_text()))  # type: ignore[arg-type]  # a literal
    lines = (folder / ROWS_FILE).read_text().splitlines()
    validator = jsonschema.Draft202012Validator(load_schema("rows"))
    assert [json.loads(line)["kind"] for line in lines[:2]] == ["header", "answer"]
    for line in lines:
        validator.validate(json.loads(line))


def test_the_header_the_rows_and_the_summary_carry_one_run_id(finished: Outcome) -> None:
    header = read_header(finished.folder)
    assert header.run_id == read_rows_header(finished.folder / ROWS_FILE).run_id == finished.summary.run_id
    assert header.candidates[0].sha256.keys() >= {"config.json", "model.safetensors"}
    assert header.suite[0].key == "mme" and header.definitions


def test_a_finished_run_has_a_report_and_a_headline(finished: Outcome) -> None:
    assert finished.report.is_file()
    (headline,) = [figure for figure in accuracy(finished, "qwen") if figure.headline]
    assert headline.n > 0


def test_a_folder_with_something_in_it_is_not_written_to(
    small: Mapping[str, Path], qwen: Candidate, finished: Outcome
) -> None:
    before = sorted(finished.folder.iterdir())
    with pytest.raises(UserError, match="is not empty"):
        start(job(small, finished.folder, qwen), Silent())
    assert sorted(finished.folder.iterdir()) == before


def test_going_on_with_a_finished_run_asks_nothing_again(copy: Path, finished: Outcome) -> None:
    rows = (copy / ROWS_FILE).read_bytes()
    again = resume(copy, None, Silent())
    assert (copy / ROWS_FILE).read_bytes() == rows
    assert again.summary == finished.summary


def test_a_run_that_was_started_without_pictures_never_shows_them(copy: Path, finished: Outcome) -> None:
    assert "data:image/" in finished.report.read_text("utf-8")
    header = read_header(copy)
    write_header(msgspec.structs.replace(header, argv=(*header.argv, "--no-images")), copy)
    assert "data:image/" not in resume(copy, None, Silent()).report.read_text("utf-8")


def test_a_run_cut_anywhere_goes_on_to_the_same_figures(copy: Path, finished: Outcome) -> None:
    content = (copy / ROWS_FILE).read_bytes()
    (copy / ROWS_FILE).write_bytes(content[: int(len(content) * 0.6)])
    (copy / STATE_FILE).unlink()
    (copy / SUMMARY_FILE).unlink()
    again = resume(copy, None, Silent())
    assert again.summary.figures == finished.summary.figures
    answers = [(r.benchmark, r.sample) for r in read_rows(copy / ROWS_FILE) if isinstance(r, AnswerRow)]
    assert len(answers) == len(set(answers))


@pytest.mark.parametrize(
    ("change", "said"),
    [({"seed": 8}, "seed: 7 → 8"), ({"limit": 9}, "limit: 8 → 9"), ({"quick": True}, "quick: False → True")],
)
def test_a_run_refuses_to_go_on_as_another_one(copy: Path, change: dict[str, int], said: str) -> None:
    other = replace(job_of(read_header(copy)), **change)  # type: ignore[arg-type]  # the fields are parametrised
    before = (copy / ROWS_FILE).read_bytes()
    with pytest.raises(UserError) as caught:
        resume(copy, other, Silent())
    assert said in caught.value.message
    assert (copy / ROWS_FILE).read_bytes() == before


def test_changed_data_refuse_the_run_by_their_name(copy: Path, suite_folder: Path) -> None:
    other = replace(job_of(read_header(copy)), suite=suite_of({"mme": suite_folder / "mme"}))
    with pytest.raises(UserError, match=r"suite\[mme\]"):
        resume(copy, other, Silent())


def test_a_changed_commit_refuses_the_run(copy: Path) -> None:
    header = read_header(copy)
    source = msgspec.structs.replace(header.source, version="0.0.1")
    write_whole(copy / RUN_FILE, msgspec.json.encode(msgspec.structs.replace(header, source=source)))
    with pytest.raises(UserError, match=r"source\.version: 0\.0\.1 → "):
        resume(copy, None, Silent())


def test_timed_rows_of_an_unfinished_pass_are_set_aside_and_those_of_answers_stay(copy: Path) -> None:
    (copy / STATE_FILE).unlink()
    with RowLog(copy, read_rows_header(copy / ROWS_FILE)) as log:
        answers = log.count
        log.append(REQUEST)
        log.append(FailureRow("qwen", "accuracy", "axis", "", "it broke"))
    resume(copy, None, Silent())
    rows = list(read_rows(copy / ROWS_FILE))
    assert len(rows) == answers and all(isinstance(row, AnswerRow) for row in rows)
    assert (copy / SUPERSEDED).read_bytes().count(b"\n") == 2


def test_a_candidate_joins_an_old_run_and_the_others_are_not_run_again(
    copy: Path, internvl: Candidate, finished: Outcome
) -> None:
    before = (copy / ROWS_FILE).read_bytes()
    outcome = add(copy, [internvl], ("fourways",), Silent())
    assert (copy / ROWS_FILE).read_bytes().startswith(before)
    assert accuracy(outcome, "internvl")
    assert [f.value for f in accuracy(outcome, "qwen")][:1] == [f.value for f in accuracy(finished, "qwen")][:1]
    records = {record.candidate.name: record for record in read_header(copy).candidates}
    assert records["qwen"].added is None and records["internvl"].added is not None


def test_a_candidate_of_the_same_name_cannot_join(copy: Path, qwen: Candidate) -> None:
    with pytest.raises(UserError, match="already has a candidate 'qwen'"):
        add(copy, [qwen], ("fourways",), Silent())


def test_a_server_that_is_not_there_is_a_counted_failure_and_the_other_candidate_finishes(
    small: Mapping[str, Path], qwen: Candidate, tmp_path: Path
) -> None:
    outcome = start(job(small, tmp_path / "run", NOT_THERE, qwen), Silent())
    assert [failure.candidate for failure in outcome.failures] == ["gone"]
    assert outcome.try_again
    assert [figure.value for figure in accuracy(outcome, "qwen") if figure.headline] != [None]
    broken = [figure for figure in accuracy(outcome, "gone") if figure.headline]
    assert len(broken) == 1
    rows = [row for row in read_rows(outcome.folder / ROWS_FILE) if row.candidate == "gone"]
    assert rows and all(isinstance(row, FailureRow) or row.status == "failed" for row in rows)  # type: ignore[union-attr]  # answers


def test_a_candidate_that_cannot_fit_is_a_failure_with_its_size(
    small: Mapping[str, Path], qwen: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fourways.compare.room.available_bytes", lambda device: 1000)
    outcome = start(job(small, tmp_path / "run", qwen), Silent())
    (failure,) = outcome.failures
    assert failure.message.startswith("out of memory: it needs about")


def test_wrong_names_are_all_told_before_anything_starts(small: Mapping[str, Path], tmp_path: Path) -> None:
    wrong = [Candidate("a", model="./nowhere"), Candidate("b", model="zoo:nothing")]
    with pytest.raises(CheckpointError) as caught:
        start(job(small, tmp_path / "run", *wrong), Silent())
    assert "nowhere" in caught.value.message and "nothing" in caught.value.message
    assert not (tmp_path / "run").exists()


def test_an_unsupported_architecture_is_told_before_anything_starts(small: Mapping[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "old"
    folder.mkdir()
    for file in zoo.checkpoint("qwen").iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["QWenLMHeadModel"]}))
    with pytest.raises(CheckpointError, match="Qwen-VL"):
        start(job(small, tmp_path / "run", Candidate("old", model=str(folder))), Silent())


def test_a_benchmark_without_its_columns_is_told_before_anything_starts(qwen: Candidate, tmp_path: Path) -> None:
    (tmp_path / "broken.tsv").write_text("index\tquestion\n1\tWhat?\n")
    with pytest.raises(BenchmarkFormatError, match=r"broken\.tsv"):
        start(job(suite_of({"mmbench_en": tmp_path / "broken.tsv"}), tmp_path / "run", qwen), Silent())
    assert not (tmp_path / "run").exists()


def test_a_broken_row_far_into_a_benchmark_is_told_before_anything_starts(
    suite_folder: Path, qwen: Candidate, tmp_path: Path
) -> None:
    whole = load_suite([str(suite_folder)])["mmbench_en"].path
    lines = whole.read_text().splitlines()
    (tmp_path / "broken.tsv").write_text("\n".join([*lines[:9], lines[9].partition("\t")[0], *lines[10:]]) + "\n")
    with pytest.raises(BenchmarkFormatError, match=r"broken\.tsv.*10"):
        start(job(suite_of({"mmbench_en": tmp_path / "broken.tsv"}), tmp_path / "run", qwen), Silent())
    assert not (tmp_path / "run").exists()


def test_a_fault_of_ours_costs_an_axis_and_says_where_it_lies(
    small: Mapping[str, Path], qwen: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    def broken(*_: object) -> None:
        raise ZeroDivisionError("on purpose")

    monkeypatch.setattr("fourways.axes.accuracy.samples_of", broken)
    monkeypatch.setenv("FOURWAYS_DEBUG", "1")
    outcome = start(job(small, tmp_path / "run", qwen), Silent())
    (failure,) = outcome.failures
    assert failure.message == "ZeroDivisionError: on purpose"
    assert failure.hint is not None
    assert re.search(r"a fault of Fourways, in axes/accuracy\.py:\d+: please report it", failure.hint)
    assert "Traceback" in capsys.readouterr().err


def test_a_server_without_its_key_is_told_before_anything_starts(small: Mapping[str, Path], tmp_path: Path) -> None:
    served = msgspec.structs.replace(NOT_THERE, api_key_env="FOURWAYS_TEST_NO_SUCH_KEY")
    with pytest.raises(UserError, match="FOURWAYS_TEST_NO_SUCH_KEY holds no key"):
        start(job(small, tmp_path / "run", served), Silent())
    assert not (tmp_path / "run").exists()


def test_a_file_in_place_of_the_run_s_folder_is_called_a_file(
    small: Mapping[str, Path], qwen: Candidate, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="is a file"):
        start(job(small, tmp_path / "file", qwen), Silent())


def test_a_candidate_that_could_not_be_opened_is_tried_again_by_the_next_resume(
    small: Mapping[str, Path], qwen: Candidate, internvl: Candidate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            "fourways.compare.room.needed_bytes", lambda candidate, n, _int8: 1 << 60 if candidate == qwen else n
        )
        first = start(job(small, tmp_path / "run", qwen, internvl), Silent())
    assert [failure.candidate for failure in first.failures] == ["qwen"]
    others = [row for row in read_rows(first.folder / ROWS_FILE) if row.candidate == "internvl"]
    second = resume(first.folder, None, Silent())
    assert second.failures == ()
    assert accuracy(second, "qwen")
    assert [row for row in read_rows(first.folder / ROWS_FILE) if row.candidate == "internvl"] == others
    assert (first.folder / SUPERSEDED).read_bytes().count(b"\n") == 1
    added = {record.candidate.name: record.added for record in read_header(first.folder).candidates}
    assert added["qwen"] is not None and added["internvl"] is None


def test_a_device_that_is_not_there_is_told_before_anything_starts(
    small: Mapping[str, Path], qwen: Candidate, tmp_path: Path
) -> None:
    elsewhere = msgspec.structs.replace(qwen, device="cuda:99")
    with pytest.raises(UserError, match="there is no device 'cuda:99' here"):
        start(job(small, tmp_path / "run", elsewhere), Silent())
    assert not (tmp_path / "run").exists()


def test_an_adapter_that_is_none_is_told_before_anything_starts(
    small: Mapping[str, Path], qwen: Candidate, tmp_path: Path
) -> None:
    adapted = msgspec.structs.replace(qwen, adapter=str(tmp_path))
    with pytest.raises(CheckpointError, match="is no LoRA adapter"):
        start(job(small, tmp_path / "run", adapted), Silent())


def test_a_folder_that_cannot_be_made_is_named(small: Mapping[str, Path], qwen: Candidate, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        start(job(small, tmp_path / "file" / "run", qwen), Silent())
