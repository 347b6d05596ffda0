"""The page shows the machine's settings with advice, the packages, and each checkpoint's identity, and stays safe."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fourways.core.manifest import MANIFEST_SCHEMA, ImageLimits, Manifest, Quantized
from fourways.core.rows import FailureRow, Row
from fourways.core.run import PartRecord, Reading, RunHeader, Shard
from fourways.report import write_report

_spec = importlib.util.spec_from_file_location("machine_browser", Path(__file__).with_name("browser.py"))
assert _spec is not None and _spec.loader is not None
_browser = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _browser
_spec.loader.exec_module(_browser)

MakeRun = Callable[[Path, list[Row], RunHeader], Path]
HOSTILE = '<script>alert(1)</script> \u202e & "quoted"'
READINGS = (
    Reading("cpu.cores", "16 of 16 online: 0-15"),
    Reading("cpu.turbo", None, unread=HOSTILE),
    Reading("cpu.governor", "powersave", advice="sudo cpupower frequency-set -g performance"),
    Reading("cpu.mitigations", "; ".join(f"vulnerability_{k}: Mitigation: something long to say" for k in range(20))),
    Reading("container.image", HOSTILE),
)
MANIFEST = Manifest(
    MANIFEST_SCHEMA, "qwen", "qwen2.5-vl", "Qwen2_5_VLForConditionalGeneration", "transformers", "qwen-vl", "int4",
    Quantized("gptq", 4, 128), 2, 900, 3_754_622_976, {}, ("text", "image"), ("png",), 32768, ImageLimits(), None, None,
    {}, "adapters", "apache-2.0", HOSTILE, "main", (), "complete", "ab" * 32,
)  # fmt: skip


def with_machine(header: RunHeader) -> RunHeader:
    environment = msgspec.structs.replace(
        header.environment, readings=READINGS, lock={"torch": "2.13.0", HOSTILE: f"1.0 ({HOSTILE})"}
    )
    first, *others = header.candidates
    pending = msgspec.structs.replace(MANIFEST, source=None, revision=None, licence=None, identity=None, shards=1)
    records = (
        msgspec.structs.replace(first, manifest=MANIFEST),
        *(msgspec.structs.replace(one, manifest=pending) for one in others),
    )
    return msgspec.structs.replace(header, environment=environment, candidates=records)


@pytest.fixture
def page(made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path) -> Path:
    lost: list[Row] = [FailureRow(made_up_header.candidates[0].candidate.name, "memory", "axis", "", "broke")]
    return write_report(make_run(tmp_path / "run", lost, with_machine(made_up_header)), images=lambda sha: None)


def words(page: Path) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.read_text("utf-8")))


def test_settings_stand_folded_with_what_has_advice_first(page: Path) -> None:
    said = words(page)
    assert "Settings of the machine when the run began: 5, advice on 1" in said
    assert said.index("frequency-set -g performance") < said.index("16 of 16 online")
    assert "not seen:" in said
    folded = re.findall(
        r'<details(?: class="thirds" id="settings")?><summary>([^<]+)</summary>', page.read_text("utf-8")
    )
    assert {"Settings of the machine when the run began: 5, advice on 1", "Packages: 2 installed"} <= set(folded)


def test_each_checkpoint_has_its_identity_in_short_or_says_that_it_has_none_yet(page: Path) -> None:
    said = words(page)
    assert "abababababababab" in said and "ab" * 9 not in said
    assert "3,754,622,976" in said
    assert "int4, gptq at 4 bits , 2 files" in said
    assert "not hashed yet" in said
    assert "identity (first 16 digits)" in said and "data SHA-256 (first 16 digits)" in said


def test_the_embedded_models_are_said_to_be_fourways_own_and_of_no_other_it_is_said(
    made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path
) -> None:
    first = made_up_header.candidates[0]
    silent = msgspec.structs.replace(MANIFEST, source=None, revision=None)
    for model, told in (("zoo:qwen", "Fourways' own"), ("./checkpoint", "its files do not say")):
        asked = msgspec.structs.replace(first.candidate, model=model)
        only = msgspec.structs.replace(first, candidate=asked, manifest=silent)
        header = msgspec.structs.replace(made_up_header, candidates=(only,))
        said = words(write_report(make_run(tmp_path / told[:3], [], header), images=lambda sha: None))
        assert told.replace("'", "&#x27;") in said


def test_nothing_of_it_is_markup(page: Path) -> None:
    text = page.read_text("utf-8")
    assert "<script>alert(1)" not in text
    assert "\u202e" not in text
    assert text.count("&lt;script&gt;alert(1)") >= 5


def test_a_merged_run_tells_of_every_machine(made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path) -> None:
    header = with_machine(made_up_header)
    parts = tuple(PartRecord(f"r{k}", header.started, Shard(k, 2), header.environment) for k in (1, 2))
    said = words(
        write_report(
            make_run(tmp_path / "merged", [], msgspec.structs.replace(header, parts=parts)), images=lambda sha: None
        )
    )
    for shard in ("1/2", "2/2"):
        assert f"Settings of the machine of shard {shard} when the run began: 5" in said
        assert f"Packages of shard {shard}: 2 installed" in said


def test_an_older_runs_page_has_neither(made_up_header: RunHeader, make_run: MakeRun, tmp_path: Path) -> None:
    said = words(write_report(make_run(tmp_path / "old", [], made_up_header), images=lambda sha: None))
    assert "Settings of the machine" not in said and "Packages:" not in said and "Checkpoints" not in said


@pytest.mark.skipif(_browser.program() is None, reason="no Chromium is installed (apt-get install chromium)")
def test_opened_it_fits_wide_and_narrow(page: Path, tmp_path: Path) -> None:
    outside = """
    [...document.querySelectorAll("body *")].filter((e) => !e.closest(".scroll, .result thead, .stacked thead")
      && e.getClientRects().length
      && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
      .map((e) => e.outerHTML.slice(0, 99))
    """
    with _browser.Browser(_browser.program(), tmp_path / "profile") as opened:
        browser: Any = opened
        for width in (1400, 400):
            browser.open(page, width=width)
            browser.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
            assert browser.evaluate(outside) == []
