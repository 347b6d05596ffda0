"""A workload of a benchmark's questions: its prompts in each model's dialect, its pictures, each question once."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from fourways.core.conversation import Text
from fourways.core.engine import EngineInfo
from fourways.core.errors import MediaError, UserError
from fourways.core.questions import Question, Questions
from fourways.core.request import Generate, Plan
from fourways.load import Ask, Workload, draw
from fourways.load.workload import WorkloadSpec, describe
from fourways.load.workload.pictures import picture
from fourways.load.workload.spec import Answer

QWEN = EngineInfo("local", "qwen", None, frozenset({"generate"}), {})
SERVER = EngineInfo("openai", "generic", None, frozenset({"generate"}), {})


def drawn(number: int) -> bytes:
    return picture(24, 16, number, content="photo", format="png", quality=85)


def prompt(number: int, dialect: str) -> str:
    return f"{dialect}: what is {number}?"


def questions(count: int, each: int = 1, make: Callable[[int], bytes] = drawn) -> Questions:
    """count pictures, `each` questions about each."""
    return Questions(
        "ours",
        "0" * 64,
        tuple(
            Question(f"{n}-{m}", str(n), (partial(make, n),), partial(prompt, n * each + m), Generate(5))
            for n in range(count)
            for m in range(each)
        ),
    )


def workload(found: Questions, answer: Answer | None = None, seed: int = 3) -> Workload:
    return draw(describe(WorkloadSpec("w", benchmark="ours", answer=answer)), questions=found, seed=seed)


def ask(one: Workload, count: int, engine: EngineInfo = SERVER) -> list[Ask]:
    return one.asks(Plan("c"), engine=engine, items=range(count), run_seed=1, prefix="p")


def text_of(one: Ask) -> str:
    (part,) = (part for part in one.request.conversation.turns[-1].parts if isinstance(part, Text))
    return part.text


def test_each_question_is_asked_once_in_the_models_own_dialect() -> None:
    one = workload(questions(40, 2))
    assert one.limit is not None and one.cache == "mixed"
    asks = ask(one, one.limit, QWEN)
    assert len({text_of(a) for a in asks}) == one.limit == 70
    assert all(text_of(a).startswith("qwen: ") for a in asks)
    assert [text_of(a).removeprefix("qwen") for a in asks] == [
        text_of(a).removeprefix("generic") for a in ask(one, one.limit)
    ]
    with pytest.raises(UserError, match="has 70 requests"):
        ask(one, 71)


def test_warming_up_asks_about_other_pictures() -> None:
    one = workload(questions(20))
    assert one.cache == "cold"
    warm = one.warm_up(Plan("c"), engine=SERVER, items=range(10), run_seed=1, prefix="w")
    assert not {a.image for a in warm} & {a.image for a in ask(one, one.limit or 0)}
    assert one.limit == 18 and len({a.image for a in warm}) == 2


def test_the_order_is_of_chance_and_the_seeds() -> None:
    order = [text_of(a) for a in ask(workload(questions(40)), 30)]
    assert order == [text_of(a) for a in ask(workload(questions(40)), 30)]
    assert order != sorted(order, key=lambda text: int(text.split()[-1][:-1]))
    assert order != [text_of(a) for a in ask(workload(questions(40), seed=4), 30)]


def test_answers_have_the_benchmarks_length_unless_the_file_says_another() -> None:
    (own, *_), (other, *_) = (
        ask(workload(questions(9), answer), 2) for answer in (None, Answer(tokens=12, length="exact"))
    )
    assert isinstance(own.request.output, Generate) and isinstance(other.request.output, Generate)
    assert (own.request.output.max_tokens, own.request.output.ignore_eos) == (5, False)
    assert (other.request.output.max_tokens, other.request.output.ignore_eos) == (12, True)


def test_one_picture_is_not_enough() -> None:
    with pytest.raises(UserError, match="has 1 pictures"):
        workload(questions(1, 9))


def test_a_broken_picture_fails_its_own_request_and_is_named() -> None:
    (one, *_) = ask(workload(questions(9, make=lambda n: b"nonsense %d" % n)), 2, QWEN)
    assert one.read is not None
    with pytest.raises(MediaError, match="workload w, "):
        one.read()
