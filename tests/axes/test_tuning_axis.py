"""The tuning axis trains, answers before and after through the engine, goes on where it stopped, and breaks alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec
import pytest
import torch

from fourways.axes import tuning, tuning_task
from fourways.axes.contract import Opened, Settings
from fourways.axes.tuning import SEEDS, Tuning
from fourways.axes.tuning_task import NAME, Question, Task
from fourways.core.candidate import Candidate
from fourways.core.rows import FailureRow, Row, TrainStepRow, TuneAnswerRow
from fourways.engines import LocalEngine
from fourways.tuning.folder import read_manifest
from fourways.tuning.recipe import Recipe

Open = Callable[..., Awaitable[Opened]]
STEPS, HELD_OUT = 11, 4


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "STEPS_QUICK", STEPS)
    monkeypatch.setattr(tuning, "HELD_OUT_QUICK", HELD_OUT)
    monkeypatch.setattr(tuning_task, "EXAMPLES", 16)
    plain = tuning.recipe
    monkeypatch.setattr(tuning, "recipe", lambda seed, quick: msgspec.structs.replace(plain(seed, quick), batch_size=4))


async def collect(opened: list[Opened], settings: Settings, done: list[Row] | None = None) -> list[Row]:
    return [row async for row in Tuning().rows(opened, settings, done or [])]


def facts(rows: list[Row]) -> list[tuple[object, ...]]:
    """Rows without what the clock says."""
    steps = [(r.candidate, r.seed, r.step, r.loss, r.grad_norms) for r in rows if isinstance(r, TrainStepRow)]
    answers = [(r.candidate, r.seed, r.phase, r.sample, r.reply) for r in rows if isinstance(r, TuneAnswerRow)]
    return [*sorted(steps, key=str), *sorted(answers)]


async def test_each_seed_has_answers_before_and_after_steps_and_an_adapter(
    open_random: Open, quick_settings: Settings
) -> None:
    one = await open_random("odd/name: a", "internvl")
    assert isinstance(one.engine, LocalEngine)
    before = {name: p.clone() for name, p in one.engine.family.module.named_parameters()}
    rows = await collect([one], quick_settings)
    answers = [row for row in rows if isinstance(row, TuneAnswerRow)]
    assert Counter((r.seed, r.phase) for r in answers) == {(s, p): HELD_OUT for s in SEEDS for p in ("before", "after")}
    steps = [row for row in rows if isinstance(row, TrainStepRow)]
    assert [(r.seed, r.step) for r in steps] == [(s, n) for s in SEEDS for n in range(STEPS)]
    assert [r.step for r in steps if r.grad_norms is not None] == [0, 10] * len(SEEDS)
    assert all(r.peak_bytes > 0 and r.task == NAME for r in steps)
    assert not [row for row in rows if isinstance(row, FailureRow)]

    replies = {(r.seed, r.phase): [a.reply for a in answers if (a.seed, a.phase) == (r.seed, r.phase)] for r in answers}
    assert replies[0, "before"] == replies[1, "before"]
    assert replies[0, "after"] != replies[0, "before"], "the adapter answers, not the base"
    folders = sorted((quick_settings.workdir / "adapters").iterdir())
    assert [read_manifest(folder).recipe.seed for folder in folders] == list(SEEDS)
    after = dict(one.engine.family.module.named_parameters())
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], p) for name, p in before.items())


async def test_an_interrupted_axis_goes_on_and_tells_the_same(open_random: Open, quick_settings: Settings) -> None:
    one = await open_random("a", "qwen")
    whole = await collect([one], quick_settings)
    assert await collect([one], quick_settings, whole) == []
    for cut in (3, len(whole) - 2):
        rest = await collect([one], quick_settings, whole[:cut])
        assert facts([*whole[:cut], *rest]) == facts(whole)


async def test_what_cannot_be_tuned_says_why(open_random: Open, quick_settings: Settings) -> None:
    one = await open_random("random", weights="random")
    server = Opened(Candidate("server", url="http://localhost:1"), None, one.engine)
    carries = replace(one, candidate=msgspec.structs.replace(one.candidate, name="c", adapter="x", weights="trained"))
    rows = await collect([one, server, carries], quick_settings)
    reasons = {row.candidate: (row.message, row.status) for row in rows if isinstance(row, FailureRow)}
    assert reasons["random"] == ("weights with no training say nothing about tuning", "undefined")
    assert reasons["server"][0].startswith("no access")
    assert reasons["c"][0].startswith("the candidate carries an adapter already")
    assert len(rows) == 3
    assert await collect([one, server, carries], quick_settings, rows) == []


async def test_a_fine_tune_that_breaks_down_is_a_failure_and_the_others_finish(
    open_random: Open, quick_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = tuning.recipe

    def wild(seed: int, quick: bool) -> Recipe:
        return msgspec.structs.replace(plain(seed, quick), learning_rate=1e30 if seed == 0 else 1e-3)

    monkeypatch.setattr(tuning, "recipe", wild)
    rows = await collect([await open_random("a", "qwen")], quick_settings)
    (failure,) = [row for row in rows if isinstance(row, FailureRow)]
    assert failure.where == f"{NAME}, seed 0"
    assert "broke down" in failure.message
    after = [row for row in rows if isinstance(row, TuneAnswerRow) and row.phase == "after"]
    assert {row.seed for row in after} == {1}


def test_no_held_out_scene_is_trained_on_and_no_one_answer_is_a_way_out() -> None:
    task = Task.draw(3, 60)
    trained = {question.image.content_hash for question in task.train}
    assert not trained & {question.image.content_hash for question in task.held_out}
    answers = Counter(question.gold for question in task.held_out)
    assert {"star", "yes", "no"} < answers.keys()
    assert max(answers.values()) < 0.5 * 60


@pytest.mark.parametrize(
    ("reply", "score"), [("star", 1), (" Star. ", 1), ("a star", 0), ("stars", 0), ("", 0), ("star..", 0)]
)
def test_a_reply_counts_only_if_it_is_the_answer(reply: str, score: float) -> None:
    question: Question = replace(Task.draw(3, 1).held_out[0], gold="star")
    assert question.score(reply) == score
