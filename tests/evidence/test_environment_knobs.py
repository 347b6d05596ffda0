"""Every knob says what recorded machines say, with the advice that fits, and nothing that lies there stops a run."""

from __future__ import annotations

import gc
import importlib.util
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.core.run import Reading
from fourways.evidence.environment import cpu_model
from fourways.evidence.environment.catalogue import CATALOGUE, readings
from fourways.evidence.environment.cpulist import format_cpus, parse_cpus
from fourways.evidence.environment.lock import package_lock
from fourways.evidence.environment.machine import Machine, Unread

_spec = importlib.util.spec_from_file_location("environment_trees", Path(__file__).with_name("environment_trees.py"))
assert _spec and _spec.loader
trees = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(trees)


_CPU = "sys/devices/system/cpu"
_CLOCK = "sys/devices/system/clocksource/clocksource0"
_HUGE = "HugePages_Total: 512\nHugePages_Free: {}\nHugepagesize: 2048 kB"


def no_card() -> None:
    raise Unread("no driver")


def look(root: Path, files: dict[str, str], **variables: str) -> dict[str, Reading]:
    trees.plant(root, files)
    machine = Machine(root=root, variables=variables, nvml=no_card)
    return {one.knob: one for one in readings(machine)}


BARE_METAL = {
    "cpu.cores": "16 of 16 online: 0-15",
    "cpu.isolated": "none",
    "cpu.governor": "powersave (intel_pstate)",
    "cpu.energy_preference": "balance_power",
    "cpu.frequency": "1200 to 3900 MHz, hardware 3900 MHz",
    "cpu.turbo": "on",
    "cpu.c_states": "POLL 0 µs, C1 2 µs, C1E 10 µs, C6 133 µs (intel_idle)",
    "cpu.smt": "on (on)",
    "cpu.throttled": "120 times since the machine started",
    "cpu.stolen": "0.00% of processor time since the machine started",
    "cpu.microcode": "0x5003707",
    "cpu.mitigations": "spectre_v2: Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; 1 not affected",
    "memory.physical": "62.5 GiB, 57.2 GiB available",
    "memory.swap": "0.00 of 8.00 GiB used",
    "memory.thp": "always; defrag madvise",
    "memory.huge_pages": "0 of 2,048 KiB, 0 free",
    "memory.aslr": "on",
    "memory.numa": "node 0: CPUs 0-3,8-11, node 1: CPUs 4-7,12-15",
    "memory.numa_balancing": "on",
    "system.kernel": "6.8.0-49-generic #49-Ubuntu SMP PREEMPT_DYNAMIC Mon Nov 4 02:06:24 UTC 2024",
    "system.kernel_options": "mitigations=auto tsc=reliable",
    "system.distribution": "Ubuntu 24.04.1 LTS",
    "system.hypervisor": "none seen; Dell Inc. PowerEdge R640",
    "system.clock_source": "tsc",
    "system.load": "0.08 0.03 0.01 (1, 5, 15 minutes)",
    "system.pressure": "cpu 0 %, memory 0 %, io 0 %",
    "process.priority": "nice 0, normal",
    "container.engine": "none seen",
    "container.cpu_limit": "none",
    "container.memory_limit": "none",
}


def test_bare_metal_is_read_knob_by_knob(tmp_path: Path) -> None:
    found = look(tmp_path, trees.bare_metal())
    assert {name: found[name].value for name in BARE_METAL} == BARE_METAL
    assert found["container.image"].unread == "no container is seen"
    assert found["gpu.driver"].unread == "no driver"
    assert set(BARE_METAL) | {"process.garbage_collector", "container.image", "container.cpu_throttled"} | {
        "container.cpuset", "gpu.driver"
    } == set(found)  # fmt: skip


def test_a_vendors_defaults_get_advice_with_the_command_that_changes_them(tmp_path: Path) -> None:
    found = look(tmp_path, trees.bare_metal())
    commands = {
        "cpu.governor": "sudo cpupower frequency-set -g performance",
        "cpu.energy_preference": "echo performance | sudo tee /sys/devices/system/cpu/cpufreq/policy*/energy_",
        "cpu.turbo": "echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo",
        "cpu.c_states": "sudo cpupower idle-set -D 20",
        "cpu.smt": "echo off | sudo tee /sys/devices/system/cpu/smt/control",
        "cpu.throttled": "cool the machine",
        "memory.thp": "fourways env pin --thp madvise -- COMMAND",
        "memory.numa": "fourways env pin -- COMMAND",
        "memory.numa_balancing": "sudo sysctl kernel.numa_balancing=0",
    }
    assert {name for name, one in found.items() if one.advice} == set(commands)
    for name, command in commands.items():
        assert command in (found[name].advice or ""), name


def test_a_guest_says_what_only_its_host_can_see(tmp_path: Path) -> None:
    found = look(tmp_path, trees.kvm_guest())
    for name in ("cpu.governor", "cpu.frequency", "cpu.turbo", "cpu.c_states"):
        assert found[name].value is None
        assert "the host" in (found[name].unread or "")
    assert found["system.hypervisor"].value == "virtual machine (KVM); QEMU Standard PC (Q35 + ICH9, 2009)"
    assert found["cpu.stolen"].value == "4.70% of processor time since the machine started"
    assert "dedicated cores" in (found["cpu.stolen"].advice or "")
    assert found["cpu.isolated"].value == "2-3"
    assert "fourways env pin --cores 2-3" in (found["cpu.isolated"].advice or "")


def test_a_container_of_version_2_names_its_limits(tmp_path: Path) -> None:
    found = look(tmp_path, trees.docker_v2())
    assert found["container.engine"].value == "docker"
    assert found["container.cpu_limit"].value == "2.5 cores' time"
    assert "8 CPUs may be used at once" in (found["container.cpu_limit"].advice or "")
    assert found["container.cpu_throttled"].value == "in 31 of 400 periods since it started"
    assert found["container.cpu_throttled"].advice is not None
    assert found["container.memory_limit"].value == "4.00 GiB"
    assert found["container.cpuset"].value == "0-7"
    assert "FOURWAYS_IMAGE" in (found["container.image"].unread or "")


def test_a_pod_of_version_1_has_the_limit_of_its_parent(tmp_path: Path) -> None:
    found = look(tmp_path, trees.pod_v1(), FOURWAYS_IMAGE="registry.example/bench@sha256:12")
    assert found["container.engine"].value == "kubernetes"
    assert found["container.cpu_limit"].value == "2 cores' time"
    assert found["container.cpu_throttled"].advice is None
    assert found["container.memory_limit"].value == "none"
    assert found["container.cpuset"].value == "0-3"
    assert found["container.image"].value == "registry.example/bench@sha256:12"


@pytest.mark.parametrize(
    ("path", "text", "knob", "value", "advised"),
    [
        ("sys/kernel/mm/transparent_hugepage/enabled", "always madvise [never]", "memory.thp", "never; defrag", False),
        ("proc/sys/kernel/randomize_va_space", "0", "memory.aslr", "off", True),
        ("proc/self/personality", "00040000", "memory.aslr", "on, but off for this process", True),
        ("proc/loadavg", "9.5 3 1 1/2 3", "system.load", "9.5 3 1", True),
        (f"{_CLOCK}/current_clocksource", "hpet", "system.clock_source", "hpet", True),
        (f"{_CPU}/intel_pstate/no_turbo", "1", "cpu.turbo", "off", False),
        (f"{_CPU}/cpuidle/current_driver", "acpi_idle", "cpu.c_states", "POLL", True),
        (f"{_CPU}/cpu0/cpuidle/state3/disable", "1", "cpu.c_states", "POLL", False),
        (f"{_CPU}/smt/active", "0", "cpu.smt", "off", False),
        (f"{_CPU}/cpufreq/policy3/scaling_max_freq", "2000000", "cpu.frequency", "1200 to 3900", True),
        (f"{_CPU}/cpufreq/policy3/scaling_governor", "schedutil", "cpu.governor", "powersave ×15, sch", True),
        ("proc/pressure/memory", "some avg10=33.10 avg60=0", "system.pressure", "cpu 0 %, memory 33.1 %", True),
        ("proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 50 kB", "memory.physical", "0.0 GiB", True),
        ("proc/meminfo", "SwapTotal: 1000000 kB\nSwapFree: 500000 kB", "memory.swap", "0.48 of 0.95", True),
        ("proc/meminfo", _HUGE.format(512), "memory.huge_pages", "512", True),
        ("proc/meminfo", _HUGE.format(12), "memory.huge_pages", "512", False),
    ],
)  # fmt: skip
def test_one_changed_setting_changes_its_reading(
    tmp_path: Path, path: str, text: str, knob: str, value: str, advised: bool
) -> None:
    reading = look(tmp_path, trees.bare_metal() | {path: text})[knob]
    assert (reading.value or "").startswith(value), reading
    assert (reading.advice is not None) == advised, reading


def test_huge_pages_that_are_promised_or_pinned_for_this_process_are_not_called_unused(tmp_path: Path) -> None:
    files = trees.bare_metal() | {"proc/meminfo": _HUGE.format(512)}
    assert "nobody uses them" in (look(tmp_path / "idle", files)["memory.huge_pages"].advice or "")
    pinned = look(tmp_path / "pinned", files, GLIBC_TUNABLES="a.b=1:glibc.malloc.hugetlb=2")
    assert pinned["memory.huge_pages"].advice is None
    promised = files | {"proc/meminfo": f"{_HUGE.format(512)}\nHugePages_Rsvd: 3"}
    assert look(tmp_path / "promised", promised)["memory.huge_pages"].advice is None


@pytest.mark.parametrize(("given", "told"), [("0-1", None), ("0-2", "--cores 2 "), ("0-3", "--cores 2-3 ")])
def test_isolated_cpus_are_advised_only_as_far_as_a_container_was_given_them(
    tmp_path: Path, given: str, told: str | None
) -> None:
    reading = look(tmp_path, trees.kvm_guest() | {"sys/fs/cgroup/cpuset.cpus.effective": given})["cpu.isolated"]
    assert reading.value == "2-3"
    assert (reading.advice is None) == (told is None)
    assert (told or "") in (reading.advice or "")


def test_a_nice_process_is_told_so(tmp_path: Path) -> None:
    files = trees.bare_metal()
    files["proc/self/stat"] = files["proc/self/stat"].replace(" 20 0 1 0 ", " 29 9 1 0 ")
    reading = look(tmp_path, files)["process.priority"]
    assert reading.value == "nice 9, normal"
    assert reading.advice is not None


def test_the_garbage_collectors_state_is_this_processs(tmp_path: Path) -> None:
    gc.disable()
    try:
        off = look(tmp_path, {})["process.garbage_collector"].value
    finally:
        gc.enable()
    assert (off or "").startswith("off, thresholds ")


def test_a_command_line_of_the_kernel_may_hold_secrets_and_only_known_options_are_told(tmp_path: Path) -> None:
    files = trees.bare_metal()
    files["proc/cmdline"] = "isolcpus=2-3;rm luks.key=Zq7 mitigations=off systemd.set_credential=Zq7 idle=poll"
    assert look(tmp_path, files)["system.kernel_options"].value == "mitigations=off idle=poll"


def test_an_empty_machine_gives_a_reason_for_every_knob(tmp_path: Path) -> None:
    found = look(tmp_path, {})
    told = {name for name, one in found.items() if one.value is not None}
    assert told == {"process.garbage_collector", "container.engine"}
    assert all(one.unread for name, one in found.items() if name not in told)


_FILES = sorted({*trees.bare_metal(), *trees.kvm_guest(), *trees.docker_v2(), *trees.pod_v1()})
_MACHINES: list[Callable[[], dict[str, str]]] = [trees.bare_metal, trees.kvm_guest, trees.docker_v2, trees.pod_v1]


@given(
    st.sampled_from(_MACHINES),
    st.lists(st.tuples(st.sampled_from(_FILES), st.binary(max_size=60) | st.sampled_from(
        [b"", b"-1", b"99999999999999999999999", b"0-99999999", b"../../etc", b"[", b"1 0", b"9" * 5000, b"\xff\xfe"]
    )), max_size=6),
)  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_garbage_in_any_file_is_a_reason_and_never_an_error(
    tmp_path_factory: pytest.TempPathFactory, made: Callable[[], dict[str, str]], garbage: list[tuple[str, bytes]]
) -> None:
    root = trees.plant(tmp_path_factory.mktemp("machine"), made())
    for name, content in garbage:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    found = readings(Machine(root=root, variables={}, nvml=no_card))
    assert len(found) == len(CATALOGUE) + 1
    for one in found:
        assert (one.value is None) == (one.unread is not None), one
        assert "\n" not in (one.value or "") and len(one.value or "") <= 2001


def test_a_folder_where_a_file_should_be_and_a_closed_file_are_reasons(tmp_path: Path) -> None:
    trees.plant(tmp_path, trees.bare_metal())
    (tmp_path / "proc/loadavg").unlink()
    (tmp_path / "proc/loadavg").mkdir()
    found = {one.knob: one for one in readings(Machine(root=tmp_path, variables={}, nvml=no_card))}
    assert "directory" in (found["system.load"].unread or "")


def test_no_mount_may_lead_out_of_the_machine(tmp_path: Path) -> None:
    files = trees.docker_v2()
    files["proc/self/mountinfo"] = "741 740 0:30 / /sys/../../outside ro - cgroup2 cgroup rw\n"
    files["proc/self/cgroup"] = "0::/../../x\n"
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "cpu.max").write_text("100000 100000")
    reading = look(tmp_path / "root", files)["container.cpu_limit"]
    assert reading.value is None and "plain path" in (reading.unread or "")


def test_secrets_in_readings_are_taken_out(tmp_path: Path) -> None:
    found = look(tmp_path, trees.pod_v1(), FOURWAYS_IMAGE="https://ada:Zq7pw@registry.example/x")
    assert "Zq7pw" not in str(found["container.image"].value)


@pytest.mark.parametrize(
    ("files", "name"),
    [
        (trees.bare_metal(), "Intel(R) Xeon(R) Gold 6226R CPU"),
        (trees.pod_v1(), "CPU implementer 0x41 CPU part 0xd0c"),
        (trees.pod_v1() | {"sys/firmware/devicetree/base/model": "Some Board 5\0"}, "Some Board 5"),
    ],
)
def test_the_processor_has_a_name_where_the_kernel_gives_none_too(
    tmp_path: Path, files: dict[str, str], name: str
) -> None:
    assert cpu_model(Machine(root=trees.plant(tmp_path, files))) == name


def test_this_machine_is_read_in_a_moment() -> None:
    """Without cards: the library of a real one takes what it takes to start. Processor time, as others work here."""
    start = time.process_time()
    found = readings(Machine(nvml=no_card))
    package_lock()
    assert time.process_time() - start < 0.3
    if sys.platform == "linux":
        assert sum(one.value is not None for one in found) > len(found) / 2


def test_the_lock_names_every_package_that_can_be_imported_with_its_version() -> None:
    lock = package_lock()
    assert lock["msgspec"] == version("msgspec")
    assert {"torch", "transformers", "fourways", "pyyaml"} <= set(lock)
    assert all(name == name.lower() and "_" not in name for name in lock)


ORIGINS = {
    '{"url": "file:///home/ada/src/x", "dir_info": {"editable": true}}': "1.0 (editable)",
    '{"url": "file:///home/ada/src/x", "dir_info": {}}': "1.0 (a local folder)",
    '{"url": "file:///tmp/x.whl", "archive_info": {"hashes": {"sha256": "ab"}}}': "1.0 (a local file, sha256 ab)",
    '{"url": "https://ada:Zq7@host/x", "vcs_info": {"vcs": "git", "commit_id": "c0"}}': (
        "1.0 (git+https://[redacted]@host/x@c0)"
    ),
    '{"url": "https://host/x.whl?token=Zq7", "archive_info": {}}': "1.0 (https://host/x.whl?token=[redacted])",
    '{"url": 7, "dir_info": [], "vcs_info": "x"}': "1.0 (7)",
    "{not json": "1.0",
    "[1]": "1.0",
    "": "1.0",
}


@pytest.mark.parametrize("origin", ORIGINS)
def test_a_packages_origin_stands_behind_its_version_and_names_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, origin: str
) -> None:
    folder = tmp_path / "Some_Package.X-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: Some_Package.X\nVersion: 1.0\n")
    (folder / "direct_url.json").write_text(origin)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert package_lock() == {"some-package-x": ORIGINS[origin]}


@given(st.frozensets(st.integers(0, 300)))
def test_a_list_of_cpus_comes_back(cpus: frozenset[int]) -> None:
    text = format_cpus(cpus)
    assert parse_cpus("" if text == "none" else text) == cpus


@pytest.mark.parametrize("text", ["a", "1-", "-1", "3-1", "0-99999999999", "٣", "1.5", "0x1", "1 2"])
def test_what_is_no_list_of_cpus_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        parse_cpus(text)
