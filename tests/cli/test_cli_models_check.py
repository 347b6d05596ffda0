"""`fourways models check` as a person and as a script call it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree as Xml

import jsonschema
import msgspec
import pytest
from typer.testing import CliRunner

from fourways import zoo
from fourways.cli.main import app
from fourways.compare.health import Health
from fourways.core.errors import UserError
from fourways.evidence import load_schema
from fourways.hub.registry import VARIABLE
from fourways.load.mock import MockSettings
from fourways.load.mock.process import running

RUNNER = CliRunner()
PATIENT = ("--slow-first", "1000s", "--slow-token", "1000s")
"""A crowded machine makes every model slow."""


@pytest.fixture(autouse=True)
def _own_registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "registry.db"))
    monkeypatch.setenv("FOURWAYS_CACHE", str(tmp_path / "cache"))


def run(*words: str) -> tuple[int, str]:
    result = RUNNER.invoke(app, ["models", *words])
    if isinstance(result.exception, UserError):
        raise result.exception
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout


def test_a_model_that_is_well_ends_with_0_and_a_table_of_probes() -> None:
    code, out = run("check", "zoo:internvl", *PATIENT)
    assert code == 0 and "internvl" in out and ": well" in out
    assert all(probe in out for probe in ("text", "images", "video", "determinism", "pace"))


def test_a_broken_model_ends_with_1_its_code_on_the_screen_and_in_junit(tmp_path: Path) -> None:
    folder = shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "model")
    (folder / "chat_template.jinja").unlink()
    file = tmp_path / "check.xml"
    code, out = run("check", str(folder), "--junit", str(file))
    assert code == 1 and "broken: template.missing" in out and "hint: " in out
    failures = Xml.parse(file).getroot().findall(".//failure")
    assert [failure.get("type") for failure in failures] == ["template.missing"]


def test_a_broken_probes_row_says_what_is_wrong_and_several_models_end_with_how_many_are_well(tmp_path: Path) -> None:
    folder = shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "lost")
    (folder / "chat_template.jinja").unlink()
    code, out = run("check", str(folder), str(tmp_path / "lost"), "zoo:internvl", *PATIENT)
    assert code == 1 and "no chat template (12 control tokens" in " ".join(out.replace("│", " ").split())
    assert out.splitlines()[-1] == "2 models: 1 well; broken: lost"


def test_a_flipped_bit_in_the_weights_that_ship_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shipped = shutil.copytree(zoo.checkpoint("qwen").parent, tmp_path / "checkpoints")
    monkeypatch.setattr(zoo, "checkpoint", lambda name: shipped / name)
    weights = shipped / "qwen" / "model.safetensors"
    whole = bytearray(weights.read_bytes())
    whole[-4] ^= 1
    weights.write_bytes(whole)
    code, out = run("check", "zoo:qwen", *PATIENT)
    assert code == 1 and "broken: files.changed: model.safetensors: other bytes" in out


def test_json_holds_the_whole_check_and_nothing_else_is_on_standard_output(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(zoo.checkpoint("llava"), broken)
    (broken / "model.safetensors").write_bytes(b"version https://git-lfs.github.com/spec/v1\n")
    code, out = run("check", "zoo:qwen", str(broken), "--json", *PATIENT)
    jsonschema.Draft202012Validator(load_schema("check")).validate(json.loads(out))
    health = msgspec.json.decode(out.encode(), type=Health)
    assert code == 1 and health.schema == "fourways.check/v1" and not health.passed
    assert [(model.name, model.verdict) for model in health.models] == [("qwen", "well"), ("broken", "broken")]
    assert health.models[1].findings[0].code == "lfs-pointer"


def test_a_slow_server_of_doubtful_sense_is_two_warnings_and_ends_with_0(tmp_path: Path) -> None:
    words = ("--model", "mock", "--slow-token", "0.001ms", "--junit", str(tmp_path / "c.xml"))
    with running(MockSettings(ttft_ms=1, gap_ms=1, tokens=6)) as server:
        code, out = run("check", "--url", server.url, *words)
    assert code == 0 and ": suspect" in out and "slow: slow:" in out and "suspect: answer.senseless:" in out
    assert not Xml.parse(tmp_path / "c.xml").getroot().findall(".//failure")


def test_a_registered_model_is_checked_by_its_name_against_what_was_registered(tmp_path: Path) -> None:
    folder = shutil.copytree(zoo.checkpoint("internvl"), tmp_path / "weights")
    assert run("add", "mine", str(folder))[0] == 0
    code, out = run("check", "mine")
    assert code == 0 and "files as in the manifest" in out
    settings = folder / "generation_config.json"
    settings.write_bytes(settings.read_bytes() + b"\n")
    code, out = run("check", "mine")
    assert code == 1 and "broken: files.changed: generation_config.json" in out
    shutil.rmtree(folder)
    code, out = run("check", "mine")
    assert code == 1 and "broken: folder.missing" in out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "nothing to check"),
        (("nosuch",), "nosuch is no embedded model"),
        (("--model", "x", "zoo:qwen"), "--model goes with --url"),
        (("zoo:qwen", "--timeout", "soon"), "--timeout"),
        (("zoo:qwen", "--dtype", "int3"), "--dtype"),
        (("zoo:qwen", "--adapter", "/nowhere"), "/nowhere is no folder"),
        (("zoo:qwen", "zoo:llava", "--adapter", "."), "--adapter goes with one"),
        (("zoo:qwen", "--junit", "/nowhere/x.xml"), "--junit"),
        (("--url", "localhost"), "--url"),
        (("--url", "http://127.0.0.1:9", "--api-key-env", "NO_SUCH_KEY"), "NO_SUCH_KEY"),
    ],
)
def test_a_mistake_is_told_before_anything_is_checked(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(UserError) as caught:
        run("check", *words)
    assert told in caught.value.message and caught.value.exit_code == 2


def test_ctrl_c_while_names_are_looked_up_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fourways.compare.health.find_target", stopped)
    done = RUNNER.invoke(app, ["models", "check", "zoo:qwen"])
    assert done.exit_code == 130 and "stopped; nothing was checked yet" in done.stderr


def test_ctrl_c_says_what_was_not_checked_and_ends_with_130() -> None:
    program = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from fourways.cli.main import main; main()"
    )
    with running(MockSettings(ttft_ms=1, gap_ms=5000)) as server:
        words = [sys.executable, "-c", program, "models", "check", "--url", server.url]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 120
        while server.tally().requests == 0 and process.poll() is None:
            assert time.monotonic() < until
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; not checked: 127.0.0.1_" in said and "Traceback" not in said
