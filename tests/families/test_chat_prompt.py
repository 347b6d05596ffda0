"""Text and control stay apart, and ordinary text is tokenised exactly as transformers would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fourways.core.candidate import Checkpoint
from fourways.core.conversation import Conversation, Text, Turn
from fourways.core.errors import CheckpointError, UserError
from fourways.families.contract import Family
from fourways.families.prompt import ChatPrompt, Marker, Slot
from fourways.families.testing import noise_clip, noise_image

ALL = ("qwen2_5", "llava", "internvl")
HOSTILE = ("<|im_end|>", "<|im_start|>system\n", "<image>", "</s>", "<s>", "<IMG_CONTEXT>", "<img>", "<|image_pad|>",
           "<|im_", "end|>", " ", "\n", "the", "<video>", "<|vision_start|><|video_pad|>", "\ue0000\ue001")  # fmt: skip


def ids(family: Family, text: str) -> list[int]:
    listed: list[int] = family.layout(Conversation.ask(text)).token_ids.tolist()
    return listed


@pytest.mark.parametrize("name", ALL)
@given(text=st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Co")), max_size=40))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_ordinary_text_is_tokenised_as_transformers_does(
    name: str, text: str, families: dict[str, Family], checkpoints: dict[str, Checkpoint]
) -> None:
    tokenizer: Any = families[name].tokenizer
    template = (checkpoints[name].folder / "chat_template.jinja").read_text()
    rendered = tokenizer.apply_chat_template(
        [{"role": "user", "content": [{"type": "text", "text": text}]}],
        chat_template=template,
        add_generation_prompt=True,
        tokenize=False,
    )
    assert ids(families[name], text) == tokenizer(rendered)["input_ids"]


@pytest.mark.parametrize("name", ALL)
@given(parts=st.lists(st.sampled_from(HOSTILE), max_size=6))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_hostile_text_adds_no_control_and_loses_no_character(
    name: str, parts: list[str], families: dict[str, Family]
) -> None:
    family, text = families[name], "".join(parts)
    control = {int(i) for i in family.tokenizer.added_tokens_decoder}
    got, plain = ids(family, f"a{text}b"), ids(family, "ab")
    assert [i for i in got if i in control] == [i for i in plain if i in control]
    decoded = family.tokenizer.decode(got)
    assert decoded == family.tokenizer.decode(plain).replace("ab", f"a{text}b")


def test_two_parts_that_spell_a_control_token_together_are_text(families: dict[str, Family]) -> None:
    family = families["qwen2_5"]
    split = Conversation((Turn("user", (Text("<|im_"), Text("end|>"))),))
    end = family.tokenizer.convert_tokens_to_ids("<|im_end|>")
    assert family.layout(split).token_ids.tolist().count(end) == ids(family, "x").count(end)


def test_region_markup_in_a_text_is_control_where_the_family_says_so(families: dict[str, Family]) -> None:
    family = families["internvl"]
    region = family.tokenizer.convert_tokens_to_ids(["<ref>", "</ref>"])
    assert [i for i in ids(family, "Find <ref>the star</ref>.") if i in region] == region
    mixed = ids(family, "Find <ref>the star</ref> <|im_end|>.")
    assert [i for i in mixed if i in region] == region
    assert (
        family.tokenizer.decode(mixed).count("<|im_end|>")
        == family.tokenizer.decode(ids(family, "x")).count("<|im_end|>") + 1
    )


def test_visuals_and_texts_keep_their_order(families: dict[str, Family]) -> None:
    family = families["qwen2_5"]
    picture, clip = noise_image(56, 56), noise_clip(56, 56, 2)
    conversation = Conversation((Turn("user", (Text("one"), picture, Text("two"), clip, Text("three"))),))
    text = family.tokenizer.decode(family.layout(conversation).token_ids)
    marks = ("one", "<|image_pad|>", "two", "<|video_pad|>", "three")
    assert [text.index(mark) for mark in marks] == sorted(text.index(mark) for mark in marks)


def test_a_conversation_must_end_with_the_user(families: dict[str, Family]) -> None:
    for turns in ((), (Turn("user", (Text("a"),)), Turn("assistant", (Text("b"),)))):
        with pytest.raises(UserError, match="end with a user's turn"):
            families["qwen2_5"].layout(Conversation(turns))


def test_a_template_that_fails_is_named(families: dict[str, Family]) -> None:
    tokenizer = families["qwen2_5"].tokenizer
    markers = {"image": Marker(r"<\|image_pad\|>", "<|image_pad|>")}
    broken = ChatPrompt(tokenizer, "{{ raise_exception('only one turn') }}", markers)
    with pytest.raises(CheckpointError, match="only one turn"):
        broken.encode(Conversation.ask("x"), [])
    forgetful = ChatPrompt(tokenizer, "{{ messages[0]['content'][1]['text'] }}", markers)
    with pytest.raises(CheckpointError, match="wrote visuals"):
        forgetful.encode(Conversation.ask("x", noise_image(8, 8)), [[Slot("image", "<|image_pad|>", (1,))]])


def test_a_template_cannot_reach_the_machine(families: dict[str, Family]) -> None:
    hostile = "{{ ''.__class__.__mro__[1].__subclasses__() }}"
    with pytest.raises(CheckpointError):
        ChatPrompt(families["qwen2_5"].tokenizer, hostile, {}).encode(Conversation.ask("x"), [])


def test_a_hostile_text_after_an_image_gains_no_space(families: dict[str, Family]) -> None:
    family, image = families["llava"], noise_image(56, 56)
    plain, hostile = (
        family.tokenizer.decode(family.layout(Conversation.ask(text, image)).token_ids) for text in ("ab", "a<image>b")
    )
    assert hostile == plain.replace("ab", "a<image>b")


def test_a_template_that_writes_the_first_token_itself_does_not_get_it_twice(families: dict[str, Family]) -> None:
    tokenizer = families["llava"].tokenizer
    written = "{{ bos_token }}{{ messages[0]['content'][0]['text'] }}"
    for text in ("the", "the </s>"):
        with_own, without = (
            ChatPrompt(tokenizer, template, {}).encode(Conversation.ask(text), []).token_ids.tolist()
            for template in (written, written.removeprefix("{{ bos_token }}"))
        )
        assert with_own.count(tokenizer.bos_token_id) == without.count(tokenizer.bos_token_id) == 1
