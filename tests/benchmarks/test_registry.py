from __future__ import annotations

import inspect
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fourways.benchmarks import registry
from fourways.benchmarks.contract import ReplyContext, Sample
from fourways.benchmarks.suite import detect
from fourways.core.boxes import BoxFormat
from fourways.core.errors import UserError

KEYS = ("mme", "mmbench_en", "mmbench_cn", "vqav2", "refcoco", "realworldqa", "pope", "mmstar")


def test_every_benchmark_has_its_key() -> None:
    assert registry.keys() == KEYS
    assert [registry.get(key).key for key in KEYS] == list(KEYS)


def test_an_unknown_key_names_the_known_ones() -> None:
    with pytest.raises(UserError, match="no benchmark is called 'mmmu'") as caught:
        registry.get("mmmu")
    assert "realworldqa" in (caught.value.hint or "")


def test_a_digest_covers_every_file_that_a_benchmark_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy of the room's files: a change of any shared one changes every digest, one of a benchmark its own."""
    room = Path(registry.__file__).parent
    for file in room.rglob("*.py"):
        (tmp_path / file.relative_to(room)).parent.mkdir(exist_ok=True)
        (tmp_path / file.relative_to(room)).write_bytes(file.read_bytes())
    monkeypatch.setattr(registry, "_file", lambda one: tmp_path / Path(inspect.getfile(type(one))).name)
    every = (*KEYS, "choice:x", "mme@rank")
    before = {key: registry.source_sha256(key) for key in every}
    assert before == {key: registry.source_sha256(key) for key in every}
    tables = [f"reading/{name}.py" for name in ("tables", "tsv", "cells", "parquet", "own_cells")]
    for shared in (*tables, "answers/yes_no.py", "answers/boxes.py", "ranked.py"):
        kept = (tmp_path / shared).read_bytes()
        (tmp_path / shared).write_bytes(kept + b"\n")
        assert not {key for key in every if registry.source_sha256(key) == before[key]}, shared
        (tmp_path / shared).write_bytes(kept)
    (tmp_path / "mme.py").write_bytes(b"")
    assert {key for key in every if registry.source_sha256(key) != before[key]} == {"mme", "mme@rank"}


def test_sources_are_digested_apart() -> None:
    digests = {key: registry.source_sha256(key) for key in KEYS}
    assert digests["mmbench_en"] == digests["mmbench_cn"]
    assert len(set(digests.values())) == len(KEYS) - 1


OTHERS = ("choice:x", "yes_no:x", "open:x", "mme@rank", "mmstar@rank", "choice:x@rank")


@given(st.text(max_size=120), st.sampled_from((*KEYS, *OTHERS)))
def test_no_reply_breaks_a_parser_or_a_scorer(reply: str, key: str) -> None:
    benchmark = registry.get(key)
    gold: tuple[str | float, ...] = (1.0, 2.0, 3.0, 4.0) if key == "refcoco" else ("A",)
    extra = {"width": "64", "height": "64"}
    sample = Sample("1", "1", "k", bytes, "q", gold, options={"A": "x", "B": "y"}, extra=extra)
    parsed = benchmark.parse(sample, reply, ReplyContext(BoxFormat("norm_1", "brackets"), ()))
    assert 0 <= benchmark.score(sample, parsed) <= 1
    assert benchmark.score(sample, None) == 0


def test_a_suite_is_found_by_published_names(tmp_path: Path) -> None:
    for name in ("MME_Benchmark_release_version", "vqav2", "RefCOCO"):
        (tmp_path / name).mkdir()
    (tmp_path / "MMBench_DEV_EN.tsv").touch()
    assert {key: path.name for key, path in detect(tmp_path).items()} == {
        "mme": "MME_Benchmark_release_version",
        "mmbench_en": "MMBench_DEV_EN.tsv",
        "vqav2": "vqav2",
        "refcoco": "RefCOCO",
    }
    assert detect(tmp_path / "vqav2") == {}
