"""The page says which trace lies beside it, and how many threads the models had."""

from __future__ import annotations

import pytest

from fourways.core.run import TraceRecord
from fourways.report.provenance import _trace


@pytest.mark.parametrize(
    ("dropped", "words"),
    [
        (0, "trace.json: 31% of the latency axis's requests, 1,234 events; open it in ui.perfetto.dev"),
        (5, "trace.json: 31% of the latency axis's requests, 1,234 events, 5 lost; open it in ui.perfetto.dev"),
    ],
)
def test_a_trace_is_named_with_what_it_holds_and_what_it_lost(dropped: int, words: str) -> None:
    assert _trace(TraceRecord("latency", "trace.json", 0.3125, 1234, dropped)) == words
