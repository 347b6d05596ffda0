"""`fourways env`: what a user sees, and a real command on a real core of this machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from fourways.cli.main import app
from fourways.core.run import Reading

FOURWAYS = (sys.executable, "-c", "from fourways.cli import main; main()")
linux = pytest.mark.skipif(sys.platform != "linux", reason="pinning is Linux's")


def fourways(*words: str, **variables: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    return subprocess.run(
        [*FOURWAYS, *words],
        check=False, capture_output=True, text=True, timeout=60, env={**clean, **variables},
    )  # fmt: skip


def machine(monkeypatch: pytest.MonkeyPatch, *found: Reading) -> None:
    monkeypatch.setattr("fourways.evidence.environment.catalogue.readings", lambda: found)


WELL = Reading("memory.aslr", "on")
SLOW = Reading("cpu.governor", "powersave (intel_pstate)", advice="sudo cpupower frequency-set -g performance")
HIDDEN = Reading("cpu.turbo", None, unread="the host decides")
ODD = Reading("container.image", "a\x1b[31m[bold]b\u202ec")


def test_the_table_shows_knob_value_and_advice_and_why_a_knob_was_not_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, WELL, SLOW, HIDDEN)
    told = CliRunner().invoke(app, ["env", "check"])
    assert told.exit_code == 0
    (row,) = [line for line in told.stdout.splitlines() if "cpu.governor" in line]
    assert "powersave (intel_pstate)" in row and "sudo cpupower frequency-set -g performance" in row
    assert "not seen: cpu.turbo: the host decides" in told.stdout
    assert "3 knobs, advice on 1; nothing was set" in told.stdout


def test_strict_is_an_exit_code_and_only_for_advice(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, WELL, SLOW)
    assert CliRunner().invoke(app, ["env", "check", "--strict"]).exit_code == 1
    machine(monkeypatch, WELL, HIDDEN)
    assert CliRunner().invoke(app, ["env", "check", "--strict"]).exit_code == 0


def test_what_a_reading_holds_cannot_steer_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, ODD)
    out = CliRunner().invoke(app, ["env", "check"]).stdout
    assert "\x1b" not in out and "\u202e" not in out and "[bold]" in out


def test_json_of_this_machine_is_the_readings_of_a_header() -> None:
    told = fourways("env", "check", "--json")
    assert told.returncode == 0, told.stderr
    record = json.loads(told.stdout)
    assert record["schema"] == "fourways.env/v1"
    assert {"cpu.cores", "memory.aslr", "gpu.driver"} <= {one["knob"] for one in record["readings"]}


def test_it_does_not_wait_for_what_runs_models() -> None:
    program = "import sys; from typer.testing import CliRunner; from fourways.cli.main import app; " \
        "CliRunner().invoke(app, ['env', 'check']); sys.exit('torch' in sys.modules)"  # fmt: skip
    assert subprocess.run([sys.executable, "-c", program], check=False, timeout=60).returncode == 0


@linux
def test_a_real_command_runs_on_the_real_core_that_was_named() -> None:
    core = max(os.sched_getaffinity(0))
    program = "import os; print(sorted(os.sched_getaffinity(0)), os.environ['OMP_NUM_THREADS'])"
    done = fourways("env", "pin", "--cores", str(core), "--", sys.executable, "-c", program)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == f"[{core}] 1"
    assert done.stderr.startswith(f"CPUs {core} (1 core, ")


@linux
def test_options_behind_the_dashes_are_the_commands() -> None:
    done = fourways("env", "pin", "--", "sh", "-c", "exit 5", "--cores", "9999", "--help")
    assert done.returncode == 5


@linux
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--cores", "65000", "--", "true"], "--cores: 65000 cannot be used"),
        (["--cores", "one", "--", "true"], "no list of CPUs such as 0-3,8"),
        (["--", "no-such-command"], "there is no command 'no-such-command'"),
        (["--huge-pages", "-1", "--", "true"], "--huge-pages"),
        (["--thp", "sometimes", "--", "true"], "--thp"),
        ([], "Missing argument"),
    ],
)
def test_a_mistake_is_said_and_is_exit_code_2(words: list[str], message: str) -> None:
    done = fourways("env", "pin", *words)
    assert done.returncode == 2
    assert message in done.stderr


@linux
@pytest.mark.skipif(
    os.environ.get("FOURWAYS_TEST_PIN") != "1", reason="sets this machine's huge pages: FOURWAYS_TEST_PIN=1"
)
def test_this_machines_own_settings_are_set_and_put_back() -> None:
    mode, pages = Path("/sys/kernel/mm/transparent_hugepage/enabled"), Path("/proc/sys/vm/nr_hugepages")
    before = mode.read_text(), pages.read_text()
    wanted = "never" if "[never]" not in before[0] else "madvise"
    program = f"cat {mode} {pages}; grep HugePages_Free /proc/meminfo"
    done = fourways("env", "pin", "--thp", wanted, "--huge-pages", "16", "--", "sh", "-c", program)
    assert done.returncode == 0, done.stderr
    assert f"[{wanted}]" in done.stdout
    assert int(done.stdout.splitlines()[1]) == int(before[1]) + 16
    assert (mode.read_text(), pages.read_text()) == before
    hung = subprocess.Popen([*FOURWAYS, "env", "pin", "--thp", wanted, "--", "sleep", "60"])
    while f"[{wanted}]" not in mode.read_text():
        time.sleep(0.02)
    hung.kill()
    hung.wait()
    end = time.monotonic() + 10
    while mode.read_text() != before[0]:
        assert time.monotonic() < end
        time.sleep(0.02)


def test_to_undo_where_nothing_was_left_behind_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fourways.evidence.environment.pinning.undo", lambda _: {})
    done = CliRunner().invoke(app, ["env", "undo"])
    assert done.exit_code == 0 and "nothing was left behind" in done.stdout
