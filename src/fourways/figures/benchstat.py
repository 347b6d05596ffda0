"""A run's latency in the Go benchmark data format, so that benchstat can test runs against each other.

One line for each candidate, load and block (or fresh start): benchstat takes lines of one name as repeats, and blocks
are what is independent here, requests of a block are not. `ns/op` is the block's median e2e; the other units say what
they are. Failed requests are not timed; their number is `failed/op`.

Source: golang.org/design/14313-benchmark-format; unit properties as in golang.org/issue/43744.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from statistics import median

from fourways.core.load import Load
from fourways.core.rows import RequestRow
from fourways.core.run import RunHeader

_TIMES = {"e2e": "ns/op", "ttft": "ttft-ns/op", "tpot": "tpot-ns/op"}
_ODD = re.compile(r"[^\w.@+,%-]")
_Key = tuple[str, str, Load, str, int]


def benchstat(header: RunHeader, rows: Iterable[RequestRow]) -> str:
    """The text of a file; the header's facts are its configuration lines. "" if nothing was answered."""
    blocks: dict[_Key, list[RequestRow]] = {}
    for row in rows:
        blocks.setdefault((row.candidate, row.workload, row.load, row.cache, row.block), []).append(row)
    order = sorted(blocks, key=lambda key: (key[0], key[1], key[2].place, key[3], key[4]))
    lines = [line for key in order if (line := _line(key, blocks[key])) is not None]
    if not lines:
        return ""
    return "\n".join([*_configuration(header), "Unit req/s better=higher", "", *lines, ""])


def _configuration(header: RunHeader) -> list[str]:
    facts: Mapping[str, str | None] = {
        "run": header.run_id,
        "fourways": header.source.version,
        "commit": header.source.commit,
        "cpu": header.environment.cpu,
        "cpu-count": str(header.environment.cores),
        "accelerators": ", ".join(header.environment.accelerators) or None,
        "seed": str(header.seed),
    }
    return [f"{key}: {' '.join(value.split())}" for key, value in facts.items() if value]


def _line(key: _Key, rows: Sequence[RequestRow]) -> str | None:
    candidate, workload, load, cache, _ = key
    good = [row for row in rows if row.error is None and row.e2e_ms is not None]
    if not good:
        return None
    values = [f"{_nanoseconds(found)} {unit}" for time, unit in _TIMES.items() if (found := _known(good, time))]
    seconds = (max(r.scheduled_ms + (r.e2e_ms or 0) for r in good) - min(r.scheduled_ms for r in rows)) / 1000
    if seconds > 0:
        values.append(f"{len(good) / seconds:.6g} req/s")
    values.append(f"{(len(rows) - len(good)) / len(rows):.6g} failed/op")
    # A name that ended in -8 would be read as run on 8 processors: the cache, a word, stands last.
    name = f"BenchmarkRequest/candidate={_word(candidate)}/workload={_word(workload)}/load={_word(load.label)}"
    return "\t".join([f"{name}/cache={cache}", str(len(good)), *values])


def _known(rows: Sequence[RequestRow], time: str) -> list[float]:
    values = {"e2e": [r.e2e_ms for r in rows], "ttft": [r.ttft_ms for r in rows], "tpot": [r.tpot_ms for r in rows]}
    return [value for value in values[time] if value is not None]


def _nanoseconds(values_ms: Sequence[float]) -> str:
    return f"{1e6 * median(values_ms):.0f}"


def _word(text: str) -> str:
    """Without what the format gives a meaning: spaces, slashes, equals signs."""
    return _ODD.sub("-", text.replace("/s", "-per-s"))
