"""Published scores: transcribed exactly, named with a source, and compared only where they can be."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest

from fourways.core.candidate import Candidate, Sampling
from fourways.core.engine import EngineInfo
from fourways.core.figure import Figure
from fourways.core.run import (
    RUN_SCHEMA,
    BenchmarkRecord,
    CandidateRecord,
    ClockRecord,
    Environment,
    RunHeader,
    SourceState,
)
from fourways.figures import AgainstPublished, against_published
from fourways.figures.published import Score, table

SHEET = """
Qwen-VL-Chat | 1487.6/360.7 | - | - | 78.2 | 88.55/92.27/84.51 | - | a
Qwen2-VL-2B | 1872.0 | 74.9/73.5 (72.2) | 62.9 | - | - | - | b
Qwen2-VL-7B | 2326.8 | 83.0/80.5 (80.7) | 70.1 | - | 91.7/93.6/87.3 | 87.9 | b,c
Qwen2-VL-72B | 2482.7 | 86.5/86.6 (85.9) | 77.8 | - | 93.2/95.3/90.7 | 91.1 | b,c
Qwen2.5-VL-3B | 2157 | 79.1/78.1 (77.4) | 65.4 | - | 89.1/91.7/84.0 | 85.0 | c
Qwen2.5-VL-7B | 2347 | 83.5/83.4 (82.6) | 68.5 | - | 90.0/92.5/85.4 | 86.6 | c
Qwen2.5-VL-72B | 2448.0 | 88.6/87.9 (88.4) | 75.7 | - | 92.7/94.6/89.7 | 90.3 | c
Qwen3-VL-2B Instruct | - | 78.4/75.9 | 63.9 | - | - | 85.6 | d
Qwen3-VL-4B Instruct | - | 83.9/83.5 | 70.9 | - | - | 89.0 | d
Qwen3-VL-8B Instruct | - | 84.5/84.7 | 71.5 | - | - | 89.1 | d
Qwen3-VL-32B Instruct | - | 87.6/87.7 | 79.0 | - | - | 91.9 | d
LLaVA-1.6 Vicuna-7B | 1519/332 | 67.4/60.6 (dev) | - | 81.8 | - | - | e
LLaVA-1.6 Mistral-7B | 1498/321 | 68.7/61.2 (dev) | - | 82.2 | - | - | e
LLaVA-1.6 Vicuna-13B | 1575/326 | 70.0/64.4 (dev) | - | 82.8 | - | - | e
LLaVA-1.6 34B | 1631/397 | 79.3/79.0 (dev) | - | 83.7 | - | - | e
InternVL2-1B | 1794.4 | 65.4/60.7 (61.6) | 50.3 | - | - | - | c
InternVL2-8B | 2210.3 | 81.7/81.2 (79.5) | 64.4 | - | 87.1/91.1/80.7 | 82.9 | b,c
InternVL2.5-1B | 1950.5 | 70.7/66.3 (68.4) | 57.5 | - | - | - | c
InternVL2.5-8B | 2344.1 | 84.6/82.6 (83.2) | 70.1 | - | 90.3/94.5/85.9 | 87.6 | c
InternVL3-1B | 1934.4 | 72.6/67.9 (69.9) | 58.2 | - | 85.8/90.1/81.7 | 81.6 | c
InternVL3-2B | 2221.2 | 81.1/78.4 (78.6) | 64.3 | - | 89.8/92.6/86.4 | 86.7 | c
InternVL3-8B | 2415.4 | 83.4/82.2 (81.7) | 70.8 | - | 92.5/94.6/88.0 | 89.6 | c
InternVL3-78B | 2549.8 | 89.0/88.7 (87.7) | 78.0 | - | 93.4/95.4/90.3 | 91.4 | c
"""
"""model | MME sum, or perception/cognition | MMBench EN/CN (v1.1 EN; dev: both are of the dev split) | RealWorldQA |
VQAv2 | RefCOCO val/testA/testB | mean over 8 splits | sources."""


def _expected() -> dict[tuple[str, str, str, str, str], tuple[float, tuple[str, ...]]]:
    """(model, benchmark, edition, metric, category) → value and sources, read from the sheet in another way than the
    shipped file was made."""
    found: dict[tuple[str, str, str, str, str], tuple[float, tuple[str, ...]]] = {}
    for line in SHEET.strip().splitlines():
        model, mme, bench, real, vqa, boxes, mean, sources = (cell.strip() for cell in line.split("|"))
        where = tuple(sources.split(","))

        def put(benchmark: str, edition: str, metric: str, text: str, category: str = "") -> None:
            if text != "-":
                found[model, benchmark, edition, metric, category] = (float(text), where)  # noqa: B023  # used at once

        put("realworldqa", "", "accuracy", real)
        put("vqav2", "test-dev2015", "accuracy", vqa)
        put("refcoco", "", "acc@0.5", mean)
        for split, text in zip(("val", "testA", "testB"), boxes.split("/"), strict=False):
            put("refcoco", "", "acc@0.5", text, f"refcoco_{split}")
        for metric, text in zip(
            ("mme_perception", "mme_cognition") if "/" in mme else ("mme_sum",), mme.split("/"), strict=True
        ):
            put("mme", "", metric, text)
        both, *rest = bench.split(" ")
        split = "dev v1.0" if rest == ["(dev)"] else "test v1.0"
        for key, text in zip(("mmbench_en", "mmbench_cn"), both.split("/"), strict=False):
            put(key, split, "circular", text)
        if rest and rest != ["(dev)"]:
            put("mmbench_en", "test v1.1", "circular", rest[0].strip("()"))
    return found


def _key(score: Score) -> tuple[str, str, str, str, str]:
    return score.model, score.benchmark, score.edition, score.metric, score.labels.get("category", "")


def test_every_number_of_the_table_is_as_it_was_published_and_none_is_added() -> None:
    assert {_key(score): (score.value, score.sources) for score in table().scores} == _expected()
    assert len(table().scores) == len({_key(score) for score in table().scores}) == 156


def test_every_score_has_a_model_with_ids_and_a_source_with_an_address() -> None:
    for score in table().scores:
        assert all(re.fullmatch(r"[\w.-]+/[\w.-]+", one) for one in table().models[score.model].ids)
        for name in score.sources:
            assert table().sources[name].url.startswith("https://")
            assert table().sources[name].title and table().sources[name].date


# -- comparing --------------------------------------------------------------------------------------------------------

SUITE = (
    ("realworldqa", ""),
    ("mme", ""),
    ("mmbench_en", "dev v1.0"),
    ("refcoco", "8 splits"),
    ("vqav2", "val2014"),
)


def header(**more: object) -> RunHeader:
    values: dict[str, Any] = {"name": "a", "model": "Qwen/Qwen2.5-VL-7B-Instruct"}
    asked_of = str(more.get("model") or more.get("served_model") or values["model"])
    own = "llava-next" if "llava" in asked_of else "internvl" if "InternVL" in asked_of else "qwen2.5-vl"
    dialect = more.pop("engine_dialect", own)
    candidate = Candidate(**{**values, **more})
    info = EngineInfo("local", str(dialect), None, frozenset(), {})
    return RunHeader(
        schema=RUN_SCHEMA, run_id="r", started="2026-11-22T10:00:00+00:00", argv=(), source=SourceState("0"), seed=7,
        axes=("accuracy",), limit=None, quick=False, candidates=(CandidateRecord(candidate, None, {}, info),),
        suite=tuple(BenchmarkRecord(k, k, k, "0", 1, 1, 1, "0", edition) for k, edition in SUITE), definitions={},
        environment=Environment("cpu", 1, 1, 1, "Linux", "6", "3.11", {}), clock=ClockRecord("c", 1.0, 0.0, ""),
    )  # fmt: skip


def measured(metric: str, value: float, n: int, unit: str = "fraction", reach: float = 0.01, **labels: str) -> Figure:
    return Figure(
        "accuracy", "a", metric, f"{metric}@1", unit, "higher", value, value - reach, value + reach, n, "images", "ok",
        labels=labels,
    )  # fmt: skip


def real(value: float, n: int = 765) -> Figure:
    return measured("accuracy", value, n, benchmark="realworldqa")


def one(
    found: tuple[AgainstPublished, ...], benchmark: str, metric: str, edition: str | None = None
) -> AgainstPublished:
    (match,) = [f for f in found if (f.benchmark, f.metric) == (benchmark, metric) and edition in (None, f.edition)]
    return match


def test_a_published_value_inside_the_interval_agrees() -> None:
    found = one(against_published(header(), [real(0.69)]), "realworldqa", "accuracy")
    assert (found.verdict, found.published, found.unit) == ("agrees", 68.5, "%")
    assert found.words == "agrees: 68.5 % lies in the interval, 68.0 to 70.0 %"
    assert found.source == "InternVL3 paper, arXiv 2504.10479, tables 4 to 6 (2025-04)"
    assert found.source_url == "https://arxiv.org/abs/2504.10479"


def test_a_published_value_outside_differs_by_so_much() -> None:
    found = one(against_published(header(), [real(0.70)]), "realworldqa", "accuracy")
    assert found.verdict == "differs"
    assert found.words == "differs by +1.5 pp: 68.5 % lies outside 69.0 to 71.0 %"


def test_points_are_compared_as_points() -> None:
    figure = measured("mme_sum", 2350.0, 1187, "points of 2800", 40.0, benchmark="mme")
    assert one(against_published(header(), [figure]), "mme", "mme_sum").verdict == "agrees"


@pytest.mark.parametrize(
    "model",
    [
        "Qwen/Qwen2.5-VL-7B-Instruct", "/models/Qwen2.5-VL-7B-Instruct/", "qwen2.5-vl-7b-instruct",
        "Qwen/Qwen2.5-VL-7B-Instruct@main", "~/hub/Qwen2.5-VL-7B-Instruct-hf",
    ],
)  # fmt: skip
def test_a_model_is_known_by_its_id_or_its_folder(model: str) -> None:
    assert against_published(header(model=model), [real(0.69)])


def test_a_served_model_is_known_by_what_the_server_calls_it() -> None:
    served = header(model=None, url="http://here/v1", served_model="OpenGVLab/InternVL3-8B", engine_dialect="internvl")
    assert one(against_published(served, [real(0.70)]), "realworldqa", "accuracy").published == 70.8


@pytest.mark.parametrize("model", ["zoo:qwen2_5_vl", "Qwen/Qwen2.5-VL-7B-Instruct-AWQ", "my-7B"])
def test_other_models_are_compared_with_nothing(model: str) -> None:
    assert against_published(header(model=model), [real(0.69)]) == ()


def test_random_weights_are_compared_with_nothing() -> None:
    assert against_published(header(weights="random"), [real(0.69)]) == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"adapter": "lora"}, "an adapter was trained on top"),
        ({"quantization": "int4"}, "other weights: int4"),
        ({"visual_budget": 256}, "256 visual tokens"),
        ({"engine_dialect": "generic"}, "other prompt: asked in the dialect generic"),
        ({"engine_dialect": "internvl"}, "and the model's own is qwen2-vl or qwen2.5-vl or qwen3-vl"),
        ({"sampling": Sampling(temperature=0.7)}, "other sampling: temperature 0.7 here"),
    ],
)
def test_another_way_of_running_is_not_comparable(change: dict[str, object], said: str) -> None:
    found = one(against_published(header(**change), [real(0.69)]), "realworldqa", "accuracy")
    assert found.verdict == "not_comparable" and said in found.words


def test_a_score_that_was_sampled_is_not_compared_with_greedy() -> None:
    greedy = against_published(header(model="Qwen/Qwen3-VL-2B-Instruct"), [real(0.639)])
    sampling = Sampling(temperature=1.0, top_k=40, presence_penalty=2.0)
    sampled = against_published(header(model="Qwen/Qwen3-VL-2B-Instruct", sampling=sampling), [real(0.639)])
    assert "other sampling: greedy here" in one(greedy, "realworldqa", "accuracy").words
    assert one(sampled, "realworldqa", "accuracy").verdict == "agrees"


def test_the_embedded_suite_is_never_taken_for_the_official_data() -> None:
    """Its files are called like the official ones; it has far fewer pictures."""
    small = [
        real(0.69, n=80),
        measured("mme_sum", 900.0, 80, "points of 1000", benchmark="mme"),
        measured("circular", 0.674, 80, benchmark="mmbench_en"),
        measured("acc@0.5", 0.866, 80, benchmark="refcoco"),
    ]
    for model in ("Qwen/Qwen2.5-VL-7B-Instruct", "llava-hf/llava-v1.6-vicuna-7b-hf"):
        found = against_published(header(model=model), small)
        assert found and {one.verdict for one in found} == {"not_comparable"}


def test_another_split_is_named() -> None:
    figure = measured("circular", 0.83, 1100, benchmark="mmbench_en")
    found = against_published(header(), [figure])
    assert (
        "other split: test v1.1, and the data here is dev v1.0"
        in one(found, "mmbench_en", "circular", "test v1.1").words
    )
    llava = against_published(header(model="llava-hf/llava-v1.6-vicuna-7b-hf"), [figure])
    assert one(llava, "mmbench_en", "circular").words.startswith("differs by +15.6 pp")


def test_the_mean_over_refcoco_needs_all_its_splits() -> None:
    splits = [measured("acc@0.5", 0.9, 1500, benchmark="refcoco", category=f"s{i}") for i in range(8)]
    mean = measured("acc@0.5", 0.866, 5000, benchmark="refcoco")
    assert one(against_published(header(), [mean, *splits]), "refcoco", "acc@0.5", "whole release").verdict == "agrees"
    found = one(against_published(header(), [mean, *splits[:3]]), "refcoco", "acc@0.5", "whole release")
    assert "the mean over 8 splits, and here over 3" in found.words
    val = measured("acc@0.5", 0.9, 1500, benchmark="refcoco", category="refcoco_val")
    assert one(against_published(header(), [val]), "refcoco", "acc@0.5", "refcoco_val").verdict == "agrees"


def test_a_judge_matters_only_where_the_rule_left_something_to_it() -> None:
    model = "llava-hf/llava-v1.6-vicuna-7b-hf"
    figure = measured("circular", 0.67, 1100, benchmark="mmbench_en")
    for share, verdict in ((0.0, "agrees"), (0.03, "not_comparable")):
        unread = measured("unparsed", share, 1100, benchmark="mmbench_en")
        found = one(against_published(header(model=model), [figure, unread]), "mmbench_en", "circular")
        assert found.verdict == verdict
    companion = msgspec.structs.replace(figure, metric="circular_judged", labels={**figure.labels, "judge": "j"})
    found = one(against_published(header(model=model), [figure, unread, companion]), "mmbench_en", "circular")
    assert (found.verdict, found.measured) == ("not_comparable", companion)
    assert "here j, not known to be the same; that is 3.0 % of the replies" in found.words


def test_what_was_not_measured_says_so() -> None:
    found = one(against_published(header(), []), "realworldqa", "accuracy")
    assert (found.verdict, found.measured) == ("not_comparable", None)
    lost = msgspec.structs.replace(real(0.0), value=None, low=None, high=None, status="failed", reason="it broke")
    assert "failed: it broke" in one(against_published(header(), [lost]), "realworldqa", "accuracy").words


def test_too_few_images_are_no_comparison() -> None:
    few = msgspec.structs.replace(real(0.69), status="too_few", reason="fewer than 10 images", n=9)
    assert one(against_published(header(), [few]), "realworldqa", "accuracy").verdict == "not_comparable"
