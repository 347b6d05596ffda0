"""What is drawn: the same everywhere from the same seed, in the shares asked for, and nothing twice unasked."""

from __future__ import annotations

import hashlib
import math
import tracemalloc
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fourways.core.conversation import Image, Text, Video
from fourways.core.engine import EngineInfo
from fourways.core.errors import FourwaysError
from fourways.core.questions import Question, Questions
from fourways.core.request import Generate, Plan
from fourways.load import Ask, Workload, draw
from fourways.load.workload import WorkloadSpec, describe, held
from fourways.load.workload.chance import STRATUM, Chance, amount_at
from fourways.load.workload.spec import Spread, bounds

SERVER = EngineInfo("openai", "generic", None, frozenset({"generate"}), {})
LOCAL = EngineInfo("local", "generic", None, frozenset({"generate"}), {})
TINY: dict[str, Any] = {"images": {"size": "16x16"}, "prompt": {"words": 4}, "answer": {"tokens": 4}}


def made(seed: int = 1, **sections: Any) -> Workload:
    spec = msgspec.convert({"name": "w", **TINY, **sections}, WorkloadSpec)
    return draw(describe(spec), seed=seed)


def ask(workload: Workload, items: Any, engine: EngineInfo = SERVER, plan: Plan = Plan("c")) -> list[Ask]:  # noqa: B008  # frozen
    return workload.asks(plan, engine=engine, items=items, run_seed=7, prefix="p")


def text_of(one: Ask) -> str:
    return "".join(part.text for part in one.request.conversation.turns[-1].parts if isinstance(part, Text))


def digest(asks: list[Ask]) -> str:
    """Of everything that is sent."""
    told = hashlib.sha256()
    for one in asks:
        for turn in one.request.conversation.turns:
            for part in turn.parts:
                told.update(part.text.encode() if isinstance(part, Text) else part.source)
        plan, output = one.request.plan, one.request.output
        assert isinstance(output, Generate)
        said = (one.item, plan.adapter, plan.visual_budget, output.max_tokens, output.ignore_eos, output.seed)
        told.update(repr(said).encode())
    return told.hexdigest()


# -- any description ------------------------------------------------------------------------------------------------
weights = st.floats(0.1, 10)


def amounts(least: int, most: int) -> st.SearchStrategy[Any]:
    numbers = st.integers(least, most)
    listed = st.lists(st.fixed_dictionaries({"value": numbers, "weight": weights}), min_size=1, max_size=3)
    spread = st.tuples(numbers, numbers, numbers, st.floats(1.1, 5)).map(
        lambda drawn: (
            dict(zip(("least", "median", "most"), sorted(max(1, n) for n in drawn[:3]), strict=True))
            | {"factor": drawn[3]}
        )
    )
    return numbers | listed | spread


sizes = st.tuples(st.integers(1, 40), st.integers(1, 40)).map(lambda pair: f"{pair[0]}x{pair[1]}")
shares = st.floats(0, 0.9)
specs = st.fixed_dictionaries(
    {
        "images": st.fixed_dictionaries(
            {
                "count": amounts(0, 3),
                "size": sizes | st.lists(st.fixed_dictionaries({"size": sizes}), min_size=1, max_size=3),
                "format": st.sampled_from(["jpeg", "png"]),
                "content": st.sampled_from(["photo", "page"]),
                "repeated": shares,
            }
        ),
        "prompt": st.fixed_dictionaries(
            {"words": amounts(1, 30), "language": st.sampled_from(["de", "en", "es", "zh"]), "repeated": shares}
        ),
        "answer": st.fixed_dictionaries({"tokens": amounts(1, 50), "length": st.sampled_from(["exact", "up_to"])}),
        "repeated": shares,
    }
)


@given(specs, st.integers(0, 2**63), st.integers(0, 200))
@settings(deadline=None, max_examples=25)
def test_any_valid_description_draws_what_it_says_and_the_same_again(sections: Any, seed: int, first: int) -> None:
    items = range(first, first + 4)
    spec = msgspec.convert({"name": "w", **sections}, WorkloadSpec)
    asks = ask(made(seed, **sections), items)
    assert spec.images is not None and spec.answer is not None and spec.prompt.words is not None
    for one in asks:
        pictures = one.request.conversation.visuals
        low, high = bounds(spec.images.count)
        assert low <= len(pictures) <= high
        assert one.image == (pictures[0].source_sha256 if pictures else "")
        for picture in pictures:
            assert isinstance(picture, Image) and picture.width <= 40 and picture.height <= 40
        assert isinstance(one.request.output, Generate)
        low, high = bounds(spec.answer.tokens)
        assert low <= one.request.output.max_tokens <= high
        assert one.request.output.ignore_eos == (spec.answer.length == "exact")
    assert digest(ask(made(seed, **sections), items)) == digest(asks), "another process would send the same bytes"
    backwards = made(seed, **sections)
    assert digest([one for item in reversed(items) for one in ask(backwards, [item])][::-1]) == digest(asks)


def test_what_the_same_description_and_seed_give_does_not_change() -> None:
    """The bytes of every machine and release. A change here is a new version of every shipped workload."""
    varied = made(
        11,
        images={"pixels": {"median": 9000, "factor": 2, "least": 400, "most": 40000}, "aspect": "3x2", "format": "png"},
        prompt={"tokens": {"median": 20, "factor": 2, "least": 4, "most": 60}, "language": "zh"},
        answer={"tokens": [{"value": 8}, {"value": 16}], "length": "up_to"},
    )
    assert digest(ask(varied, range(6)))[:16] == "99e368e5c8b58e3b"
    jpeg = made(11, images={"size": "97x61", "count": 2, "quality": 90})
    assert digest(ask(jpeg, range(4)))[:16] == "bd7efae82ae5a107"


def test_another_seed_gives_other_pictures_and_other_words() -> None:
    one, other = ask(made(1), range(32)), ask(made(2), range(32))
    assert not {a.image for a in one} & {a.image for a in other}
    assert not {text_of(a) for a in one} & {text_of(a) for a in other}


# -- nothing twice ----------------------------------------------------------------------------------------------------
def test_no_new_picture_has_been_seen_before_nor_has_the_warm_up() -> None:
    workload = made(3, images={"size": "24x16", "count": 2})
    asks = ask(workload, range(300))
    warm = workload.warm_up(Plan("c"), engine=SERVER, items=range(40), run_seed=7, prefix="w")
    pixels = [image.content_hash for one in (*asks, *warm) for image in images_of(one)]
    assert len(set(pixels)) == len(pixels) == 680
    assert workload.cache == "cold"
    assert not {text_of(a) for a in asks} & {text_of(a) for a in warm}


def images_of(one: Ask) -> list[Image]:
    return [visual for visual in one.request.conversation.visuals if isinstance(visual, Image)]


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9])
def test_the_share_of_repeated_pictures_is_exact(share: float) -> None:
    workload = made(5, images={"size": "8x8", "count": 2, "repeated": share})
    shown = [image.source_sha256 for one in ask(workload, range(200)) for image in images_of(one)]
    assert len(shown) == 400 and workload.cache == "mixed"
    assert len(shown) - len(set(shown)) == math.floor(400 * share + 1e-9)


def test_a_repeated_request_is_the_same_in_everything() -> None:
    asks = ask(made(5, repeated=0.5, answer={"tokens": [{"value": 4}, {"value": 9}]}), range(64))
    seen: dict[str, list[Any]] = {}
    for one in asks:
        seen.setdefault(one.image, []).append((text_of(one), one.request.output))
    assert len(seen) == 32
    assert all(told.count(told[0]) == len(told) for told in seen.values())
    assert len({one.request.id for one in asks}) == 64


def test_prompts_may_repeat_with_other_pictures() -> None:
    asks = ask(made(5, prompt={"words": 8, "repeated": 0.75}), range(64))
    assert len({text_of(one) for one in asks}) == 16
    assert len({one.image for one in asks}) == 64


# -- shares -----------------------------------------------------------------------------------------------------------
def test_shares_hold_within_what_chance_allows() -> None:
    """Binomial bounds at six standard deviations; stratified draws lie far inside."""
    n = 800
    workload = made(
        9,
        images={"count": [{"value": 0, "weight": 3}, {"value": 1, "weight": 5}], "size": "8x8",
                "format": [{"format": "jpeg", "weight": 3}, {"format": "png"}]},
        prompt={"words": 5, "language": [{"language": "en", "weight": 4}, {"language": "zh"}],
                "system": {"words": 12, "share": 0.3}},
        adapters=[{"adapter": "law", "weight": 1}, {"adapter": None, "weight": 4}],
        visual_budget=[{"visual_tokens": 256}, {"visual_tokens": None}],
    )  # fmt: skip
    asks = ask(workload, range(n), plan=Plan("c", adapter="own", visual_budget=64))
    found = {
        "with a picture": (5 / 8, sum(bool(images_of(one)) for one in asks)),
        "in Chinese": (1 / 5, sum(not text_of(one).isascii() for one in asks)),
        "after a system prompt": (0.3, sum(len(one.request.conversation.turns) == 2 for one in asks)),
        "to the adapter": (1 / 5, sum(one.request.plan.adapter == "law" for one in asks)),
        "at 256 tokens": (1 / 2, sum(one.request.plan.visual_budget == 256 for one in asks)),
    }
    for what, (share, count) in found.items():
        assert abs(count - n * share) <= 6 * math.sqrt(n * share * (1 - share)), what
    assert {one.request.plan.adapter for one in asks} == {"law", "own"}, "null leaves the candidate its own"
    assert {one.request.plan.visual_budget for one in asks} == {256, None}
    jpegs = [image.source[:2] == b"\xff\xd8" for one in asks for image in images_of(one)]
    assert abs(sum(jpegs) - 0.75 * len(jpegs)) <= 6 * math.sqrt(len(jpegs) * 0.1875)


@given(st.integers(0, 2**64), st.text(max_size=5), st.integers(0, 50))
@settings(deadline=None, max_examples=50)
def test_any_stratum_has_one_draw_in_each_of_its_parts(seed: int, name: str, stratum: int) -> None:
    chance = Chance(seed, "s")
    drawn = [chance.even(name, stratum * STRATUM + i) for i in range(STRATUM)]
    assert sorted(int(u * STRATUM) for u in drawn) == list(range(STRATUM))


@given(st.floats(0, 0.999), st.integers(0, 18), st.integers(0, 2**32))
@settings(deadline=None, max_examples=40)
def test_repeats_are_of_what_came_before_and_are_counted_exactly(share: float, strata: int, seed: int) -> None:
    chance = Chance(seed, "s")
    new = 0
    for index in range(strata * STRATUM)[:300]:
        assert chance.new_before("x", index, share) == new
        again = chance.again("x", index, share)
        if again is None:
            new += 1
        else:
            assert 0 <= again < new


def test_a_spread_has_its_median_and_its_bounds() -> None:
    spread = Spread(median=100, factor=2, least=30, most=300)
    drawn = sorted(amount_at(spread, (i + 0.5) / 1000) for i in range(1000))
    assert drawn[0] == 30 and drawn[-1] == 300 and abs(drawn[500] - 100) <= 1
    assert 0.66 < sum(50 <= n <= 200 for n in drawn) / 1000 < 0.70


# -- memory -----------------------------------------------------------------------------------------------------------
def test_ten_thousand_requests_take_the_memory_of_their_texts() -> None:
    """What is kept of each is objects and where its file lies, not the 20,000 bytes of the file."""
    size = 20_000

    def picture(number: int) -> bytes:
        return b"\x89PNG\r\n\x1a\n" + str(number).encode() * (size // len(str(number)))

    def prompt(dialect: str) -> str:
        return "What is this?"

    questions = Questions(
        "ours", "0", tuple(Question(str(n), str(n), (partial(picture, n),), prompt, Generate(4)) for n in range(10_020))
    )
    workload = draw(describe(WorkloadSpec("w", benchmark="ours")), questions=questions)
    ask(workload, range(4))
    tracemalloc.start()
    try:
        asks = ask(workload, range(4, 10_004))
        kept, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(images_of(asks[-1])[0].source) > size - 10
    assert kept / 10_000 < 4096
    assert peak - kept < 64 << 20, "drawing holds a few files at a time"


# -- what engines get -------------------------------------------------------------------------------------------------
def test_a_server_gets_the_file_and_a_local_engine_what_was_decoded_when_it_was_due() -> None:
    workload = made(4, images={"size": "33x21", "count": 2})
    (remote,), (local,) = ask(workload, [3]), ask(workload, [3], LOCAL)
    assert remote.read is None and local.read is not None
    decoded = local.read()
    assert decoded.id == local.request.id and decoded.output == local.request.output
    for kept, read in zip(local.request.conversation.visuals, decoded.conversation.visuals, strict=True):
        assert type(read) is Image and read.pixels.shape == (21, 33, 3)
        assert kept.source == read.source and kept.content_hash == read.content_hash
    assert digest([local]) == digest([remote])


def test_text_alone_has_nothing_to_decode() -> None:
    (one,) = ask(made(4, images=None), [0], LOCAL)
    assert one.read is None and one.image == "" and text_of(one).endswith("?")


def test_a_clip_is_a_real_mp4_with_all_its_frames_in_time() -> None:
    workload = made(4, images=None, videos={"size": "64x48", "frames": 5, "fps": 4})
    one, other = ask(workload, range(2), LOCAL)
    assert one.read is not None
    (clip,) = one.read().conversation.visuals
    assert isinstance(clip, Video) and clip.source[4:8] == b"ftyp"
    assert clip.frames.shape == (5, 48, 64, 3) and clip.timestamps_s == (0.0, 0.25, 0.5, 0.75, 1.0)
    assert clip.content_hash != other.request.conversation.visuals[0].content_hash
    assert digest(ask(made(4, images=None, videos={"size": "64x48", "frames": 5, "fps": 4}), [0])) == digest([one])


def test_a_full_disk_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full, which is always full")
    full = Path("/dev/full").open("r+b")  # noqa: SIM115  # closed with the spool
    monkeypatch.setattr(held.tempfile, "TemporaryFile", lambda prefix: full)
    with pytest.raises(FourwaysError, match="cannot be kept in") as caught:
        ask(made(4, images={"size": "120x90", "format": "png"}), [0])
    assert "TMPDIR" in (caught.value.hint or "")
