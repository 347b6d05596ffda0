"""A load run: how well an SLO is kept, how many answers a second keep it, the greatest load that does, and the cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from fourways.core.errors import Undefined
from fourways.core.figure import Figure
from fourways.core.objective import Objective
from fourways.core.rows import ClientRow, ProbeRow, RequestRow, TermsRow
from fourways.figures import knee, restarts
from fourways.figures.capacity import CAPACITIES, capacity_figures
from fourways.figures.client import Client
from fourways.figures.definition import Definition, Estimate, absent, figure
from fourways.figures.due import OVER_BLOCKS, WINDOW, Request, a_second, estimate
from fourways.figures.requests import Setting
from fourways.stats import Interval, share_in_order

ATTAINMENT = Definition(
    "slo_attainment", "latency", "fraction", "higher", "requests",
    "requests that keep every time limit of the SLO and did not fail / requests",
    "exact binomial at the effective size, from batches of requests in the order in which they were due",
)  # fmt: skip
OBJECTIVE = Definition(
    "slo_objective", "latency", "fraction", "higher", "requests",
    "requests that keep one objective / requests; `needed` is what the SLO asks", ATTAINMENT.interval,
)  # fmt: skip
GOODPUT = Definition(
    "goodput", "latency", "requests/s", "higher", "blocks",
    f"mean over blocks of requests that keep every limit of the SLO, a second; {WINDOW}", OVER_BLOCKS, version=2,
)  # fmt: skip
COST = Definition(
    "cost_per_1000", "latency", "per 1,000 answers", "lower", "blocks",
    "1,000 × price an hour / (3,600 × answers a second): of a machine that serves this load and nothing else",
    "the ends of Student's t over blocks of answers a second, turned into cost",
    version=2,
)  # fmt: skip
DEFINITIONS = (ATTAINMENT, OBJECTIVE, GOODPUT, COST, *CAPACITIES, *knee.DEFINITIONS, *restarts.DEFINITIONS)


Requests = Mapping[Setting, Sequence[Request]]


@dataclass(slots=True)
class LoadFigures:
    """Collects; `figures` computes. A run without terms is no load run and gets none of these."""

    _terms: dict[str, TermsRow] = field(default_factory=dict)
    _probes: dict[str, list[ProbeRow]] = field(default_factory=lambda: defaultdict(list))
    _found: dict[str, dict[Setting, list[Request]]] = field(default_factory=dict)
    _clients: dict[tuple[str, Setting], Client] = field(default_factory=lambda: defaultdict(Client))

    def add_terms(self, row: TermsRow) -> None:
        self._terms[row.candidate] = row

    def add_probe(self, row: ProbeRow) -> None:
        self._probes[row.candidate].append(row)

    def add_client(self, row: ClientRow) -> None:
        self._clients[row.candidate, Setting(row.workload, row.load, row.cache)].add(row)

    def add_request(self, row: RequestRow) -> None:
        setting = Setting(row.workload, row.load, row.cache)
        self._found.setdefault(row.candidate, {}).setdefault(setting, []).append(
            Request(
                row.block, row.restart, row.scheduled_ms, row.ttft_ms, row.e2e_ms, row.tpot_ms, row.error is not None
            )
        )

    def figures(self) -> Iterator[Figure]:
        ordered: dict[str, dict[Setting, list[Request]]] = {}
        for name in self._terms:
            settings = sorted(self._found.get(name, {}).items(), key=lambda found: found[0].place)
            ordered[name] = {setting: sorted(requests, key=Request.place) for setting, requests in settings}
        for name, terms in self._terms.items():
            for setting, requests in ordered[name].items():
                client = self._clients[name, setting]
                yield from _of_slo(name, setting, requests, terms.objectives, client)
                yield from _cost(name, setting, requests, terms, client)
            yield from capacity_figures(name, self._probes[name], terms.objectives)
            if not self._probes[name]:
                yield from knee.figures(name, ordered[name])
        yield from restarts.figures(ordered, {name: terms.runs for name, terms in self._terms.items()})


def _of_slo(
    name: str, setting: Setting, requests: Sequence[Request], objectives: Sequence[Objective], client: Client
) -> Iterator[Figure]:
    if not objectives:
        return
    labels = {**setting.labels, "slo": ",".join(one.label for one in objectives)}
    kept = [all(request.keeps(one) for one in objectives) for request in requests]
    yield figure(ATTAINMENT, name, client.noted(_share(kept)), labels)
    for one in objectives:
        said = {**setting.labels, "objective": one.label, "needed": f"{1 - one.allowed:g}"}
        yield figure(OBJECTIVE, name, client.noted(_share([r.keeps(one) for r in requests])), said)
    try:
        good = estimate(a_second(setting.load, requests, kept))
    except Undefined as error:
        yield absent(GOODPUT, name, "undefined", error.reason, labels)
        return
    yield figure(GOODPUT, name, client.noted(good), labels)


def _share(kept: Sequence[bool]) -> Estimate:
    """Of requests in order. The interval is that of the missing ones, turned round: they are what comes in clumps."""
    missed = share_in_order([not one for one in kept])
    interval = None if missed is None else Interval(1 - missed.high, 1 - missed.low)
    return Estimate(float(np.mean(kept)), interval, len(kept))


def _cost(
    name: str, setting: Setting, requests: Sequence[Request], terms: TermsRow, client: Client
) -> Iterator[Figure]:
    if terms.price_per_hour is None:
        return
    labels = {**setting.labels, "price an hour": f"{terms.price_per_hour:g} {terms.currency}".strip()}
    try:
        answered = estimate(a_second(setting.load, requests, [not request.failed for request in requests]))
    except Undefined as error:
        yield absent(COST, name, "undefined", error.reason, labels)
        return
    if answered.value == 0:
        yield absent(COST, name, "failed", "nothing was answered", labels, n=answered.n)
        return
    cost, interval = 1000 * terms.price_per_hour / 3600, answered.interval
    ends = Interval(cost / interval.high, cost / interval.low) if interval is not None and interval.low > 0 else None
    yield figure(COST, name, client.noted(Estimate(cost / answered.value, ends, answered.n)), labels)
