"""The memory section says what each peak is made of, what was foretold, how it rose, and what is not known."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from fourways.core.rows import FailureRow, MemoryQuantity, MemoryRow, MemoryTimelineRow, Row
from fourways.core.run import RunHeader
from fourways.report import write_report
from fourways.report.bars import Stack, stacks
from fourways.report.over_time import chart

MakeRun = Callable[[Path, list[Row], RunHeader], Path]
MIB = 2**20
SERVER = "far-away-server"


def memory(run: Path) -> str:
    """The section of the page of a run."""
    page = write_report(run, images=lambda _: None).read_text("utf-8")
    return page.partition('<section id="memory">')[2].partition("</section>")[0]


def words(section: str) -> str:
    """What a reader sees, with one space between words."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", section)).strip()


@pytest.fixture(scope="module")
def section(made_up_run: Path) -> str:
    return memory(made_up_run)


def test_every_stage_is_shown_with_its_parts_and_its_prediction(section: str) -> None:
    said = words(section)
    for stage in ("vision", "prefill", "decode", "training step"):
        assert f"{stage}, 112×112 px" in said
    assert "6.00 MiB weights" in said and "240 KiB KV" in said and "working" in said
    assert "MiB predicted" in said and re.search(r"×1\.0\d", said)
    assert "config alone foretold" in said and section.count('class="reference"') == 8


def test_parts_of_a_bar_add_up_to_what_is_written_beside_it(section: str) -> None:
    panel = section.partition("<figcaption>zoo:qwen2_5_vl</figcaption>")[2].partition("</figure>")[0]
    widths = [float(w) for w in re.findall(r'width="([\d.]+)" height="9" class="shade', panel)]
    sizes = [float(t) for t in re.findall(r">([\d.]+) MiB<", panel)]
    totals = [sum(widths[3 * k : 3 * k + 3]) for k in range(4)]
    assert len(widths) == 12
    for total, size in zip(totals, sizes, strict=True):
        assert total / totals[0] == pytest.approx(size / sizes[0], rel=0.02)


def test_a_timeline_has_a_place_for_each_stage(section: str) -> None:
    panel = section.partition("zoo:llava_next: live tensors, MiB")[2].partition("</figure>")[0]
    assert panel.count('class="stage"') == panel.count('class="curve"') == 4
    assert re.findall(r'class="label">(\w+)<', panel) == ["vision", "prefill", "decode", "training"]


def test_who_could_not_be_measured_and_why(section: str) -> None:
    assert f"{SERVER}: undefined: no access" in words(section)


def test_a_servers_own_profile_is_quoted_and_what_it_hides_says_so(
    make_run: MakeRun, made_up_header: RunHeader, tmp_path: Path
) -> None:
    rows: list[Row] = [
        MemoryRow(SERVER, 0, "server", "kv_cache", 53 * 1024 * MIB, (0, 0), 0, 158_656),
        MemoryRow(SERVER, 0, "server", "weights", 15 * 1024 * MIB, (0, 0), 0, 0),
        FailureRow(SERVER, "memory", "sample", "activation_peak", "no access", status="undefined"),
    ]
    said = words(memory(make_run(tmp_path / "server", rows, made_up_header)))
    assert "What servers reserved" in said
    assert f"{SERVER} 15.0 GiB undefined: no access 53.0 GiB 158,656" in said
    assert f"{SERVER}: undefined: it reserves its memory as it starts, which is no request" in said


def test_a_reading_that_nobody_could_say_is_listed_beside_those_that_are_there(
    make_run: MakeRun, made_up_header: RunHeader, made_up_rows: list[Row], tmp_path: Path
) -> None:
    lost = FailureRow("zoo:llava_next", "memory", "sample", "device", "NVML is not there", status="undefined")
    said = words(memory(make_run(tmp_path / "lost", [*made_up_rows, lost], made_up_header)))
    assert "zoo:llava_next, device: undefined: NVML is not there" in said


def test_a_run_without_predictions_or_timelines_says_nothing_of_them(
    make_run: MakeRun, made_up_header: RunHeader, made_up_rows: list[Row], tmp_path: Path
) -> None:
    rows = [row for row in made_up_rows if isinstance(row, MemoryRow) and row.stage != "train_step"]
    said = words(memory(make_run(tmp_path / "plain", rows, made_up_header)))
    assert "prefill, 112×112 px" in said
    assert "foretold" not in said and "over time" not in said and "training step" not in said


def test_on_a_gpu_the_page_says_what_the_card_gives_beside_tensors(
    make_run: MakeRun, made_up_header: RunHeader, tmp_path: Path
) -> None:
    sizes: dict[MemoryQuantity, int] = {
        "allocated": 15_000, "reserved": 16_000, "active": 15_100, "inactive_split": 800, "non_torch": 600,
        "device": 16_600,
    }  # fmt: skip
    rows: list[Row] = [
        MemoryRow("zoo:qwen2_5_vl", repeat, "prefill", quantity, size * MIB, (112, 112), 1, 60)
        for repeat in range(3)
        for quantity, size in sizes.items()
    ]
    said = words(memory(make_run(tmp_path / "gpu", rows, made_up_header)))
    table = said.partition("What else the card gives")[2]
    assert "15.6 GiB reserved 5.0 % of it in pieces 16.2 GiB by the driver's count" in table.replace("&#x27;", "'")
    assert "600 MiB beside the allocator" in table
    assert "Counted: allocated ." in said and "Reserved by the allocator" in said


def test_memory_stays_as_it_is_until_it_changes() -> None:
    row = MemoryTimelineRow("a", 0, "allocated", ((0.0, MIB), (50.0, 3 * MIB)), (("decode", 0.0, 100.0),))
    (route,) = re.findall(r'<path d="M([^"]+)"', "".join(str(part) for part in chart({"a": row}, ["a"], {})))
    heights = [point.split(" ")[1] for point in route.split("L")]
    assert heights[0] == heights[1] != heights[2] == heights[3]


def test_a_reference_is_drawn_where_it_lies() -> None:
    drawn = stacks("t", [Stack("s", "x", [(0, 50.0)], reference=100.0)], about="", largest=100.0)
    bar = float(re.findall(r'<rect x="[\d.]+" y="20" width="([\d.]+)"', drawn)[0])
    at = float(re.findall(r'<line x1="([\d.]+)"', drawn)[0])
    assert at - 2 == pytest.approx(2 * bar)
