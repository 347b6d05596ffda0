"""The embedded models, the held-out suite, and the recipe that makes them.

Three small checkpoints of the real architectures, trained here on generated scenes, prove the whole path and make
it quick to try. They speak for nothing larger: no sentence or table may suggest so. Importing this room loads no
torch.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .unseen import TaskSample

NAMES: tuple[str, ...] = ("qwen", "llava", "internvl")
"""The embedded models, one per family."""

BENCHMARKS: tuple[str, ...] = ("mme", "mmbench_en", "mmbench_cn", "vqav2", "refcoco", "realworldqa")
"""The keys of what ``write_suite`` writes."""


def checkpoint(name: str) -> Path:
    """The folder of an embedded model: a complete Hugging Face checkpoint.

    Raises ``KeyError`` for a name that is not in ``NAMES``.
    """
    if name not in NAMES:
        raise KeyError(f"no embedded model is called {name!r}; there are {', '.join(NAMES)}")
    return Path(__file__).parent / "checkpoints" / name


def manifest_file(name: str) -> Path:
    """The manifest (`fourways.model/v1`) of an embedded model, with the digests of all its files. It lies beside the
    folder, not in it, so that a copy of the folder can be changed. Raises ``KeyError`` as ``checkpoint`` does.
    """
    return checkpoint(name).with_suffix(".model.json")


def write_suite(folder: Path, *, images: int = 80, seed: int = 2026, questions: int = 2) -> dict[str, Path]:
    """Write the held-out suite in the benchmarks' official formats; returns benchmark key → path.

    ``images``: distinct pictures per benchmark (MME divides them among its four subtasks; MMBench EN and CN share
    them). ``questions``: questions an image, where the format leaves that open (VQAv2, RealWorldQA, and RefCOCO as
    far as there are things); MME has two and MMBench one in four rotations. The same arguments give the same
    bytes. mme: the folder of subtasks; mmbench_*: the TSV; vqav2: the folder of both JSON files and ``val2014``;
    refcoco: the JSON lines; realworldqa: the parquet file.
    """
    from . import suite_files

    return suite_files.write_suite(Path(folder), images=images, seed=seed, questions=questions)


def checkpoints() -> dict[str, Path]:
    """Name → folder, of all embedded models."""
    return {name: checkpoint(name) for name in NAMES}


def distinct_scenes(n: int, seed: int) -> Iterator[bytes]:
    """PNG bytes of ``n`` pictures, no two of one description; the four sizes take turns, so that every seed costs
    the same.
    """
    from .scenes import LAYOUTS, png, render, sample_scene

    rng, seen = random.Random(f"latency {seed}"), set[str]()
    while len(seen) < n:
        scene = sample_scene(rng, None)
        if scene.description in seen or (scene.columns, scene.rows) != LAYOUTS[len(seen) % len(LAYOUTS)]:
            continue
        seen.add(scene.description)
        yield png(render(scene))


def unseen_task(seed: int, n_train: int, n_val: int) -> tuple[list[TaskSample], list[TaskSample]]:
    """Training and validation samples (image: PNG bytes, question, answer) of a task that the models were not
    trained on.
    """
    from .unseen import unseen_task as make

    return make(seed, n_train, n_val)
