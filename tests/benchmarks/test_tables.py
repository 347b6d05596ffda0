from __future__ import annotations

import base64
import csv
import io
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.benchmarks.reading.tables import read_table
from fourways.benchmarks.reading.tsv import _split
from fourways.core.errors import BenchmarkFormatError

WriteTsv = Callable[[Sequence[dict[str, object]]], Path]
Jpeg = Callable[[int], bytes]


@given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20), min_size=2, max_size=6))
def test_cells_are_split_as_the_csv_module_splits_them(cells: list[str]) -> None:
    out = io.StringIO()
    csv.writer(out, delimiter="\t", lineterminator="\r\n").writerow(cells)
    assert _split(out.getvalue()) == cells


def test_a_quoted_cell_may_hold_tabs_quotes_and_lines(write_tsv: WriteTsv, jpeg: Jpeg) -> None:
    odd = 'he said "x\ty"\nand left'
    path = write_tsv([{"index": 0, "question": odd, "image": jpeg(0)}, {"index": 1, "question": "b", "image": jpeg(1)}])
    first, second = read_table(path, ["question"])
    assert first.cells["question"] == odd
    assert second.where.endswith("line 4")
    assert second.image() == jpeg(1)


def test_a_reference_finds_the_image_before_or_after_it(write_tsv: WriteTsv, jpeg: Jpeg) -> None:
    path = write_tsv(
        [
            {"index": 1000007, "question": "a", "image": "7"},
            {"index": 7, "question": "b", "image": jpeg(7)},
            {"index": "2000007.0", "question": "c", "image": "7.0"},
        ]
    )
    records = list(read_table(path, ["question"]))
    assert [record.image() for record in records] == [jpeg(7)] * 3
    assert len({record.image_key for record in records}) == 1


def test_repeated_images_have_one_key(write_tsv: WriteTsv, jpeg: Jpeg) -> None:
    rows: list[dict[str, object]] = [{"index": i, "question": "q", "image": jpeg(i // 2)} for i in range(4)]
    keys = [record.image_key for record in read_table(write_tsv(rows), ["question"])]
    assert keys[0] == keys[1] != keys[2] == keys[3]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("index\timage\n", r"missing column\(s\) question"),
        ("", "empty file"),
        ("index\tquestion\timage\n1\tq\n", "line 2: 2 cells where the header has 3"),
        ("index\tquestion\timage\n1\tq\t55\n", "line 2: column 'image' is empty or names row '55'"),
        ('index\tquestion\timage\n1\t"q\t55\n', "line 2: a quoted cell is never closed"),
        (f"index\tquestion\timage\n1\tq\t{'A' * 70}\n1\tq\t{'A' * 70}\n", "line 3: column 'index' repeats 1"),
    ],
)
def test_an_ill_formed_file_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "x.tsv").write_text(text)
    with pytest.raises(BenchmarkFormatError, match=said) as caught:
        list(read_table(tmp_path / "x.tsv", ["question"]))
    assert str(tmp_path / "x.tsv") in caught.value.message
    assert caught.value.hint


def test_text_that_is_not_utf8_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_bytes(b"index\tquestion\timage\n1\t\xff\xfe\t" + b"A" * 80 + b"\n")
    with pytest.raises(BenchmarkFormatError, match="line 2: not UTF-8"):
        list(read_table(tmp_path / "x.tsv", ["question"]))


def test_an_image_that_is_not_base64_fails_when_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.tsv").write_text(f"index\tquestion\timage\n1\tq\t{'?' * 80}\n")
    (record,) = read_table(tmp_path / "x.tsv", ["question"])
    with pytest.raises(BenchmarkFormatError, match="line 2: column 'image' is not base64"):
        record.image()


def write_parquet(path: Path, images: Sequence[object], **columns: Sequence[object]) -> Path:
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"image": pa.array(images, type=kind), **{k: pa.array(v) for k, v in columns.items()}})
    pq.write_table(table, path, row_group_size=5)
    return path


def test_parquet_rows_give_their_images_in_any_order(tmp_path: Path, jpeg: Jpeg) -> None:
    path = write_parquet(
        tmp_path / "a.parquet", [{"bytes": jpeg(i), "path": f"{i}"} for i in range(23)], question=["q"] * 23
    )
    records = list(read_table(path, ["question"]))
    for place in (0, 22, 3, 4, 4, 17, 1):
        assert records[place].image() == jpeg(place)


def test_shards_of_a_folder_are_read_in_order(tmp_path: Path, jpeg: Jpeg) -> None:
    (tmp_path / "data").mkdir()
    for shard in (1, 0):
        write_parquet(
            tmp_path / f"data/test-{shard}.parquet", [{"bytes": jpeg(shard), "path": ""}], question=[f"q{shard}"]
        )
    assert [record.cells["question"] for record in read_table(tmp_path, ["question"])] == ["q0", "q1"]


def test_a_parquet_image_without_bytes_is_named(tmp_path: Path) -> None:
    path = write_parquet(
        tmp_path / "a.parquet", [{"bytes": None, "path": "x.jpg"}], question=["q"], image_path=["x.jpg"]
    )
    (record,) = read_table(path, ["question"], key_column="image_path")
    with pytest.raises(BenchmarkFormatError, match="row 1: column 'image' holds no bytes"):
        record.image()


def test_a_file_that_is_no_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(BenchmarkFormatError, match="cannot be read as parquet"):
        list(read_table(tmp_path / "a.parquet", []))


def test_a_folder_without_tables_is_named(tmp_path: Path) -> None:
    with pytest.raises(BenchmarkFormatError, match=r"no \.tsv or \.parquet file"):
        list(read_table(tmp_path, []))


def peak_of_reading(path: Path) -> int:
    tracemalloc.start()
    for record in read_table(path, ["question"], key_column="image_path"):
        assert record.image()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_number_of_images(tmp_path: Path) -> None:
    """Twenty times the images (16 MB more) may cost only what their places cost."""

    def table(rows: int) -> Path:
        path = tmp_path / f"{rows}.tsv"
        with path.open("w") as file:
            file.write("index\tquestion\timage\n")
            for i in range(rows):
                file.write(f"{i}\tq\t{base64.b64encode(i.to_bytes(4) * 5000).decode()}\n")
        return path

    assert peak_of_reading(table(800)) < peak_of_reading(table(40)) + 2**20


def test_memory_does_not_grow_with_a_parquet_row_group(tmp_path: Path) -> None:
    def table(rows: int) -> Path:
        images = [i.to_bytes(4) * 5000 for i in range(rows)]
        path = tmp_path / f"{rows}.parquet"
        names = [str(i) for i in range(rows)]
        pq.write_table(pa.table({"image": images, "question": ["q"] * rows, "image_path": names}), path)
        return path

    assert peak_of_reading(table(800)) < peak_of_reading(table(40)) + 2**20
