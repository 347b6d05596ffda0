"""Files of answers as they are found in the world: read leniently, and told strictly."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import openpyxl
import pytest

from fourways.benchmarks.predictions import Oddities, Predictions, answer_rows, box_format, find_rule, read_predictions
from fourways.benchmarks.predictions.records import read_records
from fourways.core.errors import BenchmarkFormatError, UserError

MME_LINE = "{}.jpg\tIs it red? Please answer yes or no.\t{}\t{}"


def odd(found: Predictions) -> dict[str, int]:
    return {one.what: one.count for one in found.oddities.listed()}


def told(found: Predictions, *words: str) -> int:
    """How often the one oddity that holds these words was met."""
    counts = [count for what, count in odd(found).items() if all(word in what for word in words)]
    assert len(counts) == 1, odd(found)
    return counts[0]


def value(key: str, found: Predictions, name: str, *labels: str, rule: str | None = None) -> float:
    chosen = find_rule(key, rule)
    metrics = chosen.benchmark.metrics(answer_rows(chosen.benchmark, found.answers, "c", found.boxes))
    return next(chosen.printed(m).value for m in metrics if (m.name, *m.labels.values()) == (name, *labels))


@pytest.fixture
def mme(tmp_path: Path) -> Callable[[bytes], Predictions]:
    """Reads a folder whose only result is the subtask color."""

    def read(content: bytes) -> Predictions:
        (tmp_path / "color.txt").write_bytes(content)
        return read_predictions("mme", tmp_path, None, None)

    return read


PAIR = (MME_LINE.format(1, "Yes", "Yes") + "\n" + MME_LINE.format(1, "No", "No.") + "\n").encode()


@pytest.mark.parametrize(
    "content",
    [
        PAIR, PAIR.replace(b"\n", b"\r\n"), b"\xef\xbb\xbf" + PAIR, PAIR + b"\n\n  \n", PAIR.removesuffix(b"\n"),
        PAIR.decode().encode("utf-16"),
    ],
    ids=["as it is", "CRLF", "byte order mark", "blank lines after", "no last line break", "UTF-16"],
)  # fmt: skip
def test_how_a_result_file_was_saved_changes_no_figure(mme: Callable[[bytes], Predictions], content: bytes) -> None:
    assert value("mme", mme(content), "mme_score", "color") == 200


def test_absent_subtasks_are_named_and_the_sums_are_over_the_others(mme: Callable[[bytes], Predictions]) -> None:
    found = mme(PAIR)
    assert told(found, "subtask without a file") == 13
    assert value("mme", found, "mme_sum") == 200


def test_a_response_with_tabs_is_kept_whole(mme: Callable[[bytes], Predictions]) -> None:
    found = mme(PAIR.replace(b"No.", b"No,\tit\tis"))
    assert found.answers[1].reply == "No,\tit\tis"
    assert told(found, "holds tabs") == 1


def test_a_response_of_several_lines_goes_on_with_its_answer(mme: Callable[[bytes], Predictions]) -> None:
    found = mme(PAIR.replace(b"\tYes\n", b"\tYes\nit is\nred\n", 1))
    assert [answer.reply for answer in found.answers] == ["Yes\nit is\nred", "No."]
    assert told(found, "without its tabs") == 2


def test_empty_responses_are_counted_and_wrong(mme: Callable[[bytes], Predictions]) -> None:
    found = mme(PAIR.replace(b"No.", b""))
    assert told(found, "empty response") == 1
    assert value("mme", found, "mme_score", "color") == 50


def test_a_lone_line_and_a_pair_of_two_images_are_told(mme: Callable[[bytes], Predictions]) -> None:
    found = mme(PAIR + MME_LINE.format(2, "Yes", "Yes").encode() + b"\n" + MME_LINE.format(3, "No", "No").encode())
    assert told(found, "name two images") == 1
    assert told(mme(PAIR + MME_LINE.format(2, "Yes", "Yes").encode()), "odd number of lines") == 1


def test_bytes_that_are_not_utf8_are_read_as_replacement_characters(mme: Callable[[bytes], Predictions]) -> None:
    found = mme(PAIR.replace(b"No.", b"No\xff"))
    assert found.answers[1].reply == "No\ufffd"
    assert told(found, "not UTF-8") == 1


def test_only_line_breaks_end_a_line(mme: Callable[[bytes], Predictions]) -> None:
    found = mme(PAIR.replace(b"No.", "No\u2028\x0b\x0c\x1d\x85.".encode()))
    assert len(found.answers) == 2


def test_a_folder_above_the_results_is_enough(tmp_path: Path) -> None:
    (tmp_path / "my-model").mkdir()
    (tmp_path / "my-model" / "OCR.txt").write_bytes(PAIR)
    assert len(read_predictions("mme", tmp_path, None, None).answers) == 2


def test_a_folder_without_results_says_what_they_look_like(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFormatError, match="no result file of a subtask") as caught:
        read_predictions("mme", tmp_path, None, None)
    assert caught.value.hint is not None and "image, question" in caught.value.hint


# -- tables -----------------------------------------------------------------------------------------------------------

MMBENCH = [
    {"index": 7, "question": "What?", "A": "cat", "B": "dog", "answer": "A", "category": "animals", "prediction": "A"},
    {"index": 1_000_007, "question": "What?", "A": "dog", "B": "cat", "answer": "B", "category": "animals",
     "prediction": "B."},
]  # fmt: skip


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".xlsx":
        book = openpyxl.Workbook()
        assert book.active is not None
        book.active.append(names)
        for row in rows:
            book.active.append([row.get(name) for name in names])
        book.save(path)
    else:
        cells = [[str(row.get(name, "")) for name in names] for row in rows]
        path.write_text("\n".join("\t".join(line) for line in [names, *cells]) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["m.tsv", "m.xlsx"])
def test_circular_accuracy_needs_every_rotation(tmp_path: Path, name: str) -> None:
    right = read_predictions("mmbench_en", write(tmp_path / name, [*MMBENCH]), None, None)
    assert (value("mmbench_en", right, "circular"), value("mmbench_en", right, "vanilla", "animals")) == (1, 1)
    wrong = [MMBENCH[0], {**MMBENCH[1], "prediction": "A"}]
    found = read_predictions("mmbench_en", write(tmp_path / name, wrong), None, None)
    assert (value("mmbench_en", found, "circular"), value("mmbench_en", found, "vanilla_all")) == (0, 0.5)


@pytest.mark.parametrize("missing", ["", "None", "NA", "null", "nan"])
def test_a_missing_prediction_is_nan_to_the_kits(tmp_path: Path, missing: str) -> None:
    rows = [{**MMBENCH[0], "prediction": missing}, MMBENCH[1]]
    found = read_predictions("mmbench_en", write(tmp_path / "m.tsv", rows), None, None)
    assert found.answers[0].reply == "nan"
    assert told(found, "missing reply") == 1


@pytest.mark.parametrize("key", ["mme", "mmbench_en", "realworldqa", "pope", "choice:x", "yes_no:x", "open:x"])
def test_a_table_without_any_reply_is_refused_not_scored_as_zero(tmp_path: Path, key: str) -> None:
    row = {"index": 7, "question": "What?", "A": "cat", "B": "dog", "answer": "A", "category": "x", "answer_given": "A"}
    with pytest.raises(BenchmarkFormatError, match=r"no row has a reply; filled columns: .*answer_given") as caught:
        read_predictions(key, write(tmp_path / "m.tsv", [row]), None, None)
    assert "prediction" in (caught.value.hint or "")


CHOICE = {"question": "What?", "A": "cat", "B": "dog", "answer": "B"}
OWN_ROWS: dict[str, tuple[list[dict[str, object]], float]] = {
    "rotations": ([{**CHOICE, "index": 7, "prediction": "B"}, {**CHOICE, "index": 1_000_007, "prediction": "A"}], 0.0),
    "group": ([{**CHOICE, "group": "g", "prediction": "B"}, {**CHOICE, "group": "g", "prediction": "A"}], 0.0),
    "options": ([{"question": "?", "options": "cat|dog", "answer": "dog", "prediction": said} for said in "BA"], 0.5),
    "answer_index": (
        [{"question": "?", "A": "cat", "B": "dog", "answer_index": 1, "prediction": said} for said in "BBAB"],
        0.75,
    ),
    "one without options": ([{**CHOICE, "prediction": "B"}, {"question": "?", "answer": "B", "prediction": "B"}], 1.0),
}


@pytest.mark.parametrize("case", OWN_ROWS)
@pytest.mark.parametrize("name", ["c.tsv", "c.xlsx"])
def test_ones_own_choices_are_scored_from_a_file_as_they_are_asked(tmp_path: Path, case: str, name: str) -> None:
    rows, expected = OWN_ROWS[case]
    found = read_predictions("choice:mine", write(tmp_path / name, rows), None, None)
    assert value("choice:mine", found, "accuracy") == expected
    images = {answer.sample.image_key for answer in found.answers}
    assert len(images) == len({answer.sample.group for answer in found.answers})
    assert (case == "one without options") == any("without options" in what for what in odd(found))


def test_rotations_are_never_taken_apart_for_want_of_an_index_or_options(tmp_path: Path) -> None:
    for left_out, told_of in ((("index",), "no row with an index"), (("A", "B"), "no row has the options")):
        rows = [{name: cell for name, cell in row.items() if name not in left_out} for row in MMBENCH]
        with pytest.raises(BenchmarkFormatError, match=told_of):
            read_predictions("mmbench_en", write(tmp_path / "m.tsv", rows), None, None)


def test_a_true_answer_that_no_reply_can_equal_is_told(tmp_path: Path) -> None:
    rows = [{**row, "answer": str(row["answer"]).lower()} for row in MMBENCH]
    found = read_predictions("mmbench_en", write(tmp_path / "m.tsv", rows), None, None)
    assert told(found, "none of the options' letters") == len(MMBENCH)


def test_the_questions_of_mme_are_no_results(tmp_path: Path) -> None:
    """The template `Your_Results` has three cells a line."""
    (tmp_path / "color.txt").write_text(PAIR.decode().replace("\tYes\n", "\n").replace("\tNo.\n", "\n"))
    with pytest.raises(BenchmarkFormatError, match="no line has a response"):
        read_predictions("mme", tmp_path, None, None)


def test_a_spreadsheets_semicolons_are_read_in_answers_as_in_tables(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("index;question;A;B;answer;prediction\n1;What, then?;a;b;A;A\n")
    found = read_predictions("mmbench_en", tmp_path / "m.csv", None, None)
    assert [(one.sample.question, one.reply) for one in found.answers] == [("What, then?", "A")]


def test_replies_with_boxes_under_an_unknown_name_are_refused(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"said": "[[1, 2, 3, 4]]", "gt_bbox": [1, 2, 3, 4], "hw": [9, 9]}\n')
    with pytest.raises(BenchmarkFormatError, match="filled columns: gt_bbox, hw, said"):
        read_predictions("refcoco", tmp_path / "r.jsonl", None, box_format("internvl"))


@pytest.mark.parametrize(("kind", "said", "right"), [("yes_no", "Yes.", 2), ("open", "yes", 2)])
def test_a_table_of_ones_own_takes_its_answers_from_a_gold_table(
    tmp_path: Path, kind: str, said: str, right: int
) -> None:
    gold = [
        {"index": n, "question": "Is it?", "answer": answer, "category": "x"}
        for n, answer in enumerate(("yes", "yes", "no", "no"))
    ]
    path = write(tmp_path / "p.tsv", [{"index": n, "answer": "no", "prediction": said} for n in (1, 0, 2, 9)])
    found = read_predictions(f"{kind}:mine", path, write(tmp_path / "gold.tsv", gold), None)
    assert [answer.sample.gold for answer in found.answers] == [("yes",), ("yes",), ("no",)]
    rows = answer_rows(find_rule(f"{kind}:mine", None).benchmark, found.answers, "c")
    assert sum(row.score for row in rows) == right
    assert (told(found, "gold table does not have"), told(found, "without a prediction")) == (1, 1)


def boxed(**cells: object) -> str:
    row = {"reply": "[[100, 100, 500, 500]]", "gt_bbox": [10, 10, 50, 50], "hw": [100, 100]}
    return json.dumps({**row, **cells}) + "\n"


def test_expressions_about_one_picture_are_one_cluster_and_unnamed_pictures_are_told(tmp_path: Path) -> None:
    named = [boxed(image=f"train2014/COCO_{number // 3}.jpg") for number in range(9)]
    (tmp_path / "refcoco_val.jsonl").write_text("".join([*named, boxed(), boxed()]))
    found = read_predictions("refcoco", tmp_path, None, box_format("internvl"))
    assert len({answer.sample.image_key for answer in found.answers}) == 3 + 2
    assert told(found, "does not name its image") == 2


def test_pixels_in_a_table_are_never_held_as_the_name_of_a_picture(tmp_path: Path) -> None:
    rows = [{**MMBENCH[0], "image": "iVBORw0KGgo" * 9}, {**MMBENCH[1], "image": "7"}]
    for name in ("m.tsv", "m.xlsx"):
        held = list(read_records(write(tmp_path / name, rows), Oddities()))
        assert [row.cells.get("image") for row in held] == [None, None]


def test_a_gold_file_says_what_is_true_and_in_which_order(tmp_path: Path) -> None:
    """A `bbox` beside a reply is often what was read from it."""
    (tmp_path / "r.jsonl").write_text(boxed(bbox=[0, 0, 1, 1], sent="Cat", image="a/1.jpg") + boxed(sent="dog"))
    assert (
        value("refcoco", read_predictions("refcoco", tmp_path / "r.jsonl", None, box_format("internvl")), "acc@0.5")
        == 1
    )
    rows = [
        {"image": f"b/{n}.jpg", "sent": "cat", "bbox": [20, 20, 100, 100], "width": 200, "height": 200} for n in (1, 2)
    ]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_predictions("refcoco", tmp_path / "r.jsonl", tmp_path / "gold.jsonl", box_format("internvl"))
    assert value("refcoco", found, "mean_iou") == 1
    assert told(found, "sent is not that") == 1


@pytest.mark.parametrize(
    "seen",
    [
        {"seen": [56, 28]}, {"resized_size": [56, 28]}, {"input_size": [56, 28]}, {"input_hw": [28, 56]},
        {"resized_hw": [28, 56]}, {"resized_width": 56.0, "resized_height": "28"}, {"resized": "[56, 28]"},
    ],
)  # fmt: skip
def test_the_size_that_the_model_saw_stands_under_any_usual_name(tmp_path: Path, seen: dict[str, object]) -> None:
    row = {
        "model_output": '[{"bbox_2d": [28, 14, 56, 28]}]',
        "bbox": "[50, 100, 100, 200]",
        "width": 100,
        "height": 200,
    }
    (tmp_path / "r.jsonl").write_text(json.dumps({**row, **seen}))
    found = read_predictions("refcoco", tmp_path / "r.jsonl", None, box_format("qwen2.5-vl"))
    assert found.answers[0].visuals[0].seen == (56, 28)
    assert value("refcoco", found, "mean_iou") == 1.0


def test_a_file_without_answers_takes_them_from_the_gold_table(tmp_path: Path) -> None:
    gold = write(tmp_path / "gold.tsv", [*MMBENCH, {**MMBENCH[0], "index": 9}])
    bare = [{"index": row["index"], "question": "What?", "prediction": row["prediction"]} for row in MMBENCH]
    extra = {"index": 50, "question": "?", "prediction": "A"}
    path = write(tmp_path / "bare.xlsx", [*bare, extra])
    with pytest.raises(BenchmarkFormatError, match="no row has an answer"):
        read_predictions("mmbench_en", path, None, None)
    found = read_predictions("mmbench_en", path, gold, None)
    assert value("mmbench_en", found, "circular") == 1
    assert told(found, "gold table does not have") == 1
    assert told(found, "without a prediction") == 1


def test_a_rotation_without_its_first_row_is_left_out(tmp_path: Path) -> None:
    found = read_predictions("mmbench_en", write(tmp_path / "m.tsv", [*MMBENCH, {**MMBENCH[1], "index": 1_000_099}]),
                             None, None)  # fmt: skip
    assert told(found, "first row is not there") == 1
    assert len(found.answers) == 2


def test_a_workbook_that_is_none_is_one_clear_error(tmp_path: Path) -> None:
    path = tmp_path / "m.xlsx"
    path.write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(BenchmarkFormatError, match="not an XLSX workbook"):
        read_predictions("mmbench_en", path, None, None)


def test_a_folder_with_one_table_is_that_table(tmp_path: Path) -> None:
    write(tmp_path / "m.tsv", [*MMBENCH])
    assert len(read_predictions("mmbench_en", tmp_path, None, None).answers) == 2
    write(tmp_path / "n.tsv", [*MMBENCH])
    with pytest.raises(BenchmarkFormatError, match="a folder with 2 tables"):
        read_predictions("mmbench_en", tmp_path, None, None)


def test_rows_of_several_splits_are_told_and_figures_are_of_each_as_well(tmp_path: Path) -> None:
    other = [{**row, "index": int(str(row["index"])) + 1, "prediction": "A"} for row in MMBENCH]
    rows = [{**row, "split": split} for split, half in (("dev", MMBENCH), ("test", other)) for row in half]
    found = read_predictions("mmbench_en", write(tmp_path / "m.tsv", rows), None, None)
    assert told(found, "several splits") == 1
    each = [value("mmbench_en", found, "circular", *labels) for labels in ((), ("dev",), ("test",), ("dev", "animals"))]
    assert each == [0.5, 1, 0, 1]


# -- VQA --------------------------------------------------------------------------------------------------------------


def annotations(path: Path, *numbers: int) -> Path:
    answers = [{"answer": "red", "answer_confidence": "yes", "answer_id": n} for n in range(10)]
    rows = [{"question_id": n, "image_id": n, "question_type": "what", "answer_type": "other", "answers": answers}
            for n in numbers]  # fmt: skip
    path.write_text(json.dumps({"annotations": rows}))
    return path


def test_missing_extra_and_double_questions_are_counted(tmp_path: Path) -> None:
    gold = annotations(tmp_path / "a.json", 1, 2, 3)
    path = tmp_path / "r.json"
    path.write_text(json.dumps([
        {"question_id": 1, "answer": "blue"}, {"question_id": 1, "answer": "red"},
        {"question_id": "2", "answer": "red"},
        {"question_id": 99, "answer": "red"}, {"answer": "red"}, 5,
    ]))  # fmt: skip
    found = read_predictions("vqav2", path, gold, None)
    assert told(found, "without an answer") == 1
    assert told(found, "not annotated") == 1
    assert told(found, "more than once") == 1
    assert told(found, "whole question_id") == 1
    assert told(found, "no object") == 1
    assert value("vqav2", found, "accuracy") == 100


def test_none_is_a_word_in_json(tmp_path: Path) -> None:
    gold = annotations(tmp_path / "a.json", 1)
    path = tmp_path / "r.json"
    path.write_text('[{"question_id": 1, "answer": "None"}]')
    assert read_predictions("vqav2", path, gold, None).answers[0].reply == "None"


def test_vqa_without_annotations_says_which_file(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text('[{"question_id": 1, "answer": "red"}]')
    with pytest.raises(BenchmarkFormatError, match="need the annotations"):
        read_predictions("vqav2", path, None, None)


# -- boxes ------------------------------------------------------------------------------------------------------------

BOX = {"answer": '[{"bbox_2d": [28, 28, 56, 56]}]', "gt_bbox": [10, 10, 20, 20], "hw": [100, 100]}


def test_pixels_of_the_resized_image_need_its_size(tmp_path: Path) -> None:
    path = tmp_path / "refcoco_val.jsonl"
    path.write_text(json.dumps(BOX))
    with pytest.raises(BenchmarkFormatError, match="need the size that the model saw") as caught:
        read_predictions("refcoco", path, None, box_format("qwen2.5-vl"))
    assert "line 1" in caught.value.message
    path.write_text(json.dumps({**BOX, "resized_width": 280, "resized_height": 280}))
    found = read_predictions("refcoco", path, None, box_format("qwen2.5-vl"))
    assert value("refcoco", found, "acc@0.5", "refcoco_val") == 1


def test_the_mean_over_splits_is_unweighted(tmp_path: Path) -> None:
    right, wrong = {**BOX, "answer": "[[100,100,200,200]]"}, {**BOX, "answer": "nowhere"}
    (tmp_path / "refcoco_val_251101120000.json").write_text(json.dumps([right]))
    (tmp_path / "refcoco+_testA.json").write_text(json.dumps([wrong, wrong, wrong]))
    found = read_predictions("refcoco", tmp_path, None, box_format("internvl"))
    assert value("refcoco", found, "acc@0.5") == 0.5
    assert value("refcoco", found, "acc@0.5", "refcoco_val") == 1


def test_replies_alone_are_laid_beside_the_gold_file_line_by_line(tmp_path: Path) -> None:
    gold = tmp_path / "refcoco_val.jsonl"
    gold.write_text(json.dumps({"image": "a.jpg", "sent": "it", "bbox": [10, 10, 20, 20], "width": 100, "height": 100}))
    path = tmp_path / "mine.jsonl"
    path.write_text('{"reply": "[[100, 100, 200, 200]]"}')
    found = read_predictions("refcoco", path, gold, box_format("internvl"))
    assert value("refcoco", found, "acc@0.5") == 1
    path.write_text('{"reply": "a"}\n{"reply": "b"}')
    with pytest.raises(BenchmarkFormatError, match="2 replies where"):
        read_predictions("refcoco", path, gold, box_format("internvl"))


@pytest.mark.parametrize("word", ["norm_1000:brackets", "qwen-vl", "llava"])
def test_box_formats_are_known_by_dialect_or_by_their_parts(word: str) -> None:
    assert box_format(word).space in ("norm_1000", "norm_999", "padded_square_1")


def test_an_unknown_box_format_lists_those_there_are() -> None:
    with pytest.raises(UserError, match="not known") as caught:
        box_format("norm_1000:curly")
    assert caught.value.hint is not None and "qwen2.5-vl" in caught.value.hint


# -- lmms-eval --------------------------------------------------------------------------------------------------------


def test_samples_of_lmms_eval_are_read_by_what_they_log(tmp_path: Path) -> None:
    path = tmp_path / "20261122_samples_mme.jsonl"
    lines = [
        {"doc_id": n, "target": gold, "filtered_resps": [reply],
         "mme_perception_score": {"question_id": "code/1.png", "category": "color", "score": 1.0}}
        for n, (gold, reply) in enumerate([("Yes", "Yes"), ("No", "no")])
    ]  # fmt: skip
    path.write_text("\n".join(json.dumps(line) for line in lines))
    found = read_predictions("mme", path, None, None)
    assert found.form == "lmms-eval samples"
    assert value("mme", found, "mme_score", "color") == 200


def test_older_samples_of_lmms_eval_are_read_by_their_document(tmp_path: Path) -> None:
    path = tmp_path / "mmbench_en_dev.json"
    logs = [
        {"doc_id": n, "target": row["answer"], "resps": [[row["prediction"]]], "filtered_resps": [row["prediction"]],
         "doc": {name: cell for name, cell in row.items() if name != "prediction"}, "exact_match": 1.0}
        for n, row in enumerate(MMBENCH)
    ]  # fmt: skip
    path.write_text(json.dumps({"args": {"model": "llava"}, "logs": logs}))
    assert value("mmbench_en", read_predictions("mmbench_en", path, None, None), "circular") == 1


def test_the_prompt_beside_an_answer_is_not_the_reply(tmp_path: Path) -> None:
    path = tmp_path / "refcoco_val.json"
    path.write_text(json.dumps([{**BOX, "answer": "(99,99),(200,200)", "text": "<img>x</img><ref>it</ref><box>"}]))
    assert value("refcoco", read_predictions("refcoco", path, None, box_format("qwen-vl")), "acc@0.5") == 1


def test_pope_needs_as_many_answers_as_labels(tmp_path: Path) -> None:
    gold = tmp_path / "coco_pope_random.json"
    gold.write_text('{"question_id": 1, "label": "yes"}\n{"question_id": 2, "label": "no"}\n')
    path = tmp_path / "a.jsonl"
    path.write_text('{"question_id": 1, "text": "Yes"}\n')
    with pytest.raises(BenchmarkFormatError, match="1 answers where there are 2 labels"):
        read_predictions("pope", path, gold, None)


POPE_LABELS = [
    {"question_id": n, "image": f"{n}.jpg", "text": f"Is there a {thing} in the image?", "label": truth}
    for n, (thing, truth) in enumerate([("dog", "yes"), ("cat", "no"), ("bus", "yes")], 1)
]


def lines_of(rows: Sequence[Mapping[str, object]]) -> str:
    return "".join(f"{json.dumps(row)}\n" for row in rows)


def test_popes_official_answers_without_labels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "ans.json"
    path.write_text(lines_of([{"question": row["text"], "answer": "yes"} for row in POPE_LABELS]))
    with pytest.raises(BenchmarkFormatError, match="the gold answers are missing") as caught:
        read_predictions("pope", path, None, None)
    assert "--gold" in str(caught.value.hint)


def test_popes_labels_beside_the_answers_are_no_answers(tmp_path: Path) -> None:
    (tmp_path / "coco_pope_random.json").write_text(lines_of(POPE_LABELS))
    with pytest.raises(BenchmarkFormatError, match="labels or questions of POPE, and no answers"):
        read_predictions("pope", tmp_path, tmp_path, None)
    replies = [{"question": row["text"], "answer": row["label"], "label": row["label"]} for row in POPE_LABELS]
    (tmp_path / "random_answers.json").write_text(lines_of(replies))
    found = read_predictions("pope", tmp_path, tmp_path, None)
    assert len(found.answers) == 3 and value("pope", found, "accuracy") == 1
    assert not found.oddities.listed()


def test_popes_answers_in_another_order_are_found_by_id(tmp_path: Path) -> None:
    gold, path = tmp_path / "coco_pope_random.json", tmp_path / "a.jsonl"
    gold.write_text(lines_of(POPE_LABELS))
    replies = [{"question_id": row["question_id"], "text": row["label"]} for row in POPE_LABELS]
    path.write_text(lines_of([replies[1], replies[0], replies[2]]))
    found = read_predictions("pope", path, gold, None)
    assert value("pope", found, "accuracy") == 1
    assert [(one.what.partition(",")[0], one.count) for one in found.oddities.listed()] == [
        ("answer in another place than its label", 2)
    ]


def test_popes_answers_whose_ids_say_otherwise_are_counted(tmp_path: Path) -> None:
    gold, path = tmp_path / "coco_pope_random.json", tmp_path / "a.jsonl"
    gold.write_text(lines_of(POPE_LABELS))
    path.write_text(lines_of([{"question_id": 2 * n, "text": "yes"} for n in (1, 2, 3)]))
    (odd,) = read_predictions("pope", path, gold, None).oddities.listed()
    assert (odd.what.partition(",")[0], odd.count) == ("question_id that is not that of the label in its place", 3)
    path.write_text(
        lines_of([{"question_id": n, "prompt": row["text"], "text": "yes"} for n, row in enumerate(POPE_LABELS)])
    )
    assert not read_predictions("pope", path, gold, None).oddities.listed()


def test_two_files_of_one_split_do_not_count_twice(tmp_path: Path) -> None:
    rows = [{**BOX, "answer": "(99,99),(200,200)"}]
    (tmp_path / "refcoco_val.json").write_text(json.dumps(rows))
    (tmp_path / "refcoco_val.jsonl").write_text(lines_of(rows))
    with pytest.raises(BenchmarkFormatError, match="would count twice"):
        read_predictions("refcoco", tmp_path, None, box_format("qwen-vl"))
    (tmp_path / "refcoco_val.jsonl").rename(tmp_path / "b_refcoco_val.jsonl")
    with pytest.raises(BenchmarkFormatError, match="would count twice"):
        read_predictions("refcoco", tmp_path, None, box_format("qwen-vl"))


def test_a_file_may_say_how_its_boxes_are_written(tmp_path: Path) -> None:
    path = tmp_path / "refcoco_val.jsonl"
    path.write_text(
        lines_of([{**BOX, "image": "a.jpg", "answer": "(99,99),(200,200)", "boxes": "norm_999:parentheses"}])
    )
    found = read_predictions("refcoco", path, None, None)
    assert found.boxes == box_format("qwen-vl") and not found.oddities.listed()
    (odd,) = read_predictions("refcoco", path, None, box_format("qwen2-vl")).oddities.listed()
    assert "norm_999:parentheses, read as norm_1000:parentheses" in odd.what


def test_mme_results_without_tabs_name_the_first_line(tmp_path: Path) -> None:
    (tmp_path / "OCR.txt").write_text("1.jpg Is it? Yes Yes\n")
    with pytest.raises(BenchmarkFormatError, match=r"no line has 4 fields separated by tabs; first: OCR.txt, line 1"):
        read_predictions("mme", tmp_path, None, None)


def test_tables_of_ones_own_are_scored_by_their_kind(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"index": "a", "question": "How many?", "answer": "two", "prediction": "Two."},
        {"index": "b", "question": "Which?", "answer": "red", "prediction": "blue"},
    ]
    found = read_predictions("open:mine", write(tmp_path / "t.tsv", rows), None, None)
    assert value("open:mine", found, "exact") == 0.5
    asked = [{**row, "answer": "yes", "prediction": reply} for row, reply in zip(rows, ("Yes", "no"), strict=True)]
    assert value("yes_no:mine", read_predictions("yes_no:mine", write(tmp_path / "y.tsv", asked), None, None),
                 "accuracy") == 0.5  # fmt: skip
    chosen: list[dict[str, object]] = [
        {"index": "a", "question": "?", "A": "cat", "B": "dog", "answer": "dog", "prediction": "B"}
    ]
    assert value("choice:mine", read_predictions("choice:mine", write(tmp_path / "c.tsv", chosen), None, None),
                 "accuracy") == 1  # fmt: skip
