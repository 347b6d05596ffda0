"""Recorded traffic is replayed at its instants, with its sizes; a file that is wrong is told with its line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.core.conversation import Image
from fourways.core.engine import EngineInfo
from fourways.core.errors import UserError
from fourways.core.load import Load
from fourways.core.request import Generate, Plan
from fourways.load import Ask, Workload, draw, instants, read_workload
from fourways.load.workload.trace_file import read_trace

SERVER = EngineInfo("openai", "generic", None, frozenset({"generate"}), {})


def lines(file: Path, *rows: dict[str, Any]) -> str:
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    return str(file)


def ask(workload: Workload, items: range) -> list[Ask]:
    return workload.asks(Plan("c"), engine=SERVER, items=items, run_seed=1, prefix="p")


def sizes(one: Ask) -> list[tuple[int, int]]:
    return [(v.width, v.height) for v in one.request.conversation.visuals if isinstance(v, Image)]


def tokens(one: Ask) -> int:
    assert isinstance(one.request.output, Generate)
    return one.request.output.max_tokens


def words(one: Ask) -> int:
    return len(one.request.conversation.turns[-1].parts[-1].text.split())  # type: ignore[union-attr]  # text is last


def test_each_line_is_a_request_of_its_size_at_its_instant(tmp_path: Path) -> None:
    trace = lines(
        tmp_path / "t.jsonl",
        {"at_s": 5.0, "images": ["40x30", "20x20"], "prompt_words": 9, "answer_tokens": 7},
        {"at_s": 5.25, "images": 0, "prompt_tokens": 21},
        {"at_s": 9.0, "adapter": "law"},
    )
    workload = draw(read_workload(trace))
    first, second, third = ask(workload, range(3))
    assert (sizes(first), words(first), tokens(first), first.at_s) == ([(40, 30), (20, 20)], 9, 7, 0.0)
    assert (sizes(second), words(second), tokens(second), second.at_s) == ([], 20, 64, 0.25)
    assert (third.request.plan.adapter, third.at_s) == ("law", 4.0)
    assert workload.limit == 3 and workload.replay == Load("replay", rate_per_s=3 / 4)
    with pytest.raises(UserError, match="has 3 requests, and number 4 was asked for"):
        ask(workload, range(4))


def test_a_warm_up_may_be_longer_than_the_trace_and_still_shows_other_pictures(tmp_path: Path) -> None:
    trace = lines(tmp_path / "t.jsonl", {"at_s": 0, "images": ["30x20"]}, {"at_s": 1, "images": 0})
    workload = draw(read_workload(trace))
    warm = workload.warm_up(Plan("c"), engine=SERVER, items=range(5), run_seed=1, prefix="w")
    assert [sizes(one) for one in warm] == [[(30, 20)], [], [(30, 20)], [], [(30, 20)]]
    assert len({one.image for one in (*warm[::2], *ask(workload, range(1)))}) == 4


def test_what_a_trace_does_not_say_comes_from_the_file_beside_it(tmp_path: Path) -> None:
    lines(tmp_path / "t.jsonl", {"at_s": 0, "images": 2}, {"at_s": 1})
    (tmp_path / "w.yaml").write_text("trace: t.jsonl\nimages: {size: 16x24}\nanswer: {tokens: 5}\nprompt: {words: 3}\n")
    first, second = ask(draw(read_workload(str(tmp_path / "w.yaml"))), range(2))
    assert sizes(first) == [(16, 24)] * 2 and sizes(second) == [(16, 24)]
    assert tokens(first) == tokens(second) == 5 and words(first) == 3


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=40))
@settings(deadline=None, max_examples=40)
def test_instants_are_kept_as_they_were_from_the_first_one_asked_on(
    tmp_path_factory: pytest.TempPathFactory, at: list[float]
) -> None:
    at.sort()
    trace = lines(tmp_path_factory.mktemp("t") / "t.jsonl", *({"at_s": s} for s in at))
    asks = ask(draw(read_workload(trace)), range(len(at)))
    assert [one.at_s for one in asks] == [s - at[0] for s in at]
    later = ask(draw(read_workload(trace)), range(len(at) // 2, len(at)))
    assert [one.at_s for one in later] == [s - at[len(at) // 2] for s in at[len(at) // 2 :]]


def test_the_azure_traces_are_read_as_they_are_published(tmp_path: Path) -> None:
    trace = tmp_path / "AzureLMMInferenceTrace.csv"
    trace.write_text(
        "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n"
        "2024-10-15 23:59:59.9799600,1,105,44\n"
        "2024-10-16 00:00:00.4799600,0,21,0\n"
    )
    workload = draw(read_workload(str(trace)))
    first, second = ask(workload, range(2))
    assert (words(first), tokens(first), sizes(first)) == (100, 44, [(1024, 768)])
    assert (second.at_s, words(second), tokens(second), sizes(second)) == (0.5, 20, 1, [])
    assert workload.record.data_sha256 is not None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "holds no requests"),
        ('{"at_s": 1}\n{"at_s": 0.5}\n', "request 2: at_s goes back in time"),
        ('{"at_s": 1}\nnonsense\n', "line 2: it is not JSON"),
        ('{"at_s": 1, "image": 2}\n', "line 1: Object contains unknown field `image`"),
        ('{"at_s": 1, "images": ["9x"]}\n', "line 1: images: '9x' is not WIDTHxHEIGHT"),
        ('{"at_s": 1, "images": ["9000x9000"]}\n', "line 1: images: 9000x9000 pixels are more than the limit"),
        ('{"at_s": 1, "answer_tokens": 0}\n', "line 1: answer_tokens: Expected `int` >= 1"),
        ('{"at_s": 1, "prompt_tokens": 3, "prompt_words": 3}\n', "line 1: give one of prompt_tokens and prompt_words"),
        ('{"at_s": 1763800000000}\n', "request 1: at_s goes back in time, or is no instant"),
        (f'{{"at_s": 1, "images": {["9x9"] * 65}}}\n'.replace("'", '"'), "line 1: images: Expected `array` of length"),
        ('{"images": 1}\n', "line 1: Object missing required field `at_s`"),
        ('{"at_s": 1e999}\n', "line 1: "),
    ],
)
def test_a_wrong_line_is_told(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(text)
    with pytest.raises(UserError) as caught:
        draw(read_workload(str(tmp_path / "t.jsonl")))
    assert told in caught.value.message and "t.jsonl" in caught.value.message


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("TIMESTAMP,ContextTokens\n", "lacks the columns GeneratedTokens"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\nyesterday,1,1\n", "line 2: TIMESTAMP 'yesterday' is no time"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,many,1\n", "line 2: ContextTokens 'many' is no"),
        ("TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03\n", "line 2: ContextTokens '' is no whole"),
        (
            "TIMESTAMP,ContextTokens,GeneratedTokens,NumImages\n2023-11-16 18:17:03,1,1,2.0\n",
            "line 2: NumImages '2.0' is no whole number",
        ),
        (f"TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,{'1' * 200_000},1\n", "is no "),
    ],
)
def test_a_wrong_csv_line_is_told(text: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(UserError) as caught:
        draw(read_workload(str(tmp_path / "t.csv")))
    assert told in caught.value.message and "t.csv" in caught.value.message


def test_a_time_without_a_zone_is_utc(tmp_path: Path) -> None:
    trace = tmp_path / "t.csv"
    trace.write_text(
        "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:17:03,1,1\n2023-11-16T19:17:04+01:00,1,1\n"
    )
    assert [one.at_s for one in read_trace(trace)] == [0.0, 1.0]


def test_a_packed_file_is_told_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(b"\x1f\x8b\x08\x00\xff\xfe\xfd")
    with pytest.raises(UserError, match="not UTF-8") as caught:
        draw(read_workload(str(tmp_path / "t.csv")))
    assert "unpack it" in (caught.value.hint or "")


def test_another_trace_under_the_same_name_is_another_workload(tmp_path: Path) -> None:
    first = read_workload(lines(tmp_path / "t.jsonl", {"at_s": 1})).sha256
    assert read_workload(lines(tmp_path / "t.jsonl", {"at_s": 2})).sha256 != first


def test_a_replay_is_never_asked_for_instants_of_its_own() -> None:
    with pytest.raises(Exception, match="replay"):
        instants(Load("replay", rate_per_s=1.0), 3, 0)
