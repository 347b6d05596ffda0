"""The catalogue that ships, and one that somebody else wrote."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fourways.core.errors import UserError
from fourways.hub.data import Chosen, choose, every, load_catalogue
from fourways.hub.data.sources import asked_source, origins

KEYS = {"mme", "mmbench_en", "mmbench_cn", "vqav2", "refcoco", "realworldqa", "pope", "mmstar"}
SHIPPED = every(load_catalogue())


def test_every_benchmark_has_data() -> None:
    assert set(load_catalogue().benchmarks) == KEYS


def test_mmbench_is_there_in_both_languages_splits_and_versions() -> None:
    for key in ("mmbench_en", "mmbench_cn"):
        assert {"dev-v1.0", "test-v1.0", "dev-v1.1", "test-v1.1"} <= set(load_catalogue().benchmarks[key])


@pytest.mark.parametrize("one", SHIPPED, ids=str)
def test_every_edition_says_where_it_comes_from_over_https(one: Chosen) -> None:
    assert one.edition.license and one.edition.about
    for file in one.edition.files.values():
        assert all(origin.url.startswith("https://") for origin in origins(file, None))
        pinned = file.sha256 is not None or file.md5 is not None
        assert pinned == (file.digests_from is not None), "a digest names who published it"


@pytest.mark.parametrize("one", SHIPPED, ids=str)
def test_what_is_handed_to_a_suite_is_among_what_is_fetched(one: Chosen) -> None:
    edition = one.edition
    assert edition.path == "." or edition.path in edition.files


@pytest.mark.parametrize("one", SHIPPED, ids=str)
def test_the_hub_is_asked_for_a_commit_or_for_a_file_of_known_digest(one: Chosen) -> None:
    for name, file in one.edition.files.items():
        if file.huggingface is not None and len(file.huggingface.revision) != 40:
            assert file.sha256 is not None or file.md5 is not None, name


def test_a_bare_key_means_the_first_edition() -> None:
    catalogue = load_catalogue()
    assert str(choose(catalogue, "mmbench_en")) == "mmbench_en:dev-v1.0"
    assert str(choose(catalogue, "vqav2:test-dev")) == "vqav2:test-dev"


@pytest.mark.parametrize(
    ("word", "words"),
    [("mm", "no data of 'mm'"), ("mme:x", "no edition 'x'"), ("", "no data of ''"), ("mme:", "no ed")],
)
def test_a_wrong_word_is_answered_with_the_right_ones(word: str, words: str) -> None:
    with pytest.raises(UserError, match=words) as caught:
        choose(load_catalogue(), word)
    assert "there are" in (caught.value.hint or "")


def test_a_near_miss_is_answered_with_what_was_meant() -> None:
    with pytest.raises(UserError) as caught:
        choose(load_catalogue(), "mmbench_en:dev_v1.1")
    assert "did you mean dev-v1.1?" in (caught.value.hint or "")


def test_an_unknown_source_is_answered_with_the_known_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOURWAYS_DATA_SOURCE", "baidu")
    with pytest.raises(UserError, match="no source 'baidu'"):
        asked_source(None)
    assert asked_source("modelscope") == "modelscope"


# -- a catalogue of somebody else's ------------------------------------------------------------------------------------


def other(file: dict[str, Any], name: str = "f", edition: str = "e", path: str = ".") -> dict[str, Any]:
    held = {"about": "a", "license": "l", "path": path, "files": {name: {"direct": "https://h/f", **file}}}
    return {"schema": "fourways.data-catalogue/1", "benchmarks": {"mme": {edition: held}}}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (other({}, name="../../x"), "do not stay inside"),
        (other({}, name="/etc/x"), "do not stay inside"),
        (other({}, name=".fourways.json"), "do not stay inside"),
        (other({}, name="a/b"), "do not stay inside"),
        (other({}, path="../.."), "do not stay inside"),
        (other({"unzip": {"into": "../..", "at_most": 1}}), "do not stay inside"),
        (other({}, edition="../../x"), "no name of a benchmark or edition"),
        (other({"sha256": "abc"}), "is no sha256"),
        (other({"md5": "A" * 32}), "is no md5"),
        (other({"direct": None}), "no source"),
        (other({"sha265": "typing error"}), "is no data catalogue"),
        ({"schema": "other/1", "benchmarks": {}}, "of schema 'other/1'"),
        ([], "is no data catalogue"),
    ],
)
def test_a_catalogue_that_could_do_harm_is_refused(
    content: object, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kit: ModuleType
) -> None:
    file = tmp_path / "c.json"
    file.write_text(json.dumps(content))
    monkeypatch.setenv("FOURWAYS_DATA_CATALOGUE", str(file))
    with pytest.raises(UserError, match=words):
        load_catalogue()


def test_a_catalogue_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FOURWAYS_DATA_CATALOGUE", str(tmp_path / "none.json"))
    with pytest.raises(UserError, match="cannot be read"):
        load_catalogue()
