"""A benchmark under KEY@rank takes the likeliest of its possible replies."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from fourways import zoo
from fourways.axes.accuracy import Accuracy
from fourways.axes.contract import Opened, Settings
from fourways.benchmarks import registry
from fourways.benchmarks.contract import ReplyContext, Sample
from fourways.core.candidate import Candidate
from fourways.core.engine import EngineInfo
from fourways.core.errors import UserError
from fourways.core.events import Done, Event
from fourways.core.request import Rank, Request
from fourways.core.rows import AnswerRow, FailureRow, Row
from fourways.engines import open_engine
from fourways.hub import look

Answer = Callable[..., AnswerRow]
NOTHING = ReplyContext(None, ())
CHOICE = Sample("1", "1", "k", bytes, "Which?", ("B",), options={"A": "cat", "B": "dog"})


def test_multiple_choice_is_asked_as_the_original_qwen_vl_was() -> None:
    ranked = registry.get("choice:ours@rank")
    assert ranked.prompt(CHOICE, "qwen2.5-vl") == "Context: N/A\nQuestion: Which?\nOptions: A. cat\nB. dog\nAnswer:"
    assert ranked.output(CHOICE) == Rank(("A", "B"))
    hinted = Sample("1", "1", "k", bytes, "Which?", ("B",), hint="In the yard.", options=CHOICE.options)
    assert ranked.prompt(hinted, "generic").startswith("Context: In the yard.\n")


def test_yes_no_and_listed_options_are_asked_as_ever() -> None:
    for key in ("mme", "pope", "yes_no:x"):
        assert registry.get(f"{key}@rank").prompt(CHOICE, "x").startswith("Context:")
        asked = Sample("1", "1", "k", bytes, "Is it?", ("yes",))
        assert registry.get(f"{key}@rank").prompt(asked, "internvl") == registry.get(key).prompt(asked, "internvl")
        assert registry.get(f"{key}@rank").output(asked) == Rank(("Yes", "No", "yes", "no"))
    inside = Sample(
        "1",
        "1",
        "k",
        bytes,
        "q\nOptions: A: x, B: y",
        ("A",),
        options={"A": "x", "B": "y"},
        extra={"options": "inside"},
    )
    assert registry.get("mmstar@rank").prompt(inside, "x") == registry.get("mmstar").prompt(inside, "x")


@pytest.mark.parametrize("key", ["mme", "pope", "mmbench_en", "mmstar", "choice:x", "yes_no:x"])
def test_every_continuation_is_read_as_itself_and_nothing_else_is_read(key: str) -> None:
    benchmark, inner = registry.get(f"{key}@rank"), registry.get(key)
    sample = CHOICE if inner.continuations(CHOICE) == ("A", "B") else Sample("1", "1", "k", bytes, "q", ("no",))
    read = [benchmark.parse(sample, reply, NOTHING) for reply in benchmark.continuations(sample)]
    assert read == (["A", "B"] if sample is CHOICE else ["yes", "no"] * 2)
    assert [benchmark.score(sample, parsed) for parsed in read[:2]] == [0, 1]
    assert [benchmark.parse(sample, reply, NOTHING) for reply in ("", "A.", " A", "YES", "a cat")] == [None] * 5


def test_it_is_the_inner_benchmark_in_all_else(answer: Answer) -> None:
    ranked, inner = registry.get("mmbench_en@rank"), registry.get("mmbench_en")
    assert (ranked.key, ranked.title, ranked.ranks) == ("mmbench_en@rank", "MMBench (English), ranked", True)
    assert (ranked.primary, ranked.definitions) == (inner.primary, inner.definitions)
    rows = [answer(ranked, CHOICE, "B")]
    assert ranked.metrics(rows) == inner.metrics(rows)
    assert ranked.edition(Path("MMBench_DEV_EN.tsv")) == inner.edition(Path("MMBench_DEV_EN.tsv"))
    assert registry.source_sha256("mmbench_en@rank") == registry.source_sha256("mmbench_en")


@pytest.mark.parametrize("key", ["vqav2", "refcoco", "realworldqa", "open:x"])
def test_open_answers_cannot_be_ranked(key: str) -> None:
    with pytest.raises(UserError, match=f"the answers of {key} cannot be ranked") as caught:
        registry.get(f"{key}@rank")
    assert f"ask it as {key}" in (caught.value.hint or "")


# -- through an engine ------------------------------------------------------------------------------------------------

KEYS = ("mmbench_en@rank", "mme@rank")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    folder = tmp_path_factory.mktemp("suite")
    places = zoo.write_suite(folder, images=8, seed=5)
    return Settings(3, registry.suite_of({key: places[key.removesuffix("@rank")] for key in KEYS}), folder)


async def rows_of(opened: Opened, settings: Settings) -> list[Row]:
    return [row async for row in Accuracy().rows([opened], settings, ())]


async def test_an_embedded_model_is_ranked_from_prompt_to_score(settings: Settings) -> None:
    candidate = Candidate("qwen", model="zoo:qwen", threads=1)
    checkpoint = look(zoo.checkpoint("qwen"))
    engine = await open_engine(candidate, checkpoint)
    try:
        async with asyncio.timeout(120):
            rows = await rows_of(Opened(candidate, checkpoint, engine), settings)
    finally:
        await engine.close()
    answers = [row for row in rows if isinstance(row, AnswerRow)]
    assert len(answers) == len(rows) > 0 and {row.benchmark for row in answers} == set(KEYS)
    for row in answers:
        assert row.status == "ok" and row.rank_logprobs is not None and row.mean_logprob is not None
        offered = (
            ("Yes", "No", "yes", "no")
            if row.benchmark == "mme@rank"
            else ("A", "B", "C", "D")[: len(row.rank_logprobs)]
        )
        assert row.reply == offered[row.rank_logprobs.index(max(row.rank_logprobs))]
        assert 1 / len(offered) - 1e-6 <= math.exp(row.mean_logprob) <= 1
    yes_no = [row for row in answers if row.benchmark == "mme@rank"]
    (primary,) = [m for m in registry.get("mme@rank").metrics(yes_no) if m.primary]
    assert primary.name == "mme_sum"
    assert sum(row.score for row in yes_no) / len(yes_no) > 0.5


class Server:
    """What is known of a server: it generates text."""

    info = EngineInfo("server", "generic", None, frozenset({"generate"}), {})

    async def stream(self, request: Request) -> AsyncIterator[Event | Done]:
        raise AssertionError("a server is not asked for what it cannot tell")
        yield

    async def clear_caches(self) -> None: ...

    async def close(self) -> None: ...


async def test_a_server_has_no_ranked_score(settings: Settings) -> None:
    rows = await rows_of(Opened(Candidate("s", url="http://x"), None, Server()), settings)
    assert [(type(row), getattr(row, "status", ""), getattr(row, "where", "")) for row in rows] == [
        (FailureRow, "undefined", key) for key in KEYS
    ]
    assert all(isinstance(row, FailureRow) and row.message.startswith("no access: ") for row in rows)
