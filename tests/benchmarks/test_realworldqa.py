from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fourways.benchmarks.contract import ReplyContext
from fourways.benchmarks.realworldqa import RealWorldQA
from fourways.core.rows import AnswerRow

Answer = Callable[..., AnswerRow]
BENCHMARK = RealWorldQA()
NOTHING = ReplyContext(None, ())
LETTER = "\nPlease answer directly with only the letter of the correct option and nothing else."
ASKED = [
    ("Which lane?\n\nA. Left lane\nB. Right lane\nC. Same" + LETTER, "B"),
    ("How many?\nPlease answer directly with a single word or number.", "0"),
    ("Up or down?", "Downhill"),
    ("Which of the letters on the sign?", "A"),
]


@pytest.fixture
def parquet(tmp_path: Path, jpeg: Callable[[int], bytes]) -> Path:
    table = pa.table(
        {
            "image": [{"bytes": jpeg(i), "path": f"{i}.webp"} for i in range(len(ASKED))],
            "question": [question for question, _ in ASKED],
            "answer": [answer for _, answer in ASKED],
            "image_path": [f"{i}.webp" for i in range(len(ASKED))],
        }
    )
    pq.write_table(table, tmp_path / "test-00000-of-00001.parquet")
    return tmp_path


@pytest.mark.parametrize(
    ("place", "reply", "score"),
    [
        (0, "B", 1.0),
        (0, "B.", 1.0),
        (0, "Right lane", 1.0),
        (0, "A", 0.0),
        (0, "the car", 0.0),
        (1, " 0. ", 1.0),
        (1, "zero", 0.0),
        (2, "downhill", 1.0),
        (2, "It goes downhill", 0.0),
        (3, "A", 1.0),
        (3, "a car", 0.0),
    ],
)
def test_a_letter_or_the_exact_word(parquet: Path, place: int, reply: str, score: float) -> None:
    sample = list(BENCHMARK.read(parquet))[place]
    assert BENCHMARK.score(sample, BENCHMARK.parse(sample, reply, NOTHING)) == score


def test_the_hubs_question_is_asked_as_it_is(parquet: Path) -> None:
    for sample in BENCHMARK.read(parquet):
        for dialect in ("qwen2.5-vl", "llava-next", "internvl", "generic"):
            assert BENCHMARK.prompt(sample, dialect) == sample.question


def test_the_kits_tsv_is_written_out_like_mmbench(
    write_tsv: Callable[[Sequence[dict[str, object]]], Path], jpeg: Callable[[int], bytes]
) -> None:
    path = write_tsv(
        [{"index": 0, "image": jpeg(0), "question": "Which?", "A": "Left", "B": "Right", "C": "", "answer": "B"}]
    )
    (sample,) = BENCHMARK.read(path)
    assert BENCHMARK.prompt(sample, "llava-next").startswith("Which?\nA. Left\nB. Right\nAnswer with")
    assert BENCHMARK.score(sample, BENCHMARK.parse(sample, "right", NOTHING)) == 1.0


def test_accuracy_is_over_all_and_by_kind_of_answer(parquet: Path, answer: Answer) -> None:
    replies = ("B", "0", "up", "A")
    rows = [answer(BENCHMARK, s, reply) for s, reply in zip(BENCHMARK.read(parquet), replies, strict=True)]
    found = {
        m.labels.get("category", ""): sum(m.parts[0].values) / len(m.parts[0].values) for m in BENCHMARK.metrics(rows)
    }
    assert found == {"": 0.75, "letter": 1.0, "word": 0.5}
