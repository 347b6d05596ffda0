"""Finding a suite's benchmarks in a folder that lists none: by the names that the data sets are published under."""

from __future__ import annotations

from pathlib import Path

_PLACES: dict[str, tuple[str, ...]] = {
    "mme": ("mme", "MME", "MME_Benchmark_release_version", "MME.tsv"),
    "mmbench_en": ("mmbench_en", "MMBench_DEV_EN.tsv", "MMBench_DEV_EN_V11.tsv", "mmbench/MMBench_DEV_EN.tsv"),
    "mmbench_cn": ("mmbench_cn", "MMBench_DEV_CN.tsv", "MMBench_DEV_CN_V11.tsv", "mmbench/MMBench_DEV_CN.tsv"),
    "vqav2": ("vqav2", "VQAv2"),
    "refcoco": ("refcoco", "RefCOCO"),
    "realworldqa": ("realworldqa", "RealWorldQA", "RealWorldQA.tsv"),
}


def detect(folder: Path) -> dict[str, Path]:
    """Benchmark key → its data inside `folder`, for those that are there; empty if none is. Reads no data.

    A sub-folder or file named by the key always counts; beside it the names of the official releases do.
    """
    found = {
        key: next((folder / place for place in places if (folder / place).exists()), None)
        for key, places in _PLACES.items()
    }
    return {key: path for key, path in found.items() if path is not None}
