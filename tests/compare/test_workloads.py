"""A workload by name, file or benchmark: the benchmark's data is found as a suite's is."""

from __future__ import annotations

from pathlib import Path

import pytest

from fourways import zoo
from fourways.compare.workloads import open_workload
from fourways.core.engine import EngineInfo
from fourways.core.errors import UserError
from fourways.core.request import Plan

INTERNVL = EngineInfo("local", "internvl", None, frozenset({"generate"}), {})


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return zoo.write_suite(tmp_path_factory.mktemp("suite"), images=12, seed=1)


@pytest.mark.parametrize("key", ["mmbench_en", "vqav2", "mme", "realworldqa", "refcoco"])
def test_a_benchmarks_own_questions_are_asked(key: str, data: dict[str, Path], tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text(f"benchmark: {key}={data[key]}\n")
    workload = open_workload(str(file), seed=4)
    assert workload.limit
    asks = workload.asks(Plan("c"), engine=INTERNVL, items=range(4), run_seed=1, prefix="p")
    for one in asks:
        assert one.read is not None
        assert len(one.read().conversation.visuals) == 1
    assert workload.record.seed == 4 and len(workload.record.data_sha256 or "") == 64


def test_a_shipped_name_needs_no_data() -> None:
    assert open_workload("documents").limit is None


def test_a_benchmark_that_is_not_there_is_told_with_the_workload(tmp_path: Path) -> None:
    file = tmp_path / "w.yaml"
    file.write_text("benchmark: nope\n")
    with pytest.raises(UserError, match=r"the workload .*w\.yaml, benchmark: nope: no such suite"):
        open_workload(str(file))
