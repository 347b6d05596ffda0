"""A pinned command gets the cores that were chosen, and whatever ends it, the settings are put back."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import pty
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.core.errors import FourwaysError, UserError
from fourways.evidence.environment.cpulist import format_cpus
from fourways.evidence.environment.machine import Machine
from fourways.evidence.environment.pinning import NOTE, Change, prepare, put_back, undo
from fourways.evidence.environment.supervise import run
from fourways.evidence.environment.topology import choose, cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pinning is Linux's")

_spec = importlib.util.spec_from_file_location("environment_trees", Path(__file__).with_name("environment_trees.py"))
assert _spec and _spec.loader
trees = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(trees)

HUGE = "proc/sys/vm/nr_hugepages"


def machine_of(root: Path, files: dict[str, str], **variables: str) -> Machine:
    trees.plant(root, {**files, "run/.here": ""})
    return Machine(root=root, variables={"PATH": os.environ["PATH"], **variables})


def taken(machine: Machine) -> str:
    return format_cpus(cpu for core in choose(machine) for cpu in core.cpus)


def test_by_itself_it_takes_the_whole_cores_of_the_node_that_does_not_hold_cpu_0(tmp_path: Path) -> None:
    assert taken(machine_of(tmp_path, trees.bare_metal())) == "4-7,12-15"


def test_cpu_0_is_left_to_interrupts_where_cores_are_enough(tmp_path: Path) -> None:
    files = trees.bare_metal() | {"proc/self/status": "Cpus_allowed_list:\t0-3,8-11\n"}
    assert taken(machine_of(tmp_path, files)) == "1-3,9-11"


def test_cpu_0_is_used_where_cores_are_few(tmp_path: Path) -> None:
    files = trees.bare_metal() | {"proc/self/status": "Cpus_allowed_list:\t0-2,8-10\n"}
    assert taken(machine_of(tmp_path, files)) == "0-2,8-10"


def test_half_a_core_is_taken_only_where_there_is_no_whole_one(tmp_path: Path) -> None:
    mixed = trees.bare_metal() | {"proc/self/status": "Cpus_allowed_list:\t1-3,10\n"}
    assert taken(machine_of(tmp_path / "mixed", mixed)) == "2,10"
    halves = trees.bare_metal() | {"proc/self/status": "Cpus_allowed_list:\t1-3\n"}
    assert taken(machine_of(tmp_path / "halves", halves)) == "1-3"


def test_a_container_gets_no_more_cores_than_it_has_time_for(tmp_path: Path) -> None:
    files = trees.docker_v2() | {"proc/self/status": "Cpus_allowed_list:\t0-15\n"}
    assert len(choose(machine_of(tmp_path, files))) == 2  # of 2.5


@given(st.frozensets(st.integers(0, 15), min_size=1))
@settings(max_examples=50, deadline=None)
def test_what_is_chosen_is_always_allowed_and_of_one_node(
    tmp_path_factory: pytest.TempPathFactory, allowed: frozenset[int]
) -> None:
    files = trees.bare_metal() | {"proc/self/status": f"Cpus_allowed_list:\t{format_cpus(allowed)}\n"}
    machine = machine_of(tmp_path_factory.mktemp("machine"), files)
    chosen = choose(machine)
    assert chosen and len({core.node for core in chosen}) == 1
    assert all(core.cpus <= allowed for core in chosen)
    assert len(cores(machine)) == 8


def test_the_command_is_told_a_thread_a_core_unless_the_user_said_another_number(tmp_path: Path) -> None:
    machine = machine_of(tmp_path, trees.bare_metal(), MKL_NUM_THREADS="3")
    plan = prepare(machine, ["true"], cores_asked="1-2,9-10,4")
    assert plan.threads == 3 and plan.cores == "1-2,4,9-10 (3 cores, 5 hardware threads)"
    assert plan.variables == {"OMP_NUM_THREADS": "3", "OPENBLAS_NUM_THREADS": "3"}
    assert plan.notes == ("MKL_NUM_THREADS=3 stays as it was set",)


def test_threads_on_isolated_cpus_are_bound_one_by_one(tmp_path: Path) -> None:
    plan = prepare(machine_of(tmp_path, trees.kvm_guest()), ["true"], cores_asked="2-3")
    assert plan.variables["OMP_PROC_BIND"] == "true"


def test_huge_pages_come_on_top_of_those_that_are_and_malloc_is_told(tmp_path: Path) -> None:
    machine = machine_of(tmp_path, trees.bare_metal() | {HUGE: "8\n"}, GLIBC_TUNABLES="glibc.malloc.check=3")
    plan = prepare(machine, ["true"], huge_pages=64, thp="never")
    assert [str(change) for change in plan.changes] == ["vm.nr_hugepages 8 → 72", "transparent_hugepage always → never"]
    assert plan.variables["GLIBC_TUNABLES"] == "glibc.malloc.check=3:glibc.malloc.hugetlb=2"


def test_what_stands_as_it_should_is_not_set(tmp_path: Path) -> None:
    assert prepare(machine_of(tmp_path, trees.bare_metal()), ["true"], thp="always").changes == ()


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"cores_asked": "2-x"}, "no list of CPUs"),
        ({"cores_asked": "15-16"}, "16 cannot be used"),
        ({"cores_asked": ""}, "names none"),
        ({"huge_pages": 10**6}, "can be had"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_is_set(
    tmp_path: Path, asked: dict[str, object], message: str
) -> None:
    machine = machine_of(tmp_path, trees.bare_metal())
    with pytest.raises(UserError, match=message):
        prepare(machine, ["true"], **asked)  # type: ignore[arg-type]  # a table of wrong inputs
    assert not (tmp_path / NOTE).exists()


def test_a_command_that_is_not_there_is_the_users_mistake(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no command 'nosuch'"):
        prepare(machine_of(tmp_path, trees.bare_metal()), ["nosuch"])


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user, which only root may")
def test_without_rights_it_says_so_and_sets_nothing() -> None:
    with tempfile.TemporaryDirectory() as folder:  # pytest's own are closed to other users
        Path(folder).chmod(0o755)
        machine = machine_of(Path(folder), trees.bare_metal())
        process = os.fork()
        if not process:
            os.setuid(65534)
            try:
                prepare(machine, ["true"], huge_pages=1)
            except UserError as error:
                os._exit(0 if "may not write" in error.message and "sudo" in (error.hint or "") else 1)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0
        assert pages(Path(folder)) == "0"


PROGRAM = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests that run in the background inherit it ignored
import os, sys
from pathlib import Path
from fourways.core.errors import FourwaysError
from fourways.evidence.environment.machine import Machine
from fourways.evidence.environment.pinning import prepare
from fourways.evidence.environment.supervise import run

machine, command = Machine(root=Path(sys.argv[1])), sys.argv[2:]
try:
    plan = prepare(machine, command, cores_asked=str(min(os.sched_getaffinity(0))), huge_pages=64)
    sys.exit(run(plan, command, machine, lambda line: print(line, file=sys.stderr, flush=True)))
except FourwaysError as error:
    sys.exit(f"{error.message}; {error.hint}")
"""
SLEEP = ("sh", "-c", "trap 'exit 3' TERM INT; echo up $$; while :; do sleep 0.05; done")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A machine whose number of huge pages is a plain file: it takes what is written, as the kernel's does."""
    trees.plant(tmp_path, trees.bare_metal() | {"run/.here": ""})
    return tmp_path


Starter = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(root: Path) -> Iterator[Starter]:
    """Runs a command as `fourways env pin --huge-pages 64` would, on that machine, and ends it after the test."""
    running: list[subprocess.Popen[str]] = []

    def begin(*command: str) -> subprocess.Popen[str]:
        running.append(
            subprocess.Popen(
                [sys.executable, "-c", PROGRAM, str(root), *command],
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            )
        )  # fmt: skip
        return running[-1]

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def up(process: subprocess.Popen[str]) -> int:
    """The command's process id, once it runs."""
    assert process.stdout is not None
    return int(process.stdout.readline().split()[1])


def until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def pages(root: Path) -> str:
    return (root / HUGE).read_text().strip()


def test_the_command_sees_what_was_set_and_its_exit_code_is_passed_on(root: Path, start: Starter) -> None:
    process = start("sh", "-c", f"cat {root / HUGE}; echo; echo $GLIBC_TUNABLES; exit 7")
    out, err = process.communicate(timeout=30)
    assert process.returncode == 7
    assert out.split() == ["64", "glibc.malloc.hugetlb=2"]
    assert err.splitlines() == ["set vm.nr_hugepages 0 → 64", "put back vm.nr_hugepages 0"]
    assert pages(root) == "0" and not (root / NOTE).exists()


@pytest.mark.parametrize(
    ("command", "code"), [(("sh", "-c", "kill -9 $$"), 137), (("false",), 1), (("sh", "-c", "exit 130"), 130)]
)
def test_a_command_that_fails_or_is_killed_leaves_nothing(
    root: Path, start: Starter, command: tuple[str, ...], code: int
) -> None:
    process = start(*command)
    process.communicate(timeout=30)
    assert process.returncode == code
    assert pages(root) == "0" and not (root / NOTE).exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_handed_on_and_then_all_is_put_back(root: Path, start: Starter, number: signal.Signals) -> None:
    process = start(*SLEEP)
    up(process)
    assert pages(root) == "64"
    process.send_signal(number)
    process.communicate(timeout=30)
    assert process.returncode == 3
    assert pages(root) == "0" and not (root / NOTE).exists()


def test_ctrl_c_at_a_terminal_reaches_the_command_once(root: Path) -> None:
    """The terminal sends it to both; handed on as well, it would be a second Ctrl-C."""
    command = 'trap "echo interrupted" INT; echo up; sleep 1; sleep 1; exit 4'
    process, terminal = pty.fork()
    if not process:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.execv(sys.executable, [sys.executable, "-c", PROGRAM, str(root), "sh", "-c", command])
    said = b""
    while b"up" not in said:
        said += os.read(terminal, 1024)
    os.write(terminal, b"\x03")
    with contextlib.suppress(OSError):  # the terminal's way to say that all have left
        while piece := os.read(terminal, 1024):
            said += piece
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 4
    assert said.count(b"interrupted") == 1
    assert pages(root) == "0" and not (root / NOTE).exists()


def test_killed_outright_it_is_put_back_all_the_same_and_the_command_ends(root: Path, start: Starter) -> None:
    process = start(*SLEEP)
    command = up(process)
    process.kill()
    process.wait(30)
    until(lambda: pages(root) == "0" and not (root / NOTE).exists())
    until(lambda: not Path(f"/proc/{command}").exists())


def test_if_the_keeper_is_killed_the_supervisor_does_its_work(root: Path, start: Starter) -> None:
    process = start(*SLEEP)
    up(process)
    os.kill(json.loads((root / NOTE).read_text())["process"], signal.SIGKILL)
    process.terminate()
    process.communicate(timeout=30)
    assert process.returncode == 3
    assert pages(root) == "0" and not (root / NOTE).exists()


def test_if_both_are_killed_the_note_says_so_and_undo_puts_it_back(root: Path, start: Starter) -> None:
    process = start(*SLEEP)
    up(process)
    keeper = json.loads((root / NOTE).read_text())["process"]
    os.kill(keeper, signal.SIGKILL)
    process.kill()
    process.wait(30)
    until(lambda: not Path(f"/proc/{keeper}").exists())
    assert pages(root) == "64"
    with pytest.raises(UserError, match="left settings behind") as refused:
        prepare(Machine(root=root), ["true"], huge_pages=1)
    assert refused.value.hint == "sudo fourways env undo"
    assert undo(Machine(root=root)) == {"vm.nr_hugepages": "0"}
    assert pages(root) == "0" and not (root / NOTE).exists()
    assert undo(Machine(root=root)) == {}


def test_a_second_pinning_waits_its_turn_and_undo_does_not_take_the_firsts(root: Path, start: Starter) -> None:
    up(start(*SLEEP))
    second = start("true")
    _, err = second.communicate(timeout=30)
    assert second.returncode == 1 and "has the settings" in err
    with pytest.raises(UserError, match="still has the settings"):
        undo(Machine(root=root))
    assert pages(root) == "64"


def test_what_the_kernel_does_not_take_is_put_back_and_nothing_is_run(root: Path, tmp_path: Path) -> None:
    machine = Machine(root=root)
    plan = prepare(machine, ["touch", str(tmp_path / "ran")])
    plan = replace(plan, cpus=frozenset(os.sched_getaffinity(0)), changes=(Change("vm.nr_hugepages", "0", "0064"),))
    said: list[str] = []
    with pytest.raises(FourwaysError, match="the kernel made it 64"):
        run(plan, ["touch", str(tmp_path / "ran")], machine, said.append)
    assert said == ["put back vm.nr_hugepages 0"]
    assert pages(root) == "0" and not (tmp_path / "ran").exists() and not (root / NOTE).exists()


def test_a_setting_that_somebody_else_changed_since_the_plan_is_left_alone(root: Path, tmp_path: Path) -> None:
    plan = prepare(Machine(root=root), ["true"], huge_pages=64)
    plan = replace(plan, cpus=frozenset(os.sched_getaffinity(0)))
    (root / HUGE).write_text("512")
    with pytest.raises(UserError, match="was 0 and is 512"):
        run(plan, ["touch", str(tmp_path / "ran")], Machine(root=root), print)
    assert pages(root) == "512" and not (tmp_path / "ran").exists() and not (root / NOTE).exists()


def test_a_setting_that_cannot_be_read_any_more_leaves_no_note(root: Path, tmp_path: Path) -> None:
    plan = prepare(Machine(root=root), ["true"], huge_pages=64)
    plan = replace(plan, cpus=frozenset(os.sched_getaffinity(0)))
    (root / HUGE).write_text("what no kernel writes")
    with pytest.raises(UserError, match="which is no number"):
        run(plan, ["touch", str(tmp_path / "ran")], Machine(root=root), print)
    assert not (tmp_path / "ran").exists() and not (root / NOTE).exists()


def test_cpus_that_a_container_was_not_given_are_refused(root: Path, tmp_path: Path) -> None:
    plan = replace(prepare(Machine(root=root), ["true"]), cpus=frozenset({4095}))
    before = os.sched_getaffinity(0)
    with pytest.raises(UserError, match="CPUs 4095 are not given"):
        run(plan, ["touch", str(tmp_path / "ran")], Machine(root=root), print)
    assert os.sched_getaffinity(0) == before and not (tmp_path / "ran").exists()


def test_the_exit_code_is_not_lost_where_the_starter_ignores_its_children(root: Path) -> None:
    ignoring = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
    done = subprocess.run(
        [sys.executable, "-c", f"{ignoring}\n{PROGRAM}", str(root), "sh", "-c", "exit 7"],
        check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert done.returncode == 7, done.stderr
    assert pages(root) == "0"


def test_signals_are_as_they_were_afterwards(root: Path) -> None:
    plan = replace(prepare(Machine(root=root), ["true"]), cpus=frozenset(os.sched_getaffinity(0)))
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    assert run(plan, ["true"], Machine(root=root), print) == 0
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == before


@pytest.mark.parametrize(
    "note",
    [
        b"",
        b"{}",
        b'{"process": 1, "started": 1, "before": {"/etc/passwd": "x"}}',
        b'{"process": 1, "started": 1, "before": {"vm.nr_hugepages": "1; x"}}',
        b'{"process": 1, "started": 1, "before": {"transparent_hugepage": "0"}}',
        b'{"process": 1, "started": 1, "before": {}, "path": "/etc"}',
        b'{"process": 1, "started": 1}',
    ],
)
def test_a_note_that_is_none_is_not_followed(root: Path, note: bytes) -> None:
    (root / NOTE).write_bytes(note)
    with pytest.raises(UserError):
        undo(Machine(root=root))
    assert (root / NOTE).read_bytes() == note


def test_what_cannot_be_put_back_is_named_and_the_note_stays(root: Path) -> None:
    (root / NOTE).write_text("{}")
    (root / HUGE).unlink()
    left = put_back(Machine(root=root), {"vm.nr_hugepages": "0"})
    assert left == ["vm.nr_hugepages should be 0: there is no /proc/sys/vm/nr_hugepages"]
    assert (root / NOTE).exists()
