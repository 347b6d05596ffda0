"""The memory axis measures each candidate in fresh processes, and a broken one costs only itself."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import psutil
import pytest
import torch

from fourways.axes import memory, memory_probe
from fourways.axes.contract import Opened, Settings
from fourways.axes.memory import IMAGE_SIZE, NEW_TOKENS, Memory
from fourways.axes.memory_probe import LAST_READING, ProbeTask, decode_task, encode_task, probe
from fourways.axes.memory_training import probe_recipe
from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.rows import FailureRow, MemoryRow, MemoryTimelineRow, Row
from fourways.families.registry import find_family
from fourways.tuning.lora import LoraRun

Open = Callable[..., Awaitable[Opened]]
STAGES = ("vision_encode", "prefill", "decode", "train_step")
READINGS = {
    ("load", "process_above_load"),
    ("weights", "exact"),
    *((stage, quantity) for stage in STAGES for quantity in ("live_tensors", "process_above_load")),
    ("kv_per_token", "exact"),
}


async def collect(opened: list[Opened], settings: Settings, done: list[Row] | None = None) -> list[Row]:
    return [row async for row in Memory().rows(opened, settings, done or [])]


@pytest.fixture
def unforetold(monkeypatch: pytest.MonkeyPatch) -> None:
    """No prediction before the probes: seconds for each candidate, and of no matter to what becomes of a probe."""
    monkeypatch.setattr(memory, "predicted_rows", lambda *_: [])


async def test_whole_candidates_are_measured_whatever_befalls_the_others(
    open_random: Open, quick_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "REPEATS_QUICK", 2)
    whole, other = await open_random("whole", "internvl", weights="random"), await open_random("broken")
    assert whole.checkpoint is not None
    assert other.checkpoint is not None
    whole = replace(whole, checkpoint=msgspec.structs.replace(whole.checkpoint, random_weights=True))
    broken = replace(other, checkpoint=msgspec.structs.replace(other.checkpoint, architecture="NoSuchModel"))
    server = replace(other, candidate=Candidate("server", url="http://localhost:1"), checkpoint=None)
    rows = await collect([server, broken, whole], quick_settings)

    failures = {row.candidate: row for row in rows if isinstance(row, FailureRow)}
    assert failures.keys() == {"server", "broken"}
    assert (failures["server"].message, failures["server"].status) == ("no access", "undefined")
    assert "NoSuchModel" in failures["broken"].message
    assert failures["broken"].status == "failed"
    found = [row for row in rows if isinstance(row, MemoryRow)]
    assert {row.candidate for row in found} == {"whole"}
    for repeat in (0, 1):
        assert Counter((r.stage, r.quantity) for r in found if r.repeat == repeat) == Counter(READINGS)
    assert all(r.image_size == IMAGE_SIZE and r.batch == 1 and r.context > NEW_TOKENS for r in found)
    live = {(r.stage, r.bytes) for r in found if r.quantity == "live_tensors"}
    assert len(live) == len(STAGES), "live tensors are the same in every fresh process"

    (timeline,) = [row for row in rows if isinstance(row, MemoryTimelineRow)]
    assert (timeline.candidate, timeline.repeat, timeline.quantity) == ("whole", 0, "live_tensors")
    assert [stage for stage, _, _ in timeline.stages] == list(STAGES)
    assert max(size for _, size in timeline.points) == max(size for _, size in live)

    kept = [r for r in rows if not isinstance(r, MemoryRow) or r.repeat == 0 or (r.stage, r.quantity) != LAST_READING]
    rest = await collect([server, broken, whole], quick_settings, kept)
    assert [(r.repeat, r.stage, r.quantity) for r in rest if isinstance(r, MemoryRow)] == [(1, *LAST_READING)]
    assert len(rest) == 1
    assert await collect([server, broken, whole], quick_settings, [*kept, *rest]) == []


@pytest.mark.parametrize(
    ("code", "message", "hint"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "the probe was killed (SIGKILL)", "no memory left"),
        ("import sys; sys.exit('it hurts')", "the probe ended with code 1: it hurts", None),
        ("raise SystemExit(3)", "the probe ended with code 3: it said nothing", None),
    ],
)
@pytest.mark.usefixtures("unforetold")
async def test_the_last_words_of_a_crash_are_kept(
    code: str, message: str, hint: str | None, open_random: Open, quick_settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(memory, "PROBE_COMMAND", (sys.executable, "-c", code))
    found = await collect([await open_random("a")], quick_settings)
    (failure,) = (row for row in found if isinstance(row, FailureRow))
    assert message in failure.message
    assert (hint or "") in (failure.hint or "")


TRAINING_DIES = """
import os, signal, sys, msgspec
from fourways.core.rows import MemoryRow
task = msgspec.json.decode(sys.stdin.buffer.read())
for stage, quantity in (("weights", "exact"), ("decode", "live_tensors"), ("kv_per_token", "exact")):
    size = tuple(task["image_size"])
    row = MemoryRow(task["candidate"]["name"], task["repeat"], stage, quantity, 9, size, task["batch"], 40)
    os.write(1, msgspec.json.encode(row) + b"\\n")
os.kill(os.getpid(), signal.SIGKILL)
"""
"""Without the probe's own module, whose imports take seconds."""


@pytest.mark.parametrize(
    ("then", "message"),
    [("os.kill(os.getpid(), signal.SIGKILL)", "killed (SIGKILL)"), ("time.sleep(300)", "stopped after 3 s")],
)
@pytest.mark.usefixtures("unforetold")
async def test_a_probe_that_ends_in_the_middle_of_a_line_keeps_the_lines_before(
    then: str, message: str, open_random: Open, quick_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = msgspec.json.encode(MemoryRow("a", 0, "weights", "exact", 9, IMAGE_SIZE, 1, 40))
    code = f"import os, signal, time; os.write(1, {line + bytes([10]) + line[:40]!r}); {then}"
    monkeypatch.setattr(memory, "PROBE_COMMAND", (sys.executable, "-I", "-S", "-c", code))
    monkeypatch.setattr(memory, "PROBE_LIMIT_S", 3)
    found = await collect([await open_random("a")], quick_settings)
    assert [(row.stage, row.bytes) for row in found if isinstance(row, MemoryRow)] == [("weights", 9)]
    (failure,) = (row for row in found if isinstance(row, FailureRow))
    assert message in failure.message


@pytest.mark.usefixtures("unforetold")
async def test_a_probe_that_is_killed_in_its_training_step_keeps_the_request_it_measured(
    open_random: Open, quick_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "PROBE_COMMAND", (sys.executable, "-c", TRAINING_DIES))
    one = await open_random("a")
    rows = await collect([one], quick_settings)
    (failure,) = [row for row in rows if isinstance(row, FailureRow)]
    assert (failure.scope, failure.where, failure.status) == ("sample", "train_step", "failed")
    assert "SIGKILL" in failure.message
    measured = [row for row in rows if isinstance(row, MemoryRow)]
    assert len(measured) == 3 * memory.REPEATS_QUICK, "every repeat is measured, whatever becomes of the step"
    assert await collect([one], quick_settings, rows) == []


def probed(task: ProbeTask) -> list[Row]:
    rows: list[Row] = []
    probe(task, rows.append)
    return rows


def task_of(checkpoint: Checkpoint, **more: object) -> ProbeTask:
    candidate = Candidate("a", model="zoo:qwen", **more)  # type: ignore[arg-type]  # a test's own settings
    return ProbeTask(candidate, checkpoint, 1, 1, (160, 120), 1, 4)


def steps_of(rows: list[Row]) -> list[Row]:
    return [row for row in rows if (isinstance(row, MemoryRow) and row.stage == "train_step") or
            (isinstance(row, FailureRow) and row.where == "train_step")]  # fmt: skip


def test_int8_weights_can_be_trained_on_and_weigh_less(random_checkpoint: Callable[[str], Checkpoint]) -> None:
    pytest.importorskip("torchao")
    whole, small = (
        probed(task_of(random_checkpoint("qwen"))),
        probed(task_of(random_checkpoint("qwen"), quantization="int8")),
    )
    for rows in (whole, small):
        assert {row.quantity for row in steps_of(rows) if isinstance(row, MemoryRow)} == {
            "live_tensors", "process_above_load",
        }  # fmt: skip
    weights = [
        next(r.bytes for r in rows if isinstance(r, MemoryRow) and r.stage == "weights") for rows in (whole, small)
    ]
    assert weights[1] < 0.7 * weights[0]


def test_a_candidate_with_an_adapter_is_not_tuned_again_and_says_so(
    random_checkpoint: Callable[[str], Checkpoint], tmp_path: Path
) -> None:
    checkpoint = random_checkpoint("qwen")
    family = find_family(checkpoint.architecture).load(checkpoint, dtype="float32", device="cpu")
    with LoraRun(family, probe_recipe(1)) as run:
        run.peft_model.save_pretrained(str(tmp_path / "adapter"), save_embedding_layers=False)
    rows = probed(task_of(checkpoint, adapter=str(tmp_path / "adapter")))
    (step,) = steps_of(rows)
    assert isinstance(step, FailureRow)
    assert (step.scope, step.status) == ("sample", "undefined")
    assert "carries an adapter already" in step.message
    assert [row for row in rows if isinstance(row, MemoryRow) and row.stage == "decode"]


def test_a_training_step_that_breaks_costs_only_itself(
    random_checkpoint: Callable[[str], Checkpoint], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")

    monkeypatch.setattr(memory_probe, "train_step", no_room)
    rows = probed(task_of(random_checkpoint("qwen")))
    (step,) = steps_of(rows)
    assert isinstance(step, FailureRow)
    assert (step.scope, step.status) == ("sample", "failed")
    assert step.message.startswith("out of memory: CUDA out of memory")
    assert [row for row in rows if isinstance(row, MemoryRow) and (row.stage, row.quantity) == LAST_READING]


@pytest.mark.usefixtures("unforetold")
async def test_a_stopped_axis_leaves_no_probe_behind(
    open_random: Open, quick_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "PROBE_COMMAND", (sys.executable, "-c", "import time; time.sleep(300)"))
    before = _children()
    task = asyncio.create_task(collect([await open_random("a")], quick_settings))
    while not _children() - before:
        await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not _children() - before


def test_a_task_survives_its_way_to_the_probe(random_checkpoint: Callable[[str], Checkpoint]) -> None:
    task = ProbeTask(Candidate("a", model="zoo:llava"), random_checkpoint("llava"), 0, 1, IMAGE_SIZE, 1, NEW_TOKENS)
    assert decode_task(encode_task(task)) == task


def _children() -> set[int]:
    return {c.pid for c in psutil.Process(os.getpid()).children() if c.status() != psutil.STATUS_ZOMBIE}
