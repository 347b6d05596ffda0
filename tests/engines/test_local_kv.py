"""The store of keys and values grows within its bound, whatever comes and goes, and loses nothing."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from fourways.engines.local.kv import KVStore
from fourways.families.contract import ModelSpec

SPEC = ModelSpec(
    layers=1, kv_heads=1, head_dim=1, hidden=1, vocab_size=2, context=1 << 20, eos_token_ids=(0,), position_rows=1,
    dtype=torch.float32, device=torch.device("cpu"),
)  # fmt: skip
TOKENS = 1000
ROWS = 16


def put(store: KVStore, row: int, start: int, content: list[float]) -> None:
    """As a forward pass does: one window, then keys and values into it."""
    store.reserve(store.used, start + len(content))
    window = store.window(row, [start], len(content))
    new = torch.tensor(content).reshape(1, 1, -1, 1)
    window.update(new, -new, 0)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("start"), st.integers(1, 300)),
            st.tuples(st.just("grow"), st.integers(0, ROWS)),
            st.tuples(st.just("end"), st.integers(0, ROWS)),
        ),
        max_size=60,
    )
)
def test_what_is_admitted_fits_and_is_kept(steps: list[tuple[str, int]]) -> None:
    store = KVStore(SPEC, max_rows=ROWS, max_bytes=TOKENS * SPEC.kv_bytes_per_token)
    rows: list[list[float]] = []
    limits: list[int] = []
    value = 0.0
    for step, number in steps:
        if step == "start":
            limit = 2 * number
            if store.fits(len(rows) + 1, max([*limits, limit])):
                row = store.add(1, number)
                assert row == len(rows)
                content = [value + n for n in range(number)]
                put(store, row, 0, content)
                rows.append(content)
                limits.append(limit)
        elif rows and step == "grow":
            row = number % len(rows)
            if len(rows[row]) < limits[row]:
                put(store, row, len(rows[row]), [value])
                rows[row].append(value)
        elif rows:
            row, last = number % len(rows), len(rows[-1])
            store.free(row, last)
            rows[row], limits[row] = rows[-1], limits[-1]
            rows.pop()
            limits.pop()
        value += 1000.0
        assert store.bytes <= TOKENS * SPEC.kv_bytes_per_token
        for row, content in enumerate(rows):
            keys, values = store.read(row, len(content))[:, 0, 0, :, 0]
            assert keys.tolist() == content and values.tolist() == [-one for one in content]


def test_seventeen_long_requests_take_no_room_for_thirty_two() -> None:
    store = KVStore(SPEC, max_rows=65, max_bytes=17 * 100 * SPEC.kv_bytes_per_token)
    for _ in range(17):
        store.add(1, 100)
    assert store.bytes <= 17 * 100 * SPEC.kv_bytes_per_token
