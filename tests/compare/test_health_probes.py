"""What the probes make of slow models, adapters, registered folders, and of words that are no XML."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import msgspec
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from transformers import PreTrainedTokenizerFast

from fourways import zoo
from fourways.compare.health import KINDS, Health, Limits, ModelHealth, junit
from fourways.compare.health.asking import Asker
from fourways.compare.health.examination import Examination
from fourways.compare.health.faults import finding
from fourways.compare.health.files import check_files
from fourways.compare.health.fit import measure_fit
from fourways.compare.health.local import check_local
from fourways.compare.health.outcome import Outcome
from fourways.compare.health.questions import PAIRS
from fourways.compare.health.reading import Reading, in_thread
from fourways.compare.health.sense import LEAST_ORDERED, Sense
from fourways.compare.health.target import LocalTarget
from fourways.core.candidate import Candidate
from fourways.core.conversation import Conversation
from fourways.core.errors import UserError
from fourways.core.health import CHECK_SCHEMA, Probe
from fourways.hub.manifest import fill, make, write_manifest

PATIENT = Limits(slow_first_ms=1e6, slow_token_ms=1e6)
"""A crowded machine makes every model slow."""
DOCS = Path(__file__).parents[2] / "docs" / "check.md"


def check(folder: Path, limits: Limits | None = None, **target: Any) -> ModelHealth:
    one = LocalTarget(Candidate("model", model=str(folder), threads=1), folder, **target)
    return asyncio.run(check_local(one, limits or PATIENT, Examination("model", str(folder), "local", lambda _: None)))


def codes(health: ModelHealth) -> list[str]:
    return [found.code for found in health.findings]


# -- time --------------------------------------------------------------------------------------------------------------
def test_a_model_beyond_the_limits_is_slow_and_not_broken() -> None:
    health = check(zoo.checkpoint("internvl"), Limits(slow_first_ms=1e-3, slow_token_ms=1e-3))
    assert health.verdict == "slow" and codes(health) == ["slow", "slow"]
    assert "ms a token; the limit is" in health.findings[1].message


def test_a_model_that_does_not_answer_in_time_is_unanswered_and_nothing_else_is_said_of_it() -> None:
    health = check(zoo.checkpoint("internvl"), Limits(timeout_s=1e-4))
    assert health.verdict == "unanswered" and codes(health) == ["unanswered"]
    assert {probe.name for probe in health.probes if probe.status == "not run"} >= {"sense", "sight", "pace"}


def test_a_machine_without_room_is_no_fault_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fourways.compare.room.available_bytes", lambda device: 1000)
    health = check(zoo.checkpoint("qwen"))
    assert health.verdict == "unanswered" and codes(health) == ["load.no-room"]


def test_a_fault_of_the_check_is_not_blamed_on_the_model() -> None:
    async def fails() -> Outcome:
        raise ZeroDivisionError("ours")

    examination = Examination("model", "folder", "local", lambda _: None)
    asyncio.run(examination.look("sense", fails))
    health = examination.concluded()
    assert health.verdict == "unanswered" and codes(health) == ["check.failed"]


def test_a_machine_that_encodes_no_clip_leaves_the_probe_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def cannot() -> Conversation:
        raise UserError("no encoder here")

    monkeypatch.setattr("fourways.compare.health.local.a_clip", cannot)
    health = check(zoo.checkpoint("internvl"))
    (video,) = [probe for probe in health.probes if probe.name == "video"]
    assert health.verdict == "well" and (video.status, video.detail) == ("not run", "no encoder here")


# -- sense -------------------------------------------------------------------------------------------------------------
def test_a_model_that_gives_no_answer_and_still_tells_sentences_from_disorder_is_suspect_only(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Such as one that thinks aloud first; no embedded model does."""

    async def none(asker: Asker) -> Sense:
        return Sense(1e-4, 0.1)

    async def ordered(asker: Asker) -> int:
        return LEAST_ORDERED

    monkeypatch.setattr("fourways.compare.health.local.feel_sense", none)
    monkeypatch.setattr("fourways.compare.health.local.count_ordered", ordered)
    health = check(zoo.checkpoint("internvl"))
    assert codes(health) == ["answer.unexpected"] and "likelier than their words" in health.findings[0].message


@pytest.mark.parametrize("pair", PAIRS)
def test_a_sentence_and_its_disorder_have_the_same_words_and_first_word(pair: tuple[str, str]) -> None:
    """So nothing but their order can make one likelier."""
    one, other = (text.split() for text in pair)
    assert one != other and sorted(one) == sorted(other) and one[0] == other[0]


# -- adapters ----------------------------------------------------------------------------------------------------------
def adapter(folder: Path, scale: float, width: int = 128) -> Path:
    """A LoRA of two layers; with scale 0 as it is before training."""
    draw = torch.Generator().manual_seed(2)
    layers = [f"model.language_model.layers.{n}.self_attn.q_proj" for n in (0, 3)]
    held = {}
    for layer in layers:
        held[f"base_model.model.{layer}.lora_A.weight"] = torch.randn(4, width, generator=draw)
        held[f"base_model.model.{layer}.lora_B.weight"] = scale * torch.randn(128, 4, generator=draw)
    folder.mkdir()
    save_file(held, folder / "adapter_model.safetensors", {"format": "pt"})
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": layers, "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder


def test_an_adapter_that_does_something_is_well(tmp_path: Path) -> None:
    health = check(zoo.checkpoint("qwen"), adapters=(adapter(tmp_path / "lora", 0.05),))
    assert health.verdict == "well"
    assert health.probes[-1].name.startswith("adapter ") and "moves a score by up to" in health.probes[-1].detail


def test_an_adapter_that_changes_nothing_is_idle(tmp_path: Path) -> None:
    health = check(zoo.checkpoint("llava"), adapters=(adapter(tmp_path / "lora", 0.0),))
    assert codes(health) == ["adapter.idle"] and health.verdict == "broken"


def test_an_adapter_of_another_base_is_refused(tmp_path: Path) -> None:
    health = check(zoo.checkpoint("internvl"), adapters=(adapter(tmp_path / "lora", 0.05, width=64),))
    assert codes(health) == ["adapter.refused"] and "shape" in health.findings[0].message


# -- the registry's manifest -------------------------------------------------------------------------------------------
def test_files_are_held_against_the_registered_manifest_before_the_one_beside_them(tmp_path: Path) -> None:
    folder = shutil.copytree(zoo.checkpoint("qwen"), tmp_path / "model")
    manifest = fill(make(folder, lambda _: None), folder, lambda *_: None)
    reading = Reading(lambda _: None)
    assert check_files(folder, manifest, reading).findings == ()
    weights = load_file(folder / "model.safetensors")
    name = next(iter(weights))
    weights[name] = weights[name] * 1.001
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    write_manifest(fill(make(folder, lambda _: None), folder, lambda *_: None), folder)
    assert check_files(folder, None, reading).findings == (), "the one beside them was changed with them"
    (found,) = check_files(folder, manifest, reading).findings
    assert found.code == "files.changed" and "model.safetensors" in found.message


def test_a_registered_folder_that_is_gone_is_said_to_be(tmp_path: Path) -> None:
    health = check(tmp_path / "gone")
    assert codes(health) == ["folder.missing"] and health.verdict == "broken"


def test_giving_up_ends_a_long_reading_at_once() -> None:
    ended: list[float] = []

    def endless(reading: Reading) -> None:
        try:
            while True:
                reading.step()
                time.sleep(0.001)
        finally:
            ended.append(time.monotonic())

    async def give_up() -> float:
        task = asyncio.create_task(in_thread(endless, lambda _: None))
        await asyncio.sleep(0.05)
        task.cancel()
        return time.monotonic()

    asked = asyncio.run(give_up())  # returns when its threads have ended
    assert ended and ended[0] - asked < 5


# -- the embedding test ------------------------------------------------------------------------------------------------
def test_the_embedding_test_tells_the_embedded_models_tokenizer_from_chance() -> None:
    for name in zoo.NAMES:
        folder = zoo.checkpoint(name)
        rows = next(t for n, t in load_file(folder / "model.safetensors").items() if n.endswith("embed_tokens.weight"))
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        fit = measure_fit(rows, tokenizer)
        assert fit.fits and fit.trained and fit.offset == 0
        noise = measure_fit(torch.randn(rows.shape, generator=torch.Generator().manual_seed(4)), tokenizer)
        assert noise.fits is False and not noise.trained


def test_the_embedding_test_rarely_takes_a_mixed_up_vocabulary_for_the_right_one() -> None:
    """At p < 0.01, one in a hundred may pass; of 20 draws, three would be far too many."""
    folder = zoo.checkpoint("qwen")
    rows = next(t for n, t in load_file(folder / "model.safetensors").items() if n.endswith("embed_tokens.weight"))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    taken = 0
    for seed in range(20):
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
        taken += bool(measure_fit(rows[order], tokenizer).fits)
    assert taken < 3


# -- what is written ---------------------------------------------------------------------------------------------------
def one_model(message: str) -> Health:
    probes = (
        Probe("files", "not run", None, message),
        Probe("text", "broken", 1500.0, message, (finding("reply.format", message), finding("slow", message))),
        Probe("pace", "slow", 500.0, message, (finding("slow", message),)),
    )
    model = ModelHealth(message, message, "local", "broken", probes)
    return Health(CHECK_SCHEMA, "1", "2026-01-01T00:00:00+00:00", Limits(), False, (model,))


@given(st.text())
def test_junit_is_xml_whatever_the_names_and_messages_hold(message: str) -> None:
    root = Xml.fromstring(junit(one_model(message)).encode())
    assert (root.get("tests"), root.get("failures"), root[0].get("skipped")) == ("3", "1", "1")


ALLOWED = {
    "testsuites": {"name", "time", "tests", "failures", "errors"},
    "testsuite": {"name", "tests", "failures", "errors", "time", "skipped", "timestamp", "hostname", "id", "package"},
    "properties": set(), "property": {"name", "value"}, "testcase": {"name", "classname", "time"},
    "skipped": {"message", "type"}, "failure": {"message", "type"}, "system-out": set(),
}  # fmt: skip
"""Elements and attributes that Jenkins' schema of JUnit files takes, which is the strictest in use."""


def test_junit_uses_only_elements_and_attributes_that_readers_take() -> None:
    root = Xml.fromstring(junit(one_model("seen")))
    strange = [(one.tag, name) for one in root.iter() for name in one.attrib if name not in ALLOWED[one.tag]]
    assert strange == []
    (suite,) = root
    order = [one.tag for one in suite]
    assert order == ["properties", *["testcase"] * 3] and re.fullmatch(r"[\d-]+T[\d:]+", suite.get("timestamp") or "")


def test_junit_has_a_suite_a_model_and_a_case_a_probe_with_warnings_that_pass() -> None:
    root = Xml.fromstring(junit(one_model("seen")))
    (suite,) = root
    cases = suite.findall("testcase")
    assert [case.get("name") for case in cases] == ["files", "text", "pace"]
    assert cases[0].find("skipped") is not None and cases[1].find("failure") is not None
    assert cases[1].get("time") == "1.500" and suite.get("time") == "2.000"
    assert cases[2].find("failure") is None and "slow: seen" in (cases[2].findtext("system-out") or "")


def test_the_record_reads_back() -> None:
    health = one_model("seen")
    assert msgspec.json.decode(msgspec.json.encode(health), type=Health) == health


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
def test_every_code_is_explained_in_the_documentation(kind: Any) -> None:
    assert f"`{kind.code}`" in DOCS.read_text(encoding="utf-8")


def test_every_code_can_be_said() -> None:
    source = Path(__file__).parents[2] / "src" / "fourways"
    files = [file for file in source.rglob("*.py") if file.name != "faults.py"]
    text = "".join(file.read_text(encoding="utf-8") for file in files)
    assert [kind.code for kind in KINDS if f'"{kind.code}"' not in text] == []
