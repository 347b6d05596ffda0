"""The accuracy axis asks every sample once, and counts what goes wrong instead of dropping it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from fourways import zoo
from fourways.axes.accuracy import WINDOW, Accuracy
from fourways.axes.contract import Opened, Settings
from fourways.axes.window import Window
from fourways.benchmarks import registry
from fourways.benchmarks.contract import Sample
from fourways.benchmarks.registry import suite_of
from fourways.compare.losses import try_again
from fourways.core.candidate import Candidate, Sampling
from fourways.core.conversation import Text
from fourways.core.engine import Capability, EngineInfo
from fourways.core.errors import EngineError
from fourways.core.events import Done, Event, Usage
from fourways.core.request import Generate, Request, derive_seed
from fourways.core.rows import AnswerRow, FailureRow, Row
from fourways.engines import open_engine
from fourways.hub import look


class Scripted:
    """An engine that answers "yes", slowly, and remembers what it was asked; `refuse` are request ids it fails, with
    `error`."""

    def __init__(
        self,
        capabilities: frozenset[Capability] = frozenset({"generate"}),
        refuse: str = "never",
        error: Exception | None = None,
    ) -> None:
        self._capabilities = capabilities
        self._refuse = refuse
        self._error = error or EngineError("the server is gone")
        self.asked: list[Request] = []
        self.running = 0
        self.most = 0

    @property
    def info(self) -> EngineInfo:
        return EngineInfo("scripted", "generic", None, self._capabilities, {})

    async def stream(self, request: Request) -> AsyncIterator[Event | Done]:
        self.asked.append(request)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.think()
            if self._refuse in request.id:
                raise self._error
            yield Event("yes", (1,), 0)
            yield Done("stop", Usage(10, 4, 1), 0)
        finally:
            self.running -= 1

    async def think(self) -> None:
        await asyncio.sleep(0.001)

    async def clear_caches(self) -> None: ...

    async def close(self) -> None: ...


class Patient(Scripted):
    """Answers nothing until a whole window of requests has come, and then leaves time for one too many."""

    def __init__(self, window: int) -> None:
        super().__init__()
        self._full = asyncio.Event()
        self._window = window

    async def think(self) -> None:
        if self.running >= self._window:
            self._full.set()
        await self._full.wait()
        await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    return zoo.write_suite(tmp_path_factory.mktemp("suite"), images=12, seed=1)


def settings(suite: Mapping[str, Path], *keys: str, limit: int | None = None) -> Settings:
    return Settings(seed=7, suite=suite_of({key: suite[key] for key in keys}), workdir=Path(), limit=limit)


async def collect(
    engine: Scripted, asked: Settings, candidate: Candidate | None = None, done: tuple[Row, ...] = ()
) -> list[Row]:
    opened = Opened(candidate or Candidate("c", url="http://x"), None, engine)
    return [row async for row in Accuracy().rows([opened], asked, done)]


def answers(rows: list[Row]) -> list[AnswerRow]:
    assert all(isinstance(row, AnswerRow) for row in rows), rows
    return [row for row in rows if isinstance(row, AnswerRow)]


async def test_every_sample_of_every_benchmark_gets_one_row(suite: Mapping[str, Path]) -> None:
    rows = answers(await collect(Scripted(), settings(suite, *suite)))
    assert {row.benchmark for row in rows} == set(suite)
    assert len({(row.benchmark, row.sample) for row in rows}) == len(rows)
    units, _ = Accuracy().estimate([Candidate("c", url="http://x")], settings(suite, *suite))
    assert units == len(rows)


async def test_a_right_yes_scores_and_a_wrong_one_does_not(suite: Mapping[str, Path]) -> None:
    rows = answers(await collect(Scripted(), settings(suite, "mme")))
    assert {(row.gold, row.score) for row in rows} == {(("yes",), 1.0), (("no",), 0.0)}


@pytest.mark.parametrize(
    ("candidate", "window"), [(Candidate("c", model="x"), WINDOW), (Candidate("c", url="http://x"), 20)]
)
async def test_requests_run_together_but_never_more_than_the_window(
    tmp_path: Path, candidate: Candidate, window: int
) -> None:
    suite = zoo.write_suite(tmp_path, images=40, seed=1)
    engine = Patient(window)
    async with asyncio.timeout(60):
        rows = answers(await collect(engine, replace(settings(suite, "mmbench_en"), concurrency=20), candidate))
    assert len(rows) > WINDOW
    assert engine.most == window


async def test_questions_about_one_image_are_asked_one_after_the_other(suite: Mapping[str, Path]) -> None:
    engine = Scripted()
    await collect(engine, settings(suite, "mmbench_en"))
    images = [request.conversation.visuals[0].source_sha256 for request in engine.asked]
    changes = sum(a != b for a, b in pairwise(images))
    assert changes == len(set(images)) - 1


async def test_a_limit_draws_whole_groups_and_the_same_ones_each_time(suite: Mapping[str, Path]) -> None:
    rows = answers(await collect(Scripted(), settings(suite, "mmbench_en", limit=16)))
    again = answers(await collect(Scripted(), settings(suite, "mmbench_en", limit=16)))
    assert 0 < len(rows) <= 16
    assert {row.sample for row in rows} == {row.sample for row in again}
    whole = answers(await collect(Scripted(), settings(suite, "mmbench_en")))
    for group in {row.group for row in rows}:
        assert sum(row.group == group for row in rows) == sum(row.group == group for row in whole)


async def test_what_has_a_row_is_not_asked_again(suite: Mapping[str, Path]) -> None:
    whole = answers(await collect(Scripted(), settings(suite, "mme", "vqav2")))
    engine = Scripted()
    rest = answers(await collect(engine, settings(suite, "mme", "vqav2"), done=tuple(whole[:20])))
    assert len(engine.asked) == len(rest) == len(whole) - 20
    assert {(r.benchmark, r.sample) for r in (*whole[:20], *rest)} == {(r.benchmark, r.sample) for r in whole}


async def test_a_request_that_fails_is_counted_with_its_reason(suite: Mapping[str, Path]) -> None:
    rows = answers(await collect(Scripted(refuse="existence"), settings(suite, "mme")))
    failed = [row for row in rows if row.status == "failed"]
    assert failed and {row.category for row in failed} == {"existence"}
    assert all(row.score == 0 and row.parsed is None and row.extra["error"] == "the server is gone" for row in failed)
    assert all(row.status == "ok" for row in rows if row.category != "existence")


async def test_an_engine_that_breaks_its_contract_costs_the_requests_it_broke_on(suite: Mapping[str, Path]) -> None:
    rows = answers(await collect(Scripted(refuse="existence", error=KeyError("x")), settings(suite, "mme")))
    failed = [row for row in rows if row.status == "failed"]
    assert {row.category for row in failed} == {"existence"}
    assert all(row.extra["error"] == "the engine failed: KeyError: 'x'" for row in failed)


async def test_a_damaged_image_costs_its_own_questions_only(tmp_path: Path) -> None:
    suite = zoo.write_suite(tmp_path, images=8, seed=2)
    damaged = sorted((tmp_path / "refcoco").rglob("*.jpg"))
    damaged[0].write_bytes(damaged[0].read_bytes()[:40])
    damaged[1].write_bytes(b"<html>404 not found</html>")
    rows = answers(await collect(Scripted(), settings(suite, "refcoco")))
    failed = [row for row in rows if row.status == "failed"]
    assert len({row.image for row in failed}) == 2
    assert all(row.sample in row.extra["error"] for row in failed)
    assert len(failed) < len(rows)


async def test_a_benchmark_that_cannot_be_read_is_a_failure_and_the_next_one_runs(
    suite: Mapping[str, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.tsv"
    broken.write_text("index\tquestion\n1\tWhat?\n")
    asked = Settings(7, suite_of({"mmbench_en": broken, "mme": suite["mme"]}), Path())
    first, *others = await collect(Scripted(), asked)
    assert isinstance(first, FailureRow)
    assert (first.scope, first.where, first.status) == ("benchmark", "mmbench_en", "failed")
    assert str(broken) in first.message
    assert len(answers(others)) > 0


async def test_random_weights_have_no_accuracy(suite: Mapping[str, Path]) -> None:
    candidate = Candidate("c", model="x", weights="random")
    (row,) = await collect(Scripted(), settings(suite, "mme"), candidate)
    assert isinstance(row, FailureRow) and row.status == "undefined"
    assert Accuracy().estimate([candidate], settings(suite, "mme")) == (0, 0.0)


async def test_an_engine_that_cannot_generate_is_undefined_not_zero(suite: Mapping[str, Path]) -> None:
    (row,) = await collect(Scripted(frozenset({"rank"})), settings(suite, "mme"))
    assert isinstance(row, FailureRow) and row.status == "undefined" and "no access" in row.message


async def test_the_candidate_s_sampling_budget_and_a_seed_of_the_sample_reach_the_engine(
    suite: Mapping[str, Path],
) -> None:
    engine = Scripted()
    candidate = Candidate("c", url="http://x", sampling=Sampling(temperature=0.7, top_p=0.9), visual_budget=64)
    rows = answers(await collect(engine, settings(suite, "mme", limit=4), candidate))
    request = engine.asked[0]
    assert isinstance(request.output, Generate)
    assert (request.output.temperature, request.output.top_p, request.plan.visual_budget) == (0.7, 0.9, 64)
    seeds = {row.sample: row.seed for row in rows}
    assert seeds == {sample: derive_seed(7, f"mme/{sample}") for sample in seeds}


async def test_the_candidate_s_own_dialect_shapes_the_prompt(suite: Mapping[str, Path]) -> None:
    generic, llava = Scripted(), Scripted()
    await collect(generic, settings(suite, "refcoco", limit=2))
    await collect(llava, settings(suite, "refcoco", limit=2), Candidate("c", url="http://x", dialect="qwen2.5-vl"))

    def text(engine: Scripted) -> str:
        return "".join(p.text for p in engine.asked[0].conversation.turns[-1].parts if isinstance(p, Text))

    assert text(generic) != text(llava)


async def test_stopping_early_cancels_what_runs(suite: Mapping[str, Path]) -> None:
    engine = Scripted()
    rows = Accuracy().rows([Opened(Candidate("c", url="http://x"), None, engine)], settings(suite, "vqav2"), ())
    await anext(rows)
    await rows.aclose()  # type: ignore[attr-defined]  # an axis is an asynchronous generator
    assert engine.running == 0


async def test_a_real_model_answers_the_same_in_one_pass_and_in_two(suite: Mapping[str, Path]) -> None:
    candidate = Candidate("qwen", model="zoo:qwen", threads=1)
    checkpoint = look(zoo.checkpoint("qwen"))
    asked = settings(suite, "mme", "refcoco", limit=12)

    async def run(done: tuple[Row, ...]) -> list[AnswerRow]:
        engine = await open_engine(candidate, checkpoint)
        try:
            return answers([r async for r in Accuracy().rows([Opened(candidate, checkpoint, engine)], asked, done)])
        finally:
            await engine.close()

    whole = await run(())
    rest = await run(tuple(whole[:9]))
    first = {(row.benchmark, row.sample): row.reply for row in whole}
    assert first == {(row.benchmark, row.sample): row.reply for row in (*whole[:9], *rest)}
    assert all(row.visuals and row.mean_logprob is not None for row in whole)


class Remembering(Scripted):
    """Knows which of its requests came since it last forgot."""

    def __init__(self) -> None:
        super().__init__()
        self.periods: list[list[str]] = [[]]

    async def think(self) -> None:
        self.periods[-1].append(self.asked[-1].id)
        await super().think()

    async def clear_caches(self) -> None:
        self.periods.append([])


async def test_what_an_engine_remembers_of_an_image_is_kept_until_all_its_questions_are_asked(
    suite: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fourways.axes.window.FORGET_EVERY", 5)
    monkeypatch.setattr("fourways.axes.accuracy.WINDOW", 1)
    engine = Remembering()
    rows = answers(await collect(engine, settings(suite, "mme", "mmbench_en"), Candidate("c", model="m")))
    image = {f"c/{row.benchmark}/{row.sample}": (row.benchmark, row.image) for row in rows}
    met = [{image[name] for name in period} for period in engine.periods if period]
    assert len(met) > 4
    assert sum(map(len, met)) == len(set(image.values()))


@pytest.mark.parametrize(
    ("error", "stays"),
    [
        (FileNotFoundError(2, "No such file"), True), (ValueError("Incorrect padding"), True),
        (OSError(5, "Input/output error"), False), (OSError(24, "Too many open files"), False),
    ],
)  # fmt: skip
async def test_only_a_picture_that_will_never_be_read_is_not_asked_for_again(error: Exception, stays: bool) -> None:
    def image() -> bytes:
        raise error

    sample = Sample("1", "g", "i", image, "?", ("yes",))
    window = Window(Opened(Candidate("c", url="http://x"), None, Scripted()), 7, 4)
    (row,) = [row async for row in window.rows(registry.get("mme"), [sample])]
    assert row.status == "failed" and "cannot be read" in row.extra["error"]
    assert try_again(row) is not stays
