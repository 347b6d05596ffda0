"""What a person is told while requests come back."""

from __future__ import annotations

from fourways.compare.loading.telling import Telling
from fourways.core.rows import RequestRow


class Heard:
    """Keeps the notes."""

    def __init__(self) -> None:
        self.notes: list[str] = []

    def phase(self, text: str) -> None: ...

    def step(self, done: int, total: int, what: str, note: str = "") -> None:
        self.notes.append(f"{done}/{total} {note}")

    def close(self) -> None: ...


def row(due_ms: float, e2e_ms: float, block: int = 0, error: str | None = None) -> RequestRow:
    return RequestRow(
        candidate="a", workload="w", concurrency=4, cache="mixed", block=block, item=0, image="",
        scheduled_ms=due_ms, dispatched_ms=due_ms, ttft_ms=None if error else 10.0, e2e_ms=None if error else e2e_ms,
        tpot_ms=10.0, chunk_gaps_ms=(), prompt_tokens=1, visual_tokens=0, output_tokens=10, stages_ms={}, error=error,
    )  # fmt: skip


def test_answers_that_end_together_are_no_pace_until_a_second_has_passed() -> None:
    heard = Heard()
    told = Telling(heard, "a")
    told.block(8, 1)
    for index in range(8):
        told.row(row(0.0, 400.0 + 0.001 * index))
    assert heard.notes[-1] == "8/8 ttft 10 ms"


def test_the_pace_is_of_all_answers_over_the_time_of_all_blocks() -> None:
    heard = Heard()
    told = Telling(heard, "a")
    for block in range(3):
        told.block(4, 3 - block)
        for index in range(4):
            told.row(row(0.0, 800.0 + 0.001 * index, block, "gone" if block == 2 and index == 3 else None))
    assert heard.notes[-1] == "12/12 4.6/s · ttft 10 ms · 1 failed"
