"""Cards are read through NVIDIA's own names, and a library that refuses is a reason. The answers here are recorded:
they are what a card gives; the names, constants and errors are those of the installed nvidia-ml-py."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pynvml
import pytest

from fourways.core.run import Reading
from fourways.evidence.environment import gpu
from fourways.evidence.environment.machine import Machine, Unread, load_nvml

GIB = 2**30
H200 = {
    "MemoryInfo": SimpleNamespace(used=3 * GIB, total=140 * GIB),
    "Name": b"NVIDIA H200",
    "ClockInfo": 1500,
    "MaxClockInfo": 1980,
    "PowerManagementLimit": 700_000,
    "PowerManagementDefaultLimit": 700_000,
    "PersistenceMode": 1,
    "EccMode": [1, 1],
    "TotalEccErrors": 0,
    "MigMode": [0, 0],
    "ComputeRunningProcesses": [SimpleNamespace(pid=7, usedGpuMemory=GIB)],
    "CurrentClocksEventReasons": 0x4,
    "Temperature": 41,
    "CurrPcieLinkWidth": 16,
    "MaxPcieLinkWidth": 16,
}


class Library:
    """The installed library, with one card's recorded answers; an answer that is an error is raised."""

    def __init__(self, cards: int = 1, **changed: Any) -> None:
        self._cards, self._answers, self.ended = cards, {**H200, **changed}, 0

    def __getattr__(self, name: str) -> Any:
        real = getattr(pynvml, name)  # AttributeError for a name that the library does not have
        if not callable(real) or isinstance(real, type):
            return real
        return lambda *arguments: self._call(name, real, arguments)

    def _call(self, name: str, real: Any, arguments: tuple[Any, ...]) -> Any:
        inspect.signature(real).bind(*arguments)
        if name == "nvmlShutdown":
            self.ended += 1
            return None
        fixed = {
            "nvmlDeviceGetCount": self._cards,
            "nvmlDeviceGetHandleByIndex": object(),
            "nvmlSystemGetDriverVersion": "580.95.05",
            "nvmlSystemGetCudaDriverVersion_v2": 13000,
        }
        answer = fixed[name] if name in fixed else self._answers[name.removeprefix("nvmlDeviceGet")]
        if isinstance(answer, Exception):
            raise answer
        return answer


def look(library: Library, root: Path = Path("/")) -> dict[str, Reading]:
    machine = Machine(nvml=lambda: library, process=7, root=root)
    return {one.knob: one for one in gpu.readings(machine)}


def test_a_card_at_its_best_is_read_without_advice() -> None:
    library = Library()
    found = look(library)
    assert {name: one.value for name, one in found.items()} == {
        "gpu.driver": "580.95.05, CUDA up to 13.0",
        "gpu0.model": "NVIDIA H200, 3.0 of 140.0 GiB used",
        "gpu0.clocks": "SM 1500 of 1980 MHz, memory 1500 of 1980 MHz",
        "gpu0.power_cap": "700 W, 700 W by default",
        "gpu0.persistence": "on",
        "gpu0.ecc": "on, 0 uncorrected errors since the driver started",
        "gpu0.mig": "off",
        "gpu0.other_processes": "none",
        "gpu0.throttling": "power cap",
        "gpu0.temperature": "41 °C",
        "gpu0.link": "16 of 16 PCIe lanes",
    }
    assert not any(one.advice for one in found.values())
    assert library.ended == 1


@pytest.mark.parametrize(
    ("changed", "knob", "value", "advice"),
    [
        ({"PowerManagementLimit": 400_000}, "power_cap", "400 W, 700", "sudo nvidia-smi -i 0 -pl 700"),
        ({"PersistenceMode": 0}, "persistence", "off", "sudo nvidia-smi -i 0 -pm 1"),
        ({"EccMode": [0, 1]}, "ecc", "off, on after a restart", None),
        ({"TotalEccErrors": 2}, "ecc", "on, 2 uncorrected", "nvidia-smi -i 0 -q -d ECC"),
        ({"MigMode": [1, 1]}, "mig", "on", None),
        ({"CurrentClocksEventReasons": 0x61}, "throttling", "idle, heat (software), heat (hardware)", "cool the card"),
        ({"CurrPcieLinkWidth": 4}, "link", "4 of 16", "fewer lanes"),
        (
            {"ComputeRunningProcesses": [SimpleNamespace(pid=one, usedGpuMemory=None) for one in (7, 9)]},
            "other_processes", "1, 0.0 GiB", "nvidia-smi -i 0",
        ),
    ],
)  # fmt: skip
def test_what_holds_a_card_back_is_said_with_the_way_out(
    changed: dict[str, Any], knob: str, value: str, advice: str | None
) -> None:
    reading = look(Library(**changed))[f"gpu0.{knob}"]
    assert (reading.value or "").startswith(value)
    assert (advice or "") in (reading.advice or "")
    assert (reading.advice is None) == (advice is None)


@pytest.mark.parametrize(
    ("listed", "value", "advised"),
    [
        ([9], "1, 1.0 GiB", True),
        ([4711], "1, 1.0 GiB; a number is its host's, so this process may be among them", False),
        ([4711, 4712], "2, 2.0 GiB; a number is its host's, so this process may be among them", True),
        ([7, 4711], "1, 1.0 GiB", True),
    ],
    ids=["seen here", "the host's number", "two of the host's", "seen beside this one"],
)
def test_a_container_does_not_take_its_own_process_for_a_strangers(
    tmp_path: Path, listed: list[int], value: str, advised: bool
) -> None:
    (tmp_path / "proc" / "9").mkdir(parents=True)
    processes = [SimpleNamespace(pid=one, usedGpuMemory=2**30) for one in listed]
    reading = look(Library(ComputeRunningProcesses=processes), tmp_path)["gpu0.other_processes"]
    assert reading.value == value
    assert (reading.advice is not None) == advised


def test_what_a_card_does_not_support_is_a_reason_and_the_rest_is_read() -> None:
    refusal = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    found = look(Library(cards=2, EccMode=refusal, MigMode=refusal))
    assert found["gpu1.mig"].value is None
    assert "Not Supported" in (found["gpu1.mig"].unread or "")
    assert found["gpu1.model"].value == found["gpu0.model"].value


def test_without_a_driver_there_is_one_reading_that_says_why() -> None:
    def refuse() -> None:
        raise Unread("NVML: Driver Not Loaded")

    (reading,) = gpu.readings(Machine(nvml=refuse))
    assert (reading.knob, reading.value, reading.unread) == ("gpu.driver", None, "NVML: Driver Not Loaded")


def test_the_real_library_either_starts_or_says_why_not() -> None:
    try:
        load_nvml().nvmlShutdown()
    except Unread as reason:
        assert str(reason).startswith(("NVML: ", "nvidia-ml-py is not installed"))


def test_every_name_that_is_asked_for_is_one_of_the_librarys() -> None:
    called = [node for node in ast.walk(ast.parse(inspect.getsource(gpu))) if isinstance(node, ast.Call)]
    asked = {
        f"nvmlDeviceGet{node.args[0].value}"
        for node in called
        if isinstance(node.func, ast.Attribute) and node.func.attr == "get" and isinstance(node.args[0], ast.Constant)
    }
    assert len(asked) == len(H200)
    assert all(hasattr(pynvml, name) for name in asked)
    assert pynvml.nvmlClocksEventReasonHwThermalSlowdown == 0x40
