"""Joules come from counters only, whatever they wrap to; where there is none, the reason stands in their place."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fourways.core.errors import Undefined
from fourways.trace import energy
from fourways.trace.energy import EnergyMeter, Rapl


def zone(root: Path, place: str, name: str, microjoules: int, wraps_at: int = 262_143_328_850) -> Path:
    """A counter as the kernel's powercap driver lays it out (Documentation/power/powercap/powercap.rst)."""
    folder = root / place
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{name}\n")
    (folder / "energy_uj").write_text(f"{microjoules}\n")
    (folder / "max_energy_range_uj").write_text(f"{wraps_at}\n")
    return folder


def test_packages_and_their_dram_are_added_up_and_the_cores_within_them_are_not(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 5_000_000)
    cores = zone(tmp_path, "intel-rapl:0:0", "core", 1_000_000)
    dram = zone(tmp_path, "intel-rapl:0:1", "dram", 2_000_000)
    zone(tmp_path, "intel-rapl:1", "psys", 9_000_000)
    counter = Rapl(tmp_path)
    before = counter.read()
    for folder, more in ((package, 7_500_000), (cores, 99_000_000), (dram, 2_250_000)):
        (folder / "energy_uj").write_text(str(more))
    assert counter.between(before, counter.read()) == pytest.approx(2.75)
    assert counter.method == "RAPL package-0, dram"


def test_a_counter_that_wraps_goes_on_from_its_range(tmp_path: Path) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 99_000_000, wraps_at=100_000_000)
    counter = Rapl(tmp_path)
    before = counter.read()
    (package / "energy_uj").write_text("500000")
    assert counter.between(before, counter.read()) == pytest.approx(1.5)


def test_a_machine_without_counters_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(Undefined, match=f"no RAPL counter below {tmp_path}"):
        Rapl(tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_counter_that_only_root_may_read_says_so(tmp_path: Path) -> None:
    (zone(tmp_path, "intel-rapl:0", "package-0", 1) / "energy_uj").chmod(0)
    with pytest.raises(Undefined, match="energy_uj cannot be read: Permission denied"):
        Rapl(tmp_path)


def test_a_block_is_measured_between_its_two_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    meter = EnergyMeter("cpu")
    for microjoules in (4_000_000, 5_500_000):
        before = int((package / "energy_uj").read_text())
        with meter:
            (package / "energy_uj").write_text(str(microjoules))
        assert meter.drawn.joules == pytest.approx((microjoules - before) / 1e6)
        assert meter.drawn.seconds > 0
        assert meter.drawn.method == "RAPL package-0"


def test_a_counter_that_goes_away_leaves_the_block_whole_and_the_energy_undefined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = zone(tmp_path, "intel-rapl:0", "package-0", 1_000_000)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    done = []
    meter = EnergyMeter("cpu")
    with meter:
        (package / "energy_uj").unlink()
        done.append("the work")
    assert done == ["the work"]
    with pytest.raises(Undefined, match="energy_uj cannot be read: No such file"):
        _ = meter.drawn


@pytest.mark.parametrize(("device", "reason"), [("mps", "no energy counter is known for a device of type mps")])
def test_a_device_without_a_known_counter_is_undefined(device: str, reason: str) -> None:
    with EnergyMeter(device) as meter:
        pass
    with pytest.raises(Undefined, match=reason):
        _ = meter.drawn


def test_before_any_block_nothing_was_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zone(tmp_path, "intel-rapl:0", "package-0", 1)
    monkeypatch.setattr(energy, "POWERCAP", tmp_path)
    with pytest.raises(Undefined, match="nothing was measured"):
        _ = EnergyMeter("cpu").drawn
