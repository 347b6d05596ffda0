"""A machine that was busy is told of where its times stand, by the settings that lengthen times and by no others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fourways.core.rows import Row
from fourways.core.run import Reading, RunHeader
from fourways.core.slowing import BUSY, HELD_BACK
from fourways.evidence.environment import catalogue, gpu
from fourways.report import slowed, write_report
from fourways.report.slowed import _SAID

MakeRun = Callable[[Path, list[Row], RunHeader], Path]
ADVICE = "end what else runs"
LOAD = Reading("system.load", "5.53 4.00 3.10 (1, 5, 15 minutes)", advice=ADVICE)
NICE = Reading("process.priority", "nice 5, normal", advice=ADVICE)
SLOW_CLOCK = Reading("cpu.governor", "powersave (intel_pstate)", advice=ADVICE)
TURBO = Reading("cpu.turbo", "on", advice="equal runs differ by heat")


def on(header: RunHeader, *readings: Reading, **changed: Any) -> RunHeader:
    environment = msgspec.structs.replace(header.environment, readings=readings, cores=2)
    return msgspec.structs.replace(header, environment=environment, **changed)


def test_every_setting_that_is_named_is_one_that_is_read_and_has_words() -> None:
    read = {knob.name for knob in catalogue.CATALOGUE} | {f"gpu.{knob.name}" for knob in gpu.CARD_KNOBS}
    assert read >= BUSY | HELD_BACK
    assert set(_SAID) == BUSY | HELD_BACK
    assert not BUSY & HELD_BACK


def test_what_ran_beside_it_is_said_in_one_line(made_up_header: RunHeader) -> None:
    assert slowed(on(made_up_header, LOAD, TURBO, NICE)) == (
        "The machine was busy when the run began: 5.5 tasks on 2 cores; this process ran as nice 5, normal. "
        "Times may be too long. The report has more: Settings of the machine."
    )


def test_a_machine_that_was_held_back_is_not_called_busy(made_up_header: RunHeader) -> None:
    said = slowed(on(made_up_header, SLOW_CLOCK)) or ""
    assert said.startswith("The machine was held back when the run began: the clock's governor was powersave")
    assert (slowed(on(made_up_header, SLOW_CLOCK, NICE)) or "").startswith("The machine was busy and held back")


def test_nothing_is_said_of_a_machine_at_rest_or_of_a_run_without_times(made_up_header: RunHeader) -> None:
    assert slowed(on(made_up_header, TURBO, msgspec.structs.replace(LOAD, advice=None))) is None
    assert slowed(on(made_up_header, LOAD, axes=("accuracy", "memory"))) is None
    assert slowed(made_up_header) is None


@pytest.mark.parametrize(("device", "told"), [("cpu", False), ("cuda", True), ("cuda:1", True)])
def test_a_card_matters_only_where_something_ran_on_one(made_up_header: RunHeader, device: str, told: bool) -> None:
    first = made_up_header.candidates[0]
    ran = msgspec.structs.replace(first, candidate=msgspec.structs.replace(first.candidate, device=device))
    neighbour = Reading("gpu3.other_processes", "2, 9.0 GiB", advice=ADVICE)
    said = slowed(on(made_up_header, neighbour, candidates=(ran,)))
    assert (said is not None and "gpu3: others computed on it (2, 9.0 GiB)" in said) is told


@pytest.mark.parametrize("value", ["", "nan", "<script>alert(1)</script>", "9" * 400])
def test_a_load_that_is_no_number_is_told_as_it_stands_and_cannot_act(
    value: str, made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path
) -> None:
    header = on(made_up_header, Reading("system.load", value, advice=ADVICE))
    assert slowed(header) is not None
    page = write_report(make_run(tmp_path / "run", [], header), images=lambda sha: None)
    assert "<script>alert(1)" not in page.read_text("utf-8")


def test_the_page_says_it_before_any_number(made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path) -> None:
    page = write_report(make_run(tmp_path / "run", [], on(made_up_header, LOAD)), images=lambda sha: None)
    text = page.read_text("utf-8")
    assert 0 < text.index("5.5 tasks on 2 cores") < text.index('<section id="result"')
    assert text.count('href="#settings"') == text.count('id="settings"') == 1
