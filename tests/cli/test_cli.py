"""The command line: results to standard output, one clear line and a hint for what is wrong, and exit codes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from fourways import __version__, zoo
from fourways.cli import verdicts
from fourways.cli.options import Options, asked_candidates, check_add, new_job, resumed_job
from fourways.cli.terminal import results
from fourways.compare import write_suite
from fourways.core.errors import UserError
from fourways.core.figure import SUMMARY_SCHEMA, Figure, Status, Summary
from fourways.figures import parse_requirements
from fourways.hub import shipped_configs

Run = Callable[..., Any]
PLAIN = Options(
    candidates=None,
    suite=None,
    axes="accuracy,latency,memory,tuning",
    device="cpu",
    dtype="float32",
    limit=None,
    seed=7,
    out=None,
    weights="trained",
    visual_tokens="native",
    dry_run=False,
    resume=None,
    add=None,
    require=None,
    quick=False,
    no_images=False,
    replicas=None,
    ray=None,
    shard=None,
    concurrency=None,
    given=frozenset(),
)


def options(**given: object) -> Options:
    """The defaults, with these on the command line."""
    values = {name: getattr(PLAIN, name) for name in Options.__slots__}
    return Options(**{**values, **given, "given": frozenset(given)})  # type: ignore[arg-type]  # by their names


def test_the_installed_command_runs_and_its_help_is_quick(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).parent / "fourways"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path, timeout=60)
    assert "compare" in done.stdout
    loaded = "import sys; import fourways.cli; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "False"


@pytest.mark.parametrize(
    "command", [["--help"], ["compare", "--help"], ["suite", "write", "--help"], ["models", "--help"]]
)
def test_every_command_has_help_with_an_example(command: list[str], fourways: Run) -> None:
    said = fourways(*command)
    assert said.code == 0
    assert "fourways compare" in said.out


def test_the_help_says_the_axes_and_the_exit_codes(fourways: Run) -> None:
    said = " ".join(fourways("compare", "--help").out.split())
    assert "Any of accuracy, latency, memory, tuning." in said
    assert "Exit codes: 0 all measured; 1 " in said


def test_the_version_is_said(fourways: Run) -> None:
    assert fourways("--version") == (0, f"fourways {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "error", "hint"),
    [
        (["zoo:gpt"], "error: there is no embedded model 'gpt'", "hint: the embedded ones: internvl, llava, qwen"),
        (["zoo:qwen", "--axes", "speed"], "error: --axes: there is no axis 'speed'", "hint: the axes are accuracy"),
        (["zoo:qwen", "--suite", "nowhere"], "error: nowhere: no such suite", "hint: name a folder"),
        (["zoo:qwen", "--out", f"{__file__}/run"], f"error: {__file__}/run cannot be made", "hint: name another --out"),
        (["zoo:qwen", "--require", ""], "error: --require names no condition", "hint: write conditions like"),
        (["zoo:qwen", "--require", "p95?"], "error: --require: cannot read 'p95?'", "hint: "),
        (["--resume", "nowhere"], "error: nowhere holds no run: run.json cannot be read", "hint: name a folder"),
        (["--add", "zoo:qwen", "nowhere"], "error: nowhere holds no run", "hint: "),
        (["--resume", "nowhere", "--dry-run"], "error: nowhere holds no run", "hint: "),
        (["--add", "zoo:qwen", "nowhere", "--dry-run"], "error: nowhere holds no run", "hint: "),
        (["zoo:qwen", "--require", "p95?", "--dry-run"], "error: --require: cannot read 'p95?'", "hint: "),
    ],
)
def test_a_wrong_input_is_one_line_and_a_hint_and_exit_code_two(
    arguments: list[str], error: str, hint: str, fourways: Run, tmp_path: Path
) -> None:
    said = fourways("compare", *arguments)
    assert said.code == 2
    lines = [line for line in said.err.splitlines() if line]
    assert lines[-2].startswith(error)
    assert lines[-1].startswith(hint)
    assert "Traceback" not in said.err
    assert not (tmp_path / "runs").exists()


def test_debugging_adds_where_it_happened(fourways: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOURWAYS_DEBUG", "1")
    said = fourways("compare", "zoo:qwen", "--axes", "speed")
    assert said.code == 2
    assert "Traceback" in said.err
    assert "error: --axes: there is no axis 'speed'" in said.err


def test_a_fault_of_ours_is_one_line_too_and_exit_code_one(fourways: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(words: object) -> None:
        raise ZeroDivisionError("on\npurpose")

    monkeypatch.setattr("fourways.cli.options.load_suite", broken)
    said = fourways("compare")
    assert said.code == 1
    assert said.err.startswith("error: ZeroDivisionError: on purpose\nhint: this is a fault of Fourways")


def test_a_disk_that_refuses_is_named_with_its_reason(
    fourways: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("FOURWAYS_CACHE", str(tmp_path / "file"))
    said = fourways("compare")
    assert said.code == 1
    assert said.err.startswith(f"error: {tmp_path / 'file'}")
    assert "hint: is the disk full" in said.err


def test_ctrl_c_while_starting_is_no_error(fourways: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(words: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fourways.cli.options.load_suite", stopped)
    assert fourways("compare").code == 130


def test_a_suite_is_written_once_and_read_back(fourways: Run, tmp_path: Path) -> None:
    assert fourways("suite", "write", "mine", "--images", "4").code == 0
    listed = json.loads((tmp_path / "mine" / "suite.json").read_text())
    assert set(listed) == set(zoo.BENCHMARKS)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("do not touch")
    for taken in ("other", "mine"):
        said = fourways("suite", "write", taken)
        assert said.code == 2
        assert said.err == f"error: {taken} is not empty\nhint: name a new folder\n"
    assert [path.name for path in (tmp_path / "other").iterdir()] == ["thesis.txt"]


def test_models_lists_what_is_embedded_and_shipped(fourways: Run) -> None:
    said = fourways("models")
    assert said.code == 0
    assert all(f"zoo:{name}" in said.out for name in zoo.NAMES)
    assert all(name in said.out for name in shipped_configs())


def test_a_dry_run_says_what_would_run_and_runs_nothing(
    fourways: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    write_suite(tmp_path / "mine", images=4)
    candidates = [
        {"name": "other-device", "model": "zoo:qwen", "device": "cuda:99"},
        {"name": "far", "model": "org/name"},
        {"name": "served", "url": "http://user:pw@127.0.0.1:9/v1"},
        {"name": "small", "model": "zoo:qwen"},
    ]
    (tmp_path / "c.yaml").write_text(json.dumps(candidates))
    said = fourways("compare", "c.yaml", "--suite", "mine", "--dry-run")
    assert said.code == 2
    assert "there is no device 'cuda:99' here\nhint: use --device cpu" in said.out
    assert "far: org/name is no local folder, and" in said.out
    assert "http://[redacted]@127.0.0.1:9/v1" in said.out
    assert said.out.index("there is no device") < said.out.index("Candidates")
    assert "Nothing was run." in said.out
    assert "accuracy" in said.out and "tuning" in said.out
    assert not (tmp_path / "runs").exists()


def test_a_dry_run_of_what_cannot_run_at_all_says_why_and_plans_nothing(fourways: Run, tmp_path: Path) -> None:
    write_suite(tmp_path / "mine", images=4)
    said = fourways("compare", "nosuch", "--suite", "mine", "--dry-run")
    assert said.code == 2
    assert said.out.startswith("nosuch: nosuch is no embedded model")
    assert "about" not in said.out and "Axes" not in said.out


def test_a_dry_run_says_what_will_not_fit(fourways: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fourways.compare.foresight.available_bytes", lambda device: 1 << 30)
    write_suite(tmp_path / "mine", images=4)
    said = fourways("compare", "Qwen2.5-VL-7B-Instruct", "--weights", "random", "--suite", "mine", "--dry-run")
    assert said.code == 1, said.err
    assert "Qwen2.5-VL-7B-Instruct: will not fit on cpu" in said.out
    assert "8,292,166,656" in said.out


def test_a_dry_run_of_what_can_run_ends_with_zero(fourways: Run, tmp_path: Path) -> None:
    write_suite(tmp_path / "mine", images=4)
    said = fourways("compare", "zoo:qwen", "--suite", "mine", "--dry-run")
    assert said.code == 0, said.err
    assert "hint:" not in said.out


def test_a_run_that_lost_a_candidate_prints_the_others_and_ends_with_one(fourways: Run, tmp_path: Path) -> None:
    write_suite(tmp_path / "mine", images=4)
    mme = f"mme={tmp_path}/mine/mme/MME_Benchmark_release_version"
    said = fourways(
        "compare", "zoo:qwen", "gone=http://127.0.0.1:9/v1", "--axes", "accuracy", "--suite", mme, "--limit", "4"
    )
    assert said.code == 1, said.err
    assert "qwen" in said.out and "report: " in said.out
    assert "opening 2 candidates" in said.err
    assert "gone: accuracy: " in said.err and "to try again what failed" in said.err


def test_what_could_not_be_asked_is_no_loss(fourways: Run, tmp_path: Path) -> None:
    write_suite(tmp_path / "mine", images=4)
    said = fourways(
        "compare", "zoo:qwen", "--weights", "random", "--axes", "accuracy", "--suite", "mine", "--limit", "4"
    )
    assert said.code == 0, said.err
    assert "opening 1 candidate\n" in said.err


def test_brackets_in_a_message_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    results().print("[redacted] and [/data/x]")
    assert capsys.readouterr().out == "[redacted] and [/data/x]\n"


def test_a_saved_table_is_not_folded_to_a_terminal_s_width() -> None:
    assert results().width >= 120


def test_the_defaults_are_all_embedded_models_and_all_axes() -> None:
    job = new_job(PLAIN)
    assert [candidate.name for candidate in job.candidates] == list(zoo.NAMES)
    assert job.axes == ("accuracy", "latency", "memory", "tuning")
    assert set(job.suite) == set(zoo.BENCHMARKS)
    assert job.limit is None


def test_axes_come_in_one_order_however_they_are_named() -> None:
    assert new_job(options(axes="memory, accuracy")).axes == ("accuracy", "memory")


def test_quick_limits_the_samples_unless_a_limit_is_given() -> None:
    assert new_job(options(quick=True)).limit == 40
    assert new_job(options(quick=True, limit=3)).limit == 3


def test_short_names_of_dtypes_are_understood_and_others_refused() -> None:
    assert asked_candidates(options(dtype="bf16"), ["zoo:qwen"])[0].dtype == "bfloat16"
    with pytest.raises(UserError, match="--dtype 'int3' is not known"):
        asked_candidates(options(dtype="int3"), ["zoo:qwen"])
    with pytest.raises(UserError, match="--weights 'good' is not known"):
        asked_candidates(options(weights="good"), ["zoo:qwen"])


def test_resume_alone_asks_for_what_the_header_says() -> None:
    assert resumed_job(options(resume=Path("run")), Path("run")) is None


def test_resume_refuses_what_only_a_new_run_can_have() -> None:
    with pytest.raises(UserError, match="--out and --resume exclude each other"):
        resumed_job(options(resume=Path("run"), out=Path("x")), Path("run"))
    with pytest.raises(UserError, match="need the candidates too"):
        resumed_job(options(resume=Path("run"), dtype="bf16"), Path("run"))


def test_add_refuses_what_the_run_decides() -> None:
    check_add(options(add=("zoo:qwen", Path("run")), dtype="bf16"))
    with pytest.raises(UserError, match="leave out limit, seed"):
        check_add(options(add=("zoo:qwen", Path("run")), limit=3, seed=8))


def figure(candidate: str, value: float | None) -> Figure:
    """A headline of the latency axis; without a value it is undefined."""
    status: Status = "undefined" if value is None else "ok"
    reason = "no access" if value is None else None
    labels = {"workload": "describe-32", "concurrency": "1", "cache": "warm"}
    return Figure(
        "latency", candidate, "e2e_p95", "e2e_p95@1", "ms", "lower", value, None, None, 9, "requests", status, reason,
        labels, headline=True,
    )  # fmt: skip


def test_a_requirement_says_who_qualifies_why_not_and_who_is_beaten() -> None:
    summary = Summary(SUMMARY_SCHEMA, "r", (figure("fast", 100.0), figure("slow", 900.0), figure("gone", None)))
    console = Console(width=160, record=True, file=io.StringIO())
    verdicts.show(parse_requirements("p95<500ms"), summary, console)
    fast, slow, gone = (line for line in console.export_text().splitlines() if "│" in line)
    assert "yes" in fast and "on it" in fast
    assert "no" in slow and "900" in slow and "behind fast" in slow
    assert "no access" in gone and "no value to place it by" in gone


def test_nobody_is_on_a_front_that_has_no_values() -> None:
    summary = Summary(SUMMARY_SCHEMA, "r", (figure("gone", None), figure("lost", None)))
    console = Console(width=160, record=True, file=io.StringIO())
    verdicts.show(parse_requirements("p95<500ms"), summary, console)
    assert console.export_text().count("no value to place it by") == 2
