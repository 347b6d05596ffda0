"""The knobs of NVIDIA cards, by NVIDIA's management library (NVML's API reference, in which the names below stand)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from fourways.core.run import Reading
from fourways.evidence.environment.knob import Said, one_line
from fourways.evidence.environment.machine import Machine, Unread
from fourways.evidence.redact import redact

_MOST_CARDS = 64


@dataclass(frozen=True, slots=True)
class Card:
    """nvml: the library. handle: its own of the card. index: the library's, which knows no CUDA_VISIBLE_DEVICES.
    machine: whose processes can be seen."""

    nvml: Any
    handle: Any
    index: int
    machine: Machine

    def get(self, name: str, *arguments: Any) -> Any:
        """nvmlDeviceGet<name>. Raises the library's own error."""
        return getattr(self.nvml, f"nvmlDeviceGet{name}")(self.handle, *arguments)


class CardKnob(ABC):
    """One setting of a card. name: as it stands in the header, after `gpu0.`."""

    name: ClassVar[str]

    @abstractmethod
    def read(self, card: Card) -> Said:
        """How it stands. Raises the library's error where the card cannot tell."""


class Model(CardKnob):
    """Which card it is, and its memory."""

    name = "model"

    def read(self, card: Card) -> Said:
        memory = card.get("MemoryInfo")
        name = _word(card.get("Name"))
        return Said(f"{name}, {memory.used / 2**30:.1f} of {memory.total / 2**30:.1f} GiB used")


class Clocks(CardKnob):
    """The clocks now, and the highest."""

    name = "clocks"

    def read(self, card: Card) -> Said:
        kinds = {"SM": card.nvml.NVML_CLOCK_SM, "memory": card.nvml.NVML_CLOCK_MEM}
        pairs = {name: (card.get("ClockInfo", kind), card.get("MaxClockInfo", kind)) for name, kind in kinds.items()}
        return Said(", ".join(f"{name} {now} of {most} MHz" for name, (now, most) in pairs.items()))


class PowerCap(CardKnob):
    """How much power the card may draw."""

    name = "power_cap"

    def read(self, card: Card) -> Said:
        cap, usual = card.get("PowerManagementLimit") // 1000, card.get("PowerManagementDefaultLimit") // 1000
        value = f"{cap} W, {usual} W by default"
        if cap >= usual:
            return Said(value)
        return Said(value, f"the card is held below its own limit: sudo nvidia-smi -i {card.index} -pl {usual}")


class Persistence(CardKnob):
    """Whether the driver stays when nobody uses the card."""

    name = "persistence"

    def read(self, card: Card) -> Said:
        if card.get("PersistenceMode"):
            return Said("on")
        return Said(
            "off",
            "the driver lets go of the card when the last program leaves, so every first start is slow and settings "
            f"are lost: sudo nvidia-smi -i {card.index} -pm 1",
        )


class Ecc(CardKnob):
    """Error correction of the card's memory; it takes bandwidth on some cards."""

    name = "ecc"

    def read(self, card: Card) -> Said:
        current, pending = card.get("EccMode")
        value = "on" if current else "off"
        if current != pending:
            value += f", {'on' if pending else 'off'} after a restart"
        if not current:
            return Said(value)
        kind, counter = card.nvml.NVML_MEMORY_ERROR_TYPE_UNCORRECTED, card.nvml.NVML_VOLATILE_ECC
        errors = card.get("TotalEccErrors", kind, counter)
        return Said(
            f"{value}, {errors:,} uncorrected errors since the driver started",
            f"its memory gave wrong bits; look before you trust the card: nvidia-smi -i {card.index} -q -d ECC"
            if errors
            else None,
        )


class Mig(CardKnob):
    """Whether the card is cut into instances."""

    name = "mig"

    def read(self, card: Card) -> Said:
        current, pending = card.get("MigMode")
        after = "" if current == pending else f", {'on' if pending else 'off'} after a reset"
        return Said(f"{'on' if current else 'off'}{after}")


class OtherProcesses(CardKnob):
    """Who else computes on the card. In a container the driver may name processes by their host's numbers."""

    name = "other_processes"

    def read(self, card: Card) -> Said:
        listed = card.get("ComputeRunningProcesses")
        others = [one for one in listed if one.pid != card.machine.process]
        if not others:
            return Said("none")
        held = sum(one.usedGpuMemory or 0 for one in others)
        value = f"{len(others)}, {held / 2**30:.1f} GiB"
        if len(others) == len(listed) and not all(card.machine.there(f"proc/{one.pid}") for one in others):
            value += "; a number is its host's, so this process may be among them"
            if len(others) == 1:
                return Said(value)
        return Said(
            value,
            f"they share the card's time and memory; see them: nvidia-smi -i {card.index}, and let them end first",
        )


class Throttling(CardKnob):
    """What holds the card's clock down at this moment."""

    name = "throttling"

    def read(self, card: Card) -> Said:
        bits = card.get("CurrentClocksEventReasons")
        held = [words for bit, words in _REASONS.items() if bits & bit]
        value = ", ".join(held) or "nothing"
        if not bits & _HARMFUL:
            return Said(value)
        return Said(
            value,
            "heat or the power supply holds the clock down, so times grow with the length of a run: cool the card, and "
            f"look again: nvidia-smi -i {card.index} -q -d PERFORMANCE",
        )


_REASONS = {
    0x001: "idle",
    0x002: "clocks set by an application",
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "heat (software)",
    0x040: "heat (hardware)",
    0x080: "power brake",
    0x100: "display clocks",
}
"""nvmlClocksEventReasons: bit → words."""
_HARMFUL = 0x008 | 0x020 | 0x040 | 0x080


class Temperature(CardKnob):
    """How warm it is."""

    name = "temperature"

    def read(self, card: Card) -> Said:
        return Said(f"{card.get('Temperature', card.nvml.NVML_TEMPERATURE_GPU)} °C")


class Link(CardKnob):
    """How wide its way to the host is."""

    name = "link"

    def read(self, card: Card) -> Said:
        width, most = card.get("CurrPcieLinkWidth"), card.get("MaxPcieLinkWidth")
        return Said(
            f"{width} of {most} PCIe lanes",
            "the card has fewer lanes than it could use, so pictures and weights reach it later: another slot, or "
            "seat it again"
            if width < most
            else None,
        )


CARD_KNOBS: tuple[CardKnob, ...] = (
    Model(), Clocks(), PowerCap(), Persistence(), Ecc(), Mig(), OtherProcesses(), Throttling(), Temperature(), Link(),
)  # fmt: skip


def readings(machine: Machine) -> Iterator[Reading]:
    """The driver's and every card's; one that says why where there is no such card. Never raises."""
    try:
        nvml = machine.nvml()
    except Unread as reason:
        yield Reading("gpu.driver", None, unread=redact(one_line(str(reason))))
        return
    try:
        yield _reading("gpu.driver", partial(_driver, nvml))
        for index in range(_count(nvml)):
            yield from _card_readings(nvml, index, machine)
    finally:
        _quietly(nvml.nvmlShutdown)


def _card_readings(nvml: Any, index: int, machine: Machine) -> Iterator[Reading]:
    try:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
    except Exception as error:
        yield Reading(f"gpu{index}", None, unread=_why(error))
        return
    card = Card(nvml, handle, index, machine)
    for knob in CARD_KNOBS:
        yield _reading(f"gpu{index}.{knob.name}", partial(knob.read, card))


def _reading(name: str, read: Callable[[], Said]) -> Reading:
    try:
        said = read()
    except Exception as error:  # the library's errors have no type that can be named without it
        return Reading(name, None, unread=_why(error))
    return Reading(name, redact(one_line(said.value)), advice=said.advice)


def _driver(nvml: Any) -> Said:
    cuda = nvml.nvmlSystemGetCudaDriverVersion_v2()
    return Said(f"{_word(nvml.nvmlSystemGetDriverVersion())}, CUDA up to {cuda // 1000}.{cuda % 1000 // 10}")


def _count(nvml: Any) -> int:
    try:
        return min(int(nvml.nvmlDeviceGetCount()), _MOST_CARDS)
    except Exception:
        return 0


def _quietly(end: Callable[[], object]) -> None:
    try:
        end()
    except Exception:  # nothing was to come after it
        return


def _word(text: str | bytes) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _why(error: Exception) -> str:
    return redact(one_line(f"{type(error).__name__}: {error}"))
