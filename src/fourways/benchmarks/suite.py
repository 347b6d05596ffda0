"""A suite: benchmarks with their data. And finding them in a folder that lists none, by the names that the data sets
are published under."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from fourways.benchmarks.contract import Benchmark, Sample

_PLACES: dict[str, tuple[str, ...]] = {
    "mme": ("mme", "MME", "MME_Benchmark_release_version", "MME.tsv"),
    "mmbench_en": ("mmbench_en", "MMBench_DEV_EN.tsv", "MMBench_DEV_EN_V11.tsv", "mmbench/MMBench_DEV_EN.tsv"),
    "mmbench_cn": ("mmbench_cn", "MMBench_DEV_CN.tsv", "MMBench_DEV_CN_V11.tsv", "mmbench/MMBench_DEV_CN.tsv"),
    "vqav2": ("vqav2", "VQAv2"),
    "refcoco": ("refcoco", "RefCOCO", "RefCOCO.tsv"),
    "realworldqa": ("realworldqa", "RealWorldQA", "RealWorldQA.tsv"),
    "pope": ("pope", "POPE", "POPE.tsv"),
    "mmstar": ("mmstar", "MMStar", "MMStar.tsv", "mmstar.parquet"),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """A benchmark and where its data lies."""

    benchmark: Benchmark
    path: Path

    def read(self) -> Iterator[Sample]:
        """As `Benchmark.read`."""
        return self.benchmark.read(self.path)


Suite = Mapping[str, Entry]
"""Key → entry, in the order in which they are asked."""


def detect(folder: Path) -> dict[str, Path]:
    """Benchmark key → its data inside `folder`, for those that are there; empty if none is. Reads no data.

    A sub-folder or file named by the key always counts; beside it the names of the official releases do.
    """
    found = {
        key: next((folder / place for place in places if (folder / place).exists()), None)
        for key, places in _PLACES.items()
    }
    return {key: path for key, path in found.items() if path is not None}
