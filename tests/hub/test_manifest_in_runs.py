"""A run's header says what each checkpoint was, and the manifest makes no two equal checkpoints unequal."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from fourways import zoo
from fourways.compare.fingerprint import fingerprint
from fourways.compare.opening import EnginePool, find_checkpoints
from fourways.compare.same_run import gone_on
from fourways.core.candidate import Candidate
from fourways.core.manifest import MANIFEST_FILE
from fourways.core.run import CandidateRecord, RunHeader
from fourways.core.run_files import read_header
from fourways.evidence.header import build_header, write_header
from fourways.hub.manifest import fill, make, write_manifest


@pytest.fixture(scope="module", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FOURWAYS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


def record(candidate: Candidate) -> CandidateRecord:
    async def opened() -> CandidateRecord:
        pool = EnginePool(find_checkpoints((candidate,)), {})
        try:
            return await pool.record(candidate)
        finally:
            await pool.close()

    return asyncio.run(opened())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(zoo.checkpoint("qwen"), tmp_path_factory.mktemp("models") / "mine"))


@pytest.fixture(scope="module")
def known(folder: Path) -> CandidateRecord:
    return record(Candidate("mine", model=str(folder), threads=1))


def test_the_record_of_a_candidate_holds_its_manifest_with_the_same_digests(known: CandidateRecord) -> None:
    assert known.manifest is not None
    assert known.manifest.identity is not None
    assert {file.name: file.sha256 for file in known.manifest.files} == known.sha256
    assert MANIFEST_FILE not in known.sha256


def test_random_weights_have_no_manifest() -> None:
    drawn = record(Candidate("drawn", model="zoo:qwen", weights="random", threads=1))
    assert drawn.engine is not None
    assert drawn.manifest is None


def test_a_checkpoint_that_was_damaged_since_costs_its_manifest_and_not_the_run(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "broken"))
    (folder / "preprocessor_config.json").write_text("{")
    broken = record(Candidate("broken", model=str(folder), threads=1))
    assert broken.failure is not None
    assert broken.manifest is None


def header(one: CandidateRecord) -> RunHeader:
    return build_header(
        run_id="r", argv=(), seed=0, axes=("accuracy",), limit=None, quick=False, candidates=(one,), suite=(),
        definitions={},
    )  # fmt: skip


def test_the_header_keeps_the_manifest_as_it_is(known: CandidateRecord, tmp_path: Path) -> None:
    write_header(header(known), tmp_path)
    assert read_header(tmp_path).candidates[0].manifest == known.manifest


@pytest.mark.parametrize("change", ["none before", "another licence", "a manifest beside the weights"])
def test_a_run_goes_on_where_the_bytes_are_the_same(change: str, known: CandidateRecord, folder: Path) -> None:
    """An older version wrote no manifest; a README may be edited; a manifest may have been put beside the weights."""
    match change:
        case "none before":
            old, now = msgspec.structs.replace(known, manifest=None), known
        case "another licence":
            assert known.manifest is not None
            other = msgspec.structs.replace(known.manifest, licence="mit", source="org/name", name="renamed")
            old, now = known, msgspec.structs.replace(known, manifest=other)
        case _:
            write_manifest(fill(make(folder), folder), folder)
            old, now = known, record(known.candidate)
            (folder / MANIFEST_FILE).unlink()
    assert gone_on(header(old), header(now)).candidates == (now,)


def test_shards_of_two_hosts_agree_whatever_the_folders_are_called(known: CandidateRecord, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "elsewhere"))
    other = record(Candidate("mine", model=str(moved), threads=1))
    assert other.manifest is not None and known.manifest is not None
    assert other.manifest.name != known.manifest.name
    assert other.manifest.identity == known.manifest.identity
    here = header(known)
    mine, theirs = (fingerprint(here.source, here.environment, one, ()) for one in (known, other))
    assert mine == theirs
