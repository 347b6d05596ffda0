"""A workload's file: what ships can be drawn; what is wrong is told with the file, the field and what is allowed."""

from __future__ import annotations

from pathlib import Path

import pytest

from fourways.core.engine import EngineInfo
from fourways.core.errors import UserError
from fourways.core.request import Generate, Plan
from fourways.load import draw, names, read_workload

SERVER = EngineInfo("openai", "generic", None, frozenset({"generate"}), {})


@pytest.mark.parametrize("name", names())
def test_every_shipped_workload_can_be_drawn(name: str) -> None:
    workload = draw(read_workload(name))
    asks = workload.asks(Plan("c"), engine=SERVER, items=range(2), run_seed=1, prefix="p")
    assert [ask.item for ask in asks] == [0, 1]
    assert read_workload(name).spec.note


def test_the_pages_example_can_be_drawn(tmp_path: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs/load.md").read_text("utf-8")
    (tmp_path / "receipts.yaml").write_text(page.partition("```yaml\n")[2].partition("```")[0])
    asks = draw(read_workload(str(tmp_path / "receipts.yaml"))).asks(
        Plan("c"), engine=SERVER, items=range(16), run_seed=1, prefix="p"
    )
    assert {ask.request.plan.adapter for ask in asks} == {None, "./lora-law"}
    assert {len(ask.request.conversation.visuals) for ask in asks} == {1, 3}


def test_describe_32_is_one_picture_and_exactly_32_tokens() -> None:
    description = read_workload("describe-32")
    assert description.spec.label == "describe-32@2"
    for ask in draw(description).asks(Plan("c"), engine=SERVER, items=range(16), run_seed=1, prefix="p"):
        output = ask.request.output
        assert isinstance(output, Generate)
        assert (output.max_tokens, output.min_tokens, output.ignore_eos) == (32, 32, True)
        assert len(ask.request.conversation.visuals) == 1


@pytest.mark.parametrize(
    ("text", "told", "hint"),
    [
        ("images: {sizes: 64x64}", "images: Object contains unknown field `sizes`", "images has: count, size, pixels"),
        ("{benchmark: vqa, prompt: {words: 3}}", "prompt: a benchmark's questions are its prompts", "prompt has: text"),
        ("images: {size: 64}", "images.size: Expected", "WIDTHxHEIGHT, or a list"),
        ("images: {size: 64x}", "images.size: '64x' is not WIDTHxHEIGHT", "WIDTHxHEIGHT, or a list"),
        ("images: {size: 9000x9000}", "images.size: 9000x9000 pixels are more than the limit", "WIDTHxHEIGHT"),
        ("images: {size: 10x9000}", "images.size: 10x9000 pixels: one side is more than", "WIDTHxHEIGHT"),
        ("images: {}", "images: give exactly one of size (1024x768) and pixels", "images has: count"),
        ("images: {size: []}", "images.size: the list is empty", "WIDTHxHEIGHT"),
        ("images: {size: [{size: 64x64, weight: 0}]}", "images.size[0].weight: Expected `float` > 0", "WIDTHxHEIGHT"),
        ("images: {size: [{size: 64x64, weight: .nan}]}", "images.size[0].weight: Expected `float`", "WIDTHxHEIGHT"),
        ("images: {size: 64x64, format: gif}", "images.format: Invalid enum value", "jpeg, png, or a list"),
        ("images: {size: 64x64, repeated: 1}", "images.repeated: Expected `float` < 1", "images has: count"),
        ("images: {pixels: 100}", "images.pixels: 100 is not between 256 and", "a number, a list"),
        ("images: {size: 64x64, count: 65}", "images.count: 65 is not between 0 and 64", "a number, a list"),
        ("videos: {size: 33x33}", "videos.size: 33x33 is odd", "WIDTHxHEIGHT"),
        ("videos: {frames: 65}", "videos.frames: 65 is not between 1 and 64", "a number, a list"),
        ("videos: {size: 4096x4096, frames: 8}", "videos: the frames of one clip have more than", "videos has: count"),
        (
            "prompt: {words: 3, tokens: 3}",
            "prompt: give exactly one of text, words, tokens, not words and",
            "prompt has",
        ),
        ("prompt: {language: en}", "prompt: give exactly one of text, words, tokens, not none", "prompt has"),
        ("prompt: {words: 3, language: fr}", "prompt.language: Invalid enum value 'fr'", "de, en, es, zh"),
        ("prompt: {words: {median: 9, factor: 2, least: 10, most: 20}}", "prompt.words: median must lie", "a number"),
        ("prompt: {words: {median: 9}}", "prompt.words: Object missing required field `factor`", "a number, a list"),
        ("answer: {tokens: 0}", "answer.tokens: 0 is not between 1 and", "a number, a list"),
        ("answer: {length: about}", "answer.length: Invalid enum value", "answer has: tokens, length"),
        ("adapters: [{name: a}]", "adapters[0]: Object contains unknown field `name`", "adapters is a list"),
        ("visual_budget: 0", "visual_budget: Expected `int` >= 1", "a number of visual tokens"),
        ("repeated: -0.5", "repeated: Expected `float` >= 0", "the file has: name, note"),
        ("name: a/b", "name: 1 to 64 letters", "the file has"),
        ("benchmark: mme\nimages: {size: 64x64}", "benchmark: its questions bring their own pictures", "the file has"),
        ("trace: gone.jsonl", "gone.jsonl: there is no such trace", "starts at the workload's own folder"),
        ("trace: gone.jsonl\nrepeated: 0.5", "repeated: a trace says itself", "the file has"),
        ("- images", "is no workload", "it should have fields: name"),
        ("images: {size: [", "is not YAML: line 1", "correct that line"),
    ],
)
def test_what_is_wrong_is_told_with_the_file_the_field_and_what_is_allowed(
    text: str, told: str, hint: str, tmp_path: Path
) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    with pytest.raises(UserError) as caught:
        read_workload(str(file))
    assert told in caught.value.message and hint in (caught.value.hint or "")
    assert str(tmp_path) in caught.value.message


def test_a_name_that_is_neither_shipped_nor_a_file_is_told_with_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no workload 'chat'") as caught:
        read_workload("chat")
    assert "chat-mixed" in (caught.value.hint or "")
    with pytest.raises(UserError, match="cannot be read: No such file"):
        read_workload(str(tmp_path / "gone.yaml"))


def test_the_digest_is_of_what_is_said_and_not_of_how_it_is_written(tmp_path: Path) -> None:
    one, other, another = (tmp_path / name / "w.yaml" for name in "abc")
    for file, text in (
        (one, "images: {size: 64x64}\nanswer: {tokens: 8}\n"),
        (other, "# the same\nanswer:\n  tokens: 8\nname: w\nimages:\n  size: 64x64\n"),
        (another, "images: {size: 64x64}\nanswer: {tokens: 9}\n"),
    ):
        file.parent.mkdir()
        file.write_text(text)
    first, second, third = (read_workload(str(file)) for file in (one, other, another))
    assert first.sha256 == second.sha256 != third.sha256
    record = draw(first, seed=5).record
    assert (record.name, record.seed, record.sha256) == ("w", 5, first.sha256)


def test_a_benchmark_without_its_data_is_told(tmp_path: Path) -> None:
    file = tmp_path / "b.yaml"
    file.write_text("benchmark: mmbench_en")
    with pytest.raises(UserError, match="asks mmbench_en's questions") as caught:
        draw(read_workload(str(file)))
    assert caught.value.hint == "fetch it with: fourways data pull mmbench_en"
