"""Latency: what a request waits for, how fast tokens follow, and how many requests are served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import isinf
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fourways.core.errors import Undefined
from fourways.core.figure import Figure, Status
from fourways.core.load import Load
from fourways.core.rows import ClientRow, ProbeRow, RequestRow, TermsRow
from fourways.figures import client
from fourways.figures.definition import Definition, Estimate, absent, figure
from fourways.figures.due import OVER_BLOCKS, WINDOW, estimate, rates
from fourways.figures.failures import Failures
from fourways.figures.requests import REST, SENT, Measured, Setting, Values
from fourways.stats import (
    Interval,
    clustered_quantile_interval,
    quantile_interval,
    quantile_worth,
    share_in_order,
    smallest_n,
    t_interval,
)

Floats = NDArray[np.float64]
QUANTILES = (("p50", 0.5), ("p95", 0.95), ("p99", 0.99))

_TOGETHER = (
    "requests that were served together (as many consecutive ones of a closed loop as it keeps inside; a twentieth of "
    "an open one's)"
)
_OF_REQUESTS = (
    "order statistics, of requests one at a time taken as independent, of others at their effective size (clusters: "
    f"{_TOGETHER}); p50 needs 6, p95 needs 72, p99 needs 368"
)
_QUANTILE = "the least observed value with at least that share of requests at or below it"
_FAILED_IS_INF = "a failed request counts as inf"
_FINISHED_ONLY = "requests that finished"
_TIMES = {
    "ttft": "scheduled send → first event with visible content",
    "e2e": "scheduled send → last content event",
    "tpot": "(e2e - ttft) / (output tokens - 1) of a request, tokens by the engine's own count without EOS",
    SENT: "scheduled send → the instant at which the client handed the request to the engine; part of ttft",
}


def _quantile_definition(name: str, quantile: str, formula: str, of: str) -> Definition:
    text = f"{formula}; {_QUANTILE}; {of}"
    return Definition(f"{name}_{quantile}", "latency", "ms", "lower", "requests", text, _OF_REQUESTS, version=2)


TIMES = {
    (name, q): _quantile_definition(name, q, text, "failed requests too" if name == SENT else _FAILED_IS_INF)
    for name, text in _TIMES.items()
    for q, _ in QUANTILES
}
GAPS = {
    q: Definition(
        f"chunk_gap_{q}", "latency", "ms", "lower", "requests",
        "time between consecutive content events, over all gaps of all requests that finished",
        "Woodruff's: the clustered score interval (clusters: requests) of the share of gaps at or below it, read back",
        version=2,
    )
    for q, _ in QUANTILES
}  # fmt: skip
STAGE = _quantile_definition(
    "stage", "p50", "time that a request spent in the stage, as its engine reports it", _FINISHED_ONLY
)
TTFT_PART = Definition(
    "ttft_part", "latency", "ms", "lower", "requests",
    "mean time of a stage before the first token, over requests that finished; the parts and what no stage explains "
    "(rest: hand-over between threads, tokens that were not yet text, a server's inside) add up to the mean ttft",
    f"Student's t over the means of {_TOGETHER}",
    version=2,
)  # fmt: skip
REQUESTS_PER_S = Definition(
    "requests_per_s", "latency", "requests/s", "higher", "blocks",
    f"mean over blocks of requests that finished, a second; {WINDOW}", OVER_BLOCKS, version=2,
)  # fmt: skip
TOKENS_PER_S = Definition(
    "tokens_per_s", "latency", "tokens/s", "higher", "blocks",
    f"mean over blocks of output tokens of requests that finished, a second; {WINDOW}", OVER_BLOCKS, version=2,
)  # fmt: skip
FAILURE_RATE = Definition(
    "failure_rate", "latency", "fraction", "lower", "requests", "requests that failed / requests; none is tried again",
    "exact binomial at the effective size, from batches of requests in the order in which they were due",
    version=3,
)  # fmt: skip
DEFINITIONS = (
    *TIMES.values(),
    *GAPS.values(),
    STAGE,
    TTFT_PART,
    REQUESTS_PER_S,
    TOKENS_PER_S,
    FAILURE_RATE,
    *client.DEFINITIONS,
)

HEADLINE = TIMES["e2e", "p50"]
"""At concurrency 1 with a warm feature cache: what one user waits for a whole answer about a picture seen before. Of a
load run at its least load; where it searched, the capacity is the headline instead."""
HEADLINE_CONCURRENCY, HEADLINE_CACHE = 1, "warm"
WORKLOADS = {"describe-32": "one picture a request, 32 new tokens"}
"""What a request of a workload is, in words."""


@dataclass(slots=True)
class Latency:
    """Collects requests; `figures` computes."""

    _found: dict[str, dict[Setting, Measured]] = field(default_factory=dict)
    _loaded: set[str] = field(default_factory=set)
    _searched: set[str] = field(default_factory=set)

    def add_terms(self, row: TermsRow) -> None:
        self._loaded.add(row.candidate)

    def add_probe(self, row: ProbeRow) -> None:
        self._searched.add(row.candidate)

    def add(self, row: RequestRow) -> None:
        self._measured(row.candidate, Setting(row.workload, row.load, row.cache)).add(row)

    def add_client(self, row: ClientRow) -> None:
        self._measured(row.candidate, Setting(row.workload, row.load, row.cache)).client.add(row)

    def _measured(self, candidate: str, setting: Setting) -> Measured:
        return self._found.setdefault(candidate, {}).setdefault(setting, Measured())

    def figures(self, failures: Failures) -> Iterator[Figure]:
        """All figures of the axis, candidate by candidate."""
        for candidate in dict.fromkeys([*self._found, *failures.candidates("latency")]):
            settings = sorted(self._found.get(candidate, {}).items(), key=lambda found: found[0].place)
            lost = failures.of_axis(candidate, "latency")
            head = None if lost is not None else self._head(candidate, [s for s, held in settings if held.requests])
            if head is None and candidate not in self._searched:
                status, reason = lost or ("undefined", self._without(candidate))
                yield absent(HEADLINE, candidate, status, reason, {}, headline=True)
            for setting, measured in settings:
                if measured.requests:
                    one = _Setting(candidate, setting.load, setting.labels, measured, measured.together(setting.load))
                    yield from _times(one, setting == head)
                    yield from _rest(one)
                yield from measured.client.figures(candidate, setting.labels)

    def _head(self, candidate: str, settings: Sequence[Setting]) -> Setting | None:
        """Of settings in the order of the table."""
        if candidate in self._searched:
            return None
        if candidate in self._loaded:
            return settings[0] if settings else None
        wanted = (HEADLINE_CONCURRENCY, HEADLINE_CACHE)
        return next((s for s in settings if (s.load.concurrency, s.cache) == wanted), None)

    def _without(self, candidate: str) -> str:
        if candidate in self._loaded:
            return "no request was sent"
        return "no requests at concurrency 1 with a warm cache"


class _Setting(NamedTuple):
    """together: as `Measured.together`."""

    candidate: str
    load: Load
    labels: dict[str, str]
    measured: Measured
    together: NDArray[np.int64]


def _times(one: _Setting, headline: bool) -> Iterator[Figure]:
    for (name, quantile), definition in TIMES.items():
        is_head = headline and definition is HEADLINE
        yield _quantile(definition, one, one.measured.times[name], dict(QUANTILES)[quantile], one.labels, is_head)


def _rest(one: _Setting) -> Iterator[Figure]:
    candidate, labels, measured = one.candidate, one.labels, one.measured
    for quantile, q in QUANTILES:
        yield _gap(GAPS[quantile], one, q)
    for stage, values in measured.stages.items():
        yield _quantile(STAGE, one, values, 0.5, {**labels, "stage": stage})
    for part, times in measured.parts.items():
        yield _part(one, part, times)
    yield _rate(REQUESTS_PER_S, one, [1.0] * measured.requests)
    yield _rate(TOKENS_PER_S, one, measured.tokens)
    yield figure(FAILURE_RATE, candidate, _failures(measured), labels)


def _quantile(
    definition: Definition, one: _Setting, times: Values, q: float, labels: Mapping[str, str], headline: bool = False
) -> Figure:
    measured, values = one.measured, np.asarray(times.values)
    try:
        found = quantile_of(values, q, one.together[np.asarray(times.owner, np.int64)])
    except Undefined as error:
        failed = measured.failed > 0 and values.size > 0
        reason = f"{measured.failed} of {measured.requests} requests failed" if failed else error.reason
        status: Status = "failed" if failed else "undefined"
        return absent(definition, one.candidate, status, reason, labels, n=values.size, headline=headline)
    return figure(definition, one.candidate, measured.client.noted(found), labels, headline=headline)


def quantile_of(values: Floats, q: float, together: NDArray[np.int64]) -> Estimate:
    """The q-quantile of values (inf: failed), which are dependent where `together` is equal, with its interval. Raises
    Undefined for no values, or where the quantile itself lies among the failures. An interval that reaches into them is
    none, and the note says so; as it says where dependence makes of enough values too few."""
    if values.size == 0:
        raise Undefined("no request gave it")
    value = float(np.quantile(values, q, method="inverted_cdf"))
    if isinf(value):
        raise Undefined("too many requests failed")
    worth = quantile_worth(together, values, q)
    interval = quantile_interval(values.tolist(), q, worth=worth)
    if interval is not None and isinf(interval.high):
        return Estimate(value, None, int(values.size), "the interval reaches into the requests that failed")
    if interval is None and values.size >= smallest_n(q):
        said = (
            f"{values.size} requests, served together, are worth {worth} independent ones; {smallest_n(q)} are needed"
        )
        return Estimate(value, None, int(values.size), said)
    return Estimate(value, interval, int(values.size))


def _gap(definition: Definition, one: _Setting, q: float) -> Figure:
    gaps, owner = np.asarray(one.measured.gaps.values), np.asarray(one.measured.gaps.owner)
    if gaps.size == 0:
        return absent(definition, one.candidate, "undefined", "no request had two content events", one.labels)
    value = float(np.quantile(gaps, q, method="inverted_cdf"))
    interval: Interval | None = clustered_quantile_interval(owner, gaps, q)
    found = Estimate(value, interval, len(np.unique(owner)))
    return figure(definition, one.candidate, one.measured.client.noted(found), one.labels)


def _part(one: _Setting, part: str, times: Values) -> Figure:
    """A request that skipped a stage spent no time in it."""
    told = np.asarray(one.measured.parts[REST].owner, np.int64)
    spent = np.zeros(one.measured.requests)
    spent[np.asarray(times.owner, np.int64)] = times.values
    mean = float(spent[told].mean())
    _, groups = np.unique(one.together[told], return_inverse=True)
    moved = np.bincount(groups, spent[told] - mean)
    found = Estimate(mean, t_interval((mean + moved * moved.size / told.size).tolist()), told.size)
    return figure(TTFT_PART, one.candidate, found, {**one.labels, "stage": part})


def _failures(measured: Measured) -> Estimate:
    failed = np.zeros(measured.requests, bool)
    failed[np.asarray(measured.lost, np.int64)] = True
    interval = share_in_order(failed[measured.in_order].tolist())
    return Estimate(measured.failed / measured.requests, interval, measured.requests)


def _rate(definition: Definition, one: _Setting, amounts: Sequence[float]) -> Figure:
    """amounts: of each request; nan where it finished and nobody knows."""
    measured = one.measured
    if np.isnan(np.asarray(amounts)).any():
        return absent(definition, one.candidate, "undefined", "the engine did not count tokens", one.labels)
    try:
        found = estimate(rates(one.load, measured.block, measured.due_ms, measured.end_ms, amounts))
    except Undefined as error:
        return absent(definition, one.candidate, "undefined", error.reason, one.labels)
    return figure(definition, one.candidate, measured.client.noted(found), one.labels)
