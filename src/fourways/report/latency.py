"""The latency section: how long requests took, what the first token waited for, and how far from the limit that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fourways import figures
from fourways.core.figure import Figure
from fourways.figures.requests import Setting
from fourways.report import timing, waiting
from fourways.report.accuracy import every
from fourways.report.facts import Facts, Timings
from fourways.report.markup import Html, join, tag
from fourways.report.material import Material
from fourways.report.numbers import show
from fourways.report.plot import legend
from fourways.report.tables import cell, defined, stacked

_TIMES = (
    "How the times of single requests are spread: at each time, the share of requests that took no longer. "
    "Further left is better. e2e and ttft count from the scheduled send. A curve that ends below 1 had requests that "
    "failed."
)
_OF_A_SEARCH = "Of the search's probes only those at the loads that it set out to confirm are drawn."
_LIMIT = (
    "What each phase must do at least, the operations of its matrices and the bytes it has to move, set against the "
    "fastest that this machine was seen to multiply and to copy. A share far below 100 % is time that the hardware did "
    "not need: a small model spends most of it in starting operations."
)


def section(m: Material) -> Html | None:
    """None where the axis was not run."""
    found, facts, names = m.of_axis("latency"), m.facts, m.names
    if not found:
        return None
    if not facts.timings:
        return every("latency", found, names)
    timings = _timings(facts)
    told = [f for f in found if any(one.labels.items() <= f.labels.items() for one in timings)]
    medians = {f.metric.removesuffix("_p50"): f.definition for f in found if f.metric in ("e2e_p50", "ttft_p50")}
    terms = {name: defined(name, definition, figures.TEXTS) for name, definition in medians.items()}
    return join(
        [
            _client(found),
            tag("p", _TIMES),
            tag("p", _OF_A_SEARCH) if facts.probes else None,
            legend(names),
            timing.distributions(timings, names, terms),
            *waiting.parts(told, names),
            tag("h3", "Where the whole time goes"),
            timing.stage_legend(timings),
            timing.stage_times(timings, names),
            *_limits(found, names),
            every("latency", found, names),
        ]
    )


def _timings(facts: Facts) -> Mapping[Setting, Mapping[str, Timings]]:
    """By setting; of a search only those that it set out to confirm, since its probes are many."""
    confirmed = {
        Setting(probe.workload, probe.load, probe.cache)
        for probes in facts.probes.values()
        for probe in probes
        if probe.purpose == "confirm"
    }
    return {one: by_name for one, by_name in facts.timings.items() if one in confirmed or not facts.probes}


def _client(found: Sequence[Figure]) -> Html | None:
    """A warning where the client, and not the engine, may have set the times."""
    bound = [f for f in found if f.metric == "e2e_p50" and f.reason is not None and "client-bound" in f.reason]
    if not bound:
        return None
    return tag(
        "div",
        tag("p", "The load client did not keep up; these times are upper bounds of the engine's own:"),
        tag("ul", *(tag("li", f"{f.candidate}, {_sent(f)}: {f.reason}") for f in bound)),
        class_="caveats",
    )


def _sent(f: Figure) -> str:
    load = f.labels.get("load") or f"concurrency {f.labels.get('concurrency', '')}"
    return ", ".join((f.labels.get("workload", ""), load, timing.CACHES.get(f.labels.get("cache", ""), "")))


def _limits(found: Sequence[Figure], names: Sequence[str]) -> list[Html]:
    """For each phase the least time, the share that was reached, and what limits it."""
    shares = {(f.candidate, f.labels["stage"]): f for f in found if f.metric == "roofline_share"}
    if not shares:
        return []
    limits = {(f.candidate, f.labels["stage"]): f for f in found if f.metric == "roofline_limit"}
    rows = [
        (
            name,
            stage.replace("_", " "),
            cell(show(limits.get((name, stage)))),
            cell(show(share)),
            share.reason if share.status == "ok" else "",
        )
        for name in names
        for (candidate, stage), share in shares.items()
        if candidate == name
    ]
    definition = next(iter(shares.values())).definition
    return [
        tag("h3", defined("Share of the physical limit", definition, figures.TEXTS)),
        tag("p", _LIMIT),
        stacked("Share of the physical limit", ("candidate", "phase", "#least time", "#share reached", "why"), rows),
    ]
