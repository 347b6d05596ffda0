from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.benchmarks.answers.choice import REFUSED, choice_prompt, read_choice

PETS = {"A": "dog", "B": "bird", "C": "cat", "D": "fish"}


@pytest.mark.parametrize(
    ("reply", "read"),
    [
        ("B", "B"),
        ("B.", "B"),
        ("(B)", "B"),
        ("**B**", "B"),
        ("Answer: C", "C"),
        ("The correct answer is **B**. It has two wings and it can fly far away", "B"),
        ("the answer is d", "D"),
        ("It is a bird", "B"),
        ("B or C", None),
        ("B is what I would say if I had to choose", None),
        ("I have no idea", None),
        ("", None),
        ("Cannot determine the answer from this", REFUSED),
        ("Z", REFUSED),
    ],
)
def test_a_letter_is_read_as_vlmevalkit_reads_it(reply: str, read: str | None) -> None:
    assert read_choice(reply, PETS) == read


@pytest.mark.parametrize(
    ("reply", "options", "read"),
    [
        ("a cat", PETS, "C"),
        ("not sure", {"A": "Yes", "B": "No", "C": "Maybe so"}, "B"),
        ("(b)", PETS, None),
        ("<answer>B</answer>", PETS, None),
    ],
)
def test_the_known_traps_of_the_rule_are_kept(reply: str, options: dict[str, str], read: str | None) -> None:
    assert read_choice(reply, options) == read


def test_a_letter_counts_only_among_the_last_four_words() -> None:
    assert read_choice("B w x y", PETS) == "B"
    assert read_choice("B v w x y", PETS) is None


def test_an_option_text_in_a_long_reply_is_not_read() -> None:
    assert read_choice("cat " + "x" * 30, PETS) is None


@given(st.text(max_size=200), st.dictionaries(st.sampled_from("ABCDEF"), st.text(max_size=20)))
def test_any_reply_gives_an_option_a_refusal_or_nothing(reply: str, options: dict[str, str]) -> None:
    assert read_choice(reply, options) in {*options, REFUSED, None}


def test_the_prompt_is_the_familys_own() -> None:
    qwen = choice_prompt("qwen2.5-vl", "Which?", "Look.", PETS, "en")
    assert qwen == (
        "Hint: Look.\nQuestion: Which?\nOptions:\nA. dog\nB. bird\nC. cat\nD. fish\n"
        "Please select the correct answer from the options above."
    )
    llava = choice_prompt("llava-next", "Which?", "", PETS, "en")
    assert llava == (
        "Which?\nA. dog\nB. bird\nC. cat\nD. fish\nAnswer with the option's letter from the given choices directly."
    )
    assert choice_prompt("internvl", "Which?", "", PETS, "en") == llava
    assert choice_prompt("nobody's", "Which?", "", PETS, "en") == llava
    assert choice_prompt("qwen3-vl", "Which?", "", PETS, "en").endswith("\nAnswer with the option letter only.")


def test_a_chinese_question_asks_in_chinese() -> None:
    for dialect in ("qwen2-vl", "qwen2.5-vl", "llava-next", "internvl", "generic"):
        assert choice_prompt(dialect, "哪个？", "", PETS, "zh").endswith("\n请直接回答选项字母。")
