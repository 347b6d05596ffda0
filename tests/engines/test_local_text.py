"""Text appears in whole characters, never holds a stop string, and together is what the tokenizer says."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.core.conversation import Conversation
from fourways.core.request import Generate
from fourways.engines.local.detokenize import Detokenizer, StopStrings


@pytest.fixture(scope="module", params=["qwen2_5", "llava"])
def tokenizer(request, load_family):
    """Byte-level, and SentencePiece-like with byte fallback."""
    return load_family(request.param).tokenizer


@settings(max_examples=60, deadline=None)
@given(text=st.text(alphabet=st.sampled_from("the ain\nxé中文🙂👍🏽ß…Ω0"), max_size=80))
def test_pieces_together_are_the_text_and_each_is_whole(tokenizer, text):
    ids = tokenizer.encode(text, add_special_tokens=False)
    detokenizer = Detokenizer(tokenizer)
    pieces = [detokenizer.push(token) for token in ids]
    assert "".join(pieces) == tokenizer.decode(ids, skip_special_tokens=True)
    assert not any("�" in piece for piece in pieces)


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_any_tokens_at_all_give_the_decoded_text_up_to_a_broken_end(load_family, data):
    tokenizer = load_family("qwen2_5").tokenizer
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=90))
    detokenizer = Detokenizer(tokenizer)
    shown = "".join(detokenizer.push(token) for token in ids)
    whole = tokenizer.decode(ids, skip_special_tokens=True)
    assert whole.startswith(shown) and whole[len(shown) :] in ("", "�", "��", "���")


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_text_never_stops_for_good_at_bytes_that_are_no_text(tokenizer, data):
    """Byte fallback decodes a whole run of bytes badly for one bad byte; what was shown cannot be taken back."""
    broken = data.draw(st.lists(st.integers(3, 258), min_size=1, max_size=40))
    detokenizer = Detokenizer(tokenizer)
    for token in broken:
        detokenizer.push(token)
    after = tokenizer.encode(" the end, the end.", add_special_tokens=False)
    assert "".join(detokenizer.push(token) for token in after).endswith("the end, the end.")


def test_half_a_character_is_never_shown(tokenizer):
    ids = tokenizer.encode("中", add_special_tokens=False)
    assert len(ids) >= 3
    detokenizer = Detokenizer(tokenizer)
    pieces = [detokenizer.push(token) for token in ids]
    assert pieces[-1].strip() == "中" and not any(piece.strip() for piece in pieces[:-1])
    cut = Detokenizer(tokenizer)
    assert not any(cut.push(token).strip() for token in ids[:-1])


@settings(max_examples=200, deadline=None)
@given(
    text=st.text(alphabet="abc", max_size=30),
    stops=st.lists(st.text(alphabet="abc", min_size=1, max_size=4), max_size=3),
    cuts=st.lists(st.integers(0, 30), max_size=6),
)
def test_a_stop_string_is_found_across_any_cuts_and_never_shown(text, stops, cuts):
    edges = [0, *sorted(min(cut, len(text)) for cut in cuts), len(text)]
    filtered = StopStrings(stops)
    shown = ""
    for start, end in itertools.pairwise(edges):
        shown += filtered.push(text[start:end])
        if filtered.hit:
            break
    else:
        shown += filtered.flush()
    ends = [end for end in range(1, len(text) + 1) if any(text[:end].endswith(stop) for stop in stops)]
    if not ends:
        assert shown == text and not filtered.hit
        return
    assert filtered.hit and text.startswith(shown)
    assert not any(stop in shown for stop in stops)
    assert any(text[len(shown) :].startswith(stop) for stop in stops)


async def test_a_stop_string_ends_the_reply_before_it(qwen, serve, ask, reply, pictures):
    conversation = Conversation.ask("Describe.", pictures[0])
    async with serve(qwen) as engine:
        free = await reply(engine, ask(conversation, Generate(60, ignore_eos=True)))
        stop = free.text[6:9]
        assert len(stop) == 3
        stopped = await reply(engine, ask(conversation, Generate(60, ignore_eos=True, stop=(stop, "never said"))))
        later = await reply(
            engine, ask(conversation, Generate(60, ignore_eos=True, min_tokens=len(free.tokens), stop=(stop,)))
        )
    assert stopped.text == free.text[: free.text.index(stop)]
    assert stopped.done.finish_reason == "stop"
    assert stopped.tokens == free.tokens[: len(stopped.tokens)]
    assert len(later.tokens) == len(free.tokens)


async def test_events_carry_every_token_and_the_whole_text(qwen, serve, ask, reply, pictures):
    async with serve(qwen) as engine:
        got = await reply(engine, ask(Conversation.ask("Describe.", pictures[0]), Generate(50, ignore_eos=True)))
    assert len(got.tokens) == 50 == got.done.usage.completion_tokens
    whole = qwen.tokenizer.decode(got.tokens, skip_special_tokens=True)
    assert whole.startswith(got.text) and set(whole[len(got.text) :]) <= {"�"}
    assert all(event.text for event in got.events[:-1])
