"""The rules give what the programs whose names they bear give: outputs of those programs are in
`tests/data/kit_rules_golden.json`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fourways.benchmarks.contract import ReplyContext, Sample
from fourways.benchmarks.predictions import Predictions, Rule, answer_rows, box_format, find_rule, read_predictions
from fourways.benchmarks.predictions.choice_words import any_place, last_words, older_choice, ranked_choice
from fourways.benchmarks.predictions.yes_no_words import otter_label, yes_or_no_word

GOLDEN: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "kit_rules_golden.json").read_text())
Figures = dict[tuple[str, ...], float]


def figures(rule: Rule, found: Predictions) -> Figures:
    """(name, labels) → the value as the program prints it."""
    rows = answer_rows(rule.benchmark, found.answers, "c")
    metrics = rule.benchmark.metrics(rows)
    return {(metric.name, *metric.labels.values()): rule.printed(metric).value for metric in metrics}


@pytest.fixture
def mme_folder(tmp_path: Path) -> Path:
    for task, lines in GOLDEN["mme"]["lines"].items():
        (tmp_path / f"{task}.txt").write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    return tmp_path


def test_mme_figures_are_the_official_programs_to_the_last_bit(mme_folder: Path) -> None:
    found = figures(find_rule("mme", None), read_predictions("mme", mme_folder, None, None))
    for half, expected in GOLDEN["mme"]["official"].items():
        assert found[f"mme_{half.lower()}",] == expected["total"]
        for task, (acc, acc_plus, score) in expected["tasks"].items():
            assert (found["acc", task], found["acc_plus", task], found["mme_score", task]) == (acc, acc_plus, score)


@pytest.mark.parametrize(
    ("reply", "official", "internvl"),
    [
        ("是", None, "yes"), ("不是", None, "no"), ("否。", None, "no"), ("True", None, "yes"), ("false.", None, "no"),
        ("图中是Yes", None, "yes"), ("图中没有", None, None), ("\n\n\n\nNo", None, "no"), ("不Yes", "yes", "yes"),
        ("Yes, it is", "yes", "yes"), ("   true", None, None), ("Untrue", None, None),
    ],
)  # fmt: skip
def test_internvl_alters_its_replies_before_the_official_program_reads_them(
    reply: str, official: str | None, internvl: str | None
) -> None:
    sample = Sample("1", "1", "k", bytes, "q", ("yes",))
    found = {name: find_rule("mme", name).benchmark.parse(sample, reply, ReplyContext(None, ())) for name in
             ("official", "internvl")}  # fmt: skip
    assert found == {"official": official, "internvl": internvl}


def test_internvls_own_result_files_are_the_same_under_both_rules(mme_folder: Path) -> None:
    """They hold what its program made of the replies, in which nothing is left to alter."""
    found = read_predictions("mme", mme_folder, None, None)
    totals = [figures(find_rule("mme", name), found)["mme_sum",] for name in ("official", "internvl")]
    assert totals[0] == totals[1]


def test_yes_and_no_are_read_as_the_kits_read_them() -> None:
    for reply, word, label in GOLDEN["yes_no"]["replies"]:
        assert (yes_or_no_word(reply), otter_label(reply)) == (word, label), reply


def test_choices_are_read_as_the_kits_read_them() -> None:
    for reply, options, older, ranked, last, anywhere in GOLDEN["choice"]["replies"]:
        found = (
            older_choice(reply, options), ranked_choice(reply, "ABCD"), last_words(reply, options),
            any_place(reply, options),
        )  # fmt: skip
        assert found == (older, ranked, last, anywhere), (reply, options)


@pytest.mark.parametrize("name", GOLDEN["boxes"]["columns"][1:])
def test_boxes_are_judged_as_each_program_judges_them(name: str, tmp_path: Path) -> None:
    records = [line[0] for line in GOLDEN["boxes"]["replies"]]
    path = tmp_path / "refcoco_val.json"
    path.write_text(json.dumps(records))
    rule = find_rule("refcoco", name)
    rows = answer_rows(rule.benchmark, read_predictions("refcoco", path, None, box_format("qwen-vl")).answers, "c")
    column = GOLDEN["boxes"]["columns"].index(name)
    assert [bool(row.score) for row in rows] == [line[column] for line in GOLDEN["boxes"]["replies"]]


@pytest.fixture
def vqa(tmp_path: Path) -> Predictions:
    (tmp_path / "annotations.json").write_text(json.dumps({"annotations": GOLDEN["vqa"]["annotations"]}))
    (tmp_path / "results.json").write_text(json.dumps(GOLDEN["vqa"]["results"][::-1]))
    return read_predictions("vqav2", tmp_path / "results.json", tmp_path / "annotations.json", None)


@pytest.mark.parametrize("rule", ["github", "always"])
def test_vqa_percentages_are_rounded_as_the_official_program_rounds_them(rule: str, vqa: Predictions) -> None:
    overall, by_question_type, by_answer_type = GOLDEN["vqa"][rule]
    found = figures(find_rule("vqav2", rule), vqa)
    assert found["accuracy",] == overall
    for name, value in (*by_question_type.items(), *by_answer_type.items()):
        assert found["accuracy", name] == value


def test_vqa_scores_of_lmms_eval_are_exact(vqa: Predictions) -> None:
    rule = find_rule("vqav2", "lmms-eval")
    assert [row.score for row in answer_rows(rule.benchmark, vqa.answers, "c")] == GOLDEN["vqa"]["lmms"]


def test_mmbench_figures_are_those_of_the_kits(tmp_path: Path) -> None:
    path = tmp_path / "MMBench_DEV_EN.tsv"
    path.write_text(GOLDEN["mmbench"]["tsv"], encoding="utf-8")
    found = figures(find_rule("mmbench_en", "ms-vlmeval"), read_predictions("mmbench_en", path, None, None))
    for name, value in GOLDEN["mmbench"]["circular"].items():
        assert found[("circular",) if name == "Overall" else ("circular", name)] == value
    assert (found["vanilla",], found["vanilla_all",]) == (
        GOLDEN["mmbench"]["vanilla_0"],
        GOLDEN["mmbench"]["vanilla_all"],
    )


def test_pope_figures_are_the_official_programs(tmp_path: Path) -> None:
    labels, answers = GOLDEN["pope"]["labels"], GOLDEN["pope"]["answers"]
    gold, replies = tmp_path / "coco_pope_random.json", tmp_path / "answers.jsonl"
    gold.write_text("".join(json.dumps({"question_id": n, "label": one}) + "\n" for n, one in enumerate(labels)))
    replies.write_text("".join(json.dumps({"question_id": n, "text": one}) + "\n" for n, one in enumerate(answers)))
    found = figures(find_rule("pope", None), read_predictions("pope", replies, gold, None))
    for name, value in GOLDEN["pope"]["official"].items():
        assert found[name, "random"] == pytest.approx(value, abs=1e-15)


def test_every_rule_names_its_own_definitions() -> None:
    """Another rule is another figure: no two rules of a benchmark share a definition, but where they are one rule."""
    for key in ("mme", "mmbench_en", "refcoco", "pope", "mmstar", "realworldqa"):
        own = find_rule(key, None).benchmark.definitions
        other = find_rule(key, "lmms-eval").benchmark.definitions
        assert not set(own) & set(other)


def test_single_precision_decides_what_lies_on_the_threshold() -> None:
    """This box has an IoU of one half in 64-bit floats, and a hair less in torch's 32 bits, which the program has."""
    sample = Sample(
        id="1", group="1", image_key="i", image=bytes, question="", gold=(12.5, 155.541, 24.0, 305.661),
        extra={"width": "250", "height": "417"},
    )  # fmt: skip
    context = ReplyContext(box_format("internvl"), ())
    scores = []
    for name in ("declared", "internvl"):
        benchmark = find_rule("refcoco", name).benchmark
        scores.append(benchmark.score(sample, benchmark.parse(sample, "[[50,373,73,733]]", context)))
    assert scores == [1.0, 0.0]
