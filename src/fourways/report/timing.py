"""The latency section: how the times are spread, setting by setting, and where they go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from fourways.core.events import STAGES
from fourways.figures.requests import Setting
from fourways.report.bars import Stack, stacks
from fourways.report.charts import Curve, curves, ecdf, thin, x_from, y_frame
from fourways.report.facts import Timings
from fourways.report.markup import Html, join, tag
from fourways.report.numbers import scale_for
from fourways.report.plot import Linear, Scale, panels

CACHES = {"cold": "cold cache", "warm": "warm cache", "mixed": "cache as repeats made it"}


def distributions(
    timings: Mapping[Setting, Mapping[str, Timings]], names: Sequence[str], terms: Mapping[str, Html]
) -> Html:
    """Empirical distributions of e2e and ttft: a panel for each setting, all panels of one quantity to one scale.
    terms: e2e and ttft as links to their definitions, where the page has them."""
    parts = []
    for what in ("e2e", "ttft"):
        pooled = [v for by_name in timings.values() for t in by_name.values() for v in _values(t, what)]
        x = x_from(pooled)
        parts.append(
            panels(
                *(_panel(what, terms, setting, timings[setting], names, x) for setting in in_order(timings)),
                kind="pairs",
            )
        )
    return join(parts)


def stage_times(timings: Mapping[Setting, Mapping[str, Timings]], names: Sequence[str]) -> Html:
    """Mean time in each stage of a request, one panel a setting; a stage that an engine cannot see is not there."""
    means = {
        setting: {name: _means(by_name[name]) for name in names if name in by_name and by_name[name].stages}
        for setting, by_name in ((one, timings[one]) for one in in_order(timings))
    }
    largest = max((sum(m.values()) for by_name in means.values() for m in by_name.values()), default=0.0)
    if not largest:
        return tag("p", "No engine of this run reports its stages.")
    drawn = [
        stacks(
            f"Mean time by stage, {words(setting)}",
            [_stack(name, by_stage) for name, by_stage in by_name.items()],
            about="; ".join(f"{name}: {_spoken(m)}" for name, m in by_name.items()),
            largest=largest,
        )
        for setting, by_name in means.items()
        if by_name
    ]
    return panels(*drawn, kind="pairs")


def stage_legend(timings: Mapping[Setting, Mapping[str, Timings]]) -> Html:
    """Which shade is which stage."""
    seen = {stage for by_name in timings.values() for t in by_name.values() for stage in t.stages}
    return shade_legend([(i, stage.replace("_", " ")) for i, stage in enumerate(STAGES) if stage in seen])


def shade_legend(entries: Sequence[tuple[int, str]]) -> Html:
    """Blocks of colour with their names."""
    items = [
        tag(
            "li",
            tag("svg", tag("rect", width=14, height=14, class_=f"shade{i}"), class_="block", aria_hidden="true"),
            name,
        )
        for i, name in entries
    ]
    return tag("ul", *items, class_="legend")


def in_order(settings: Iterable[Setting]) -> list[Setting]:
    return sorted(settings, key=lambda setting: setting.place)


def words(setting: Setting) -> str:
    load = setting.load
    sent = load.label if load.concurrency is None else f"concurrency {load.concurrency}"
    return f"{sent}, {CACHES.get(setting.cache, setting.cache)}"


def _values(timings: Timings, what: str) -> list[float]:
    return timings.e2e if what == "e2e" else timings.ttft


def _panel(
    what: str,
    terms: Mapping[str, Html],
    setting: Setting,
    by_name: Mapping[str, Timings],
    names: Sequence[str],
    x: Scale,
) -> Html:
    content, said = [], []
    for i, name in enumerate(names):
        values = _values(by_name[name], what) if name in by_name else []
        if not values:
            continue
        failed = by_name[name].failed
        content.append(Curve(i, thin(ecdf(values, failed))))
        middle = sorted(values)[(len(values) - 1) // 2]
        said.append(
            f"{name}: of those that finished, half within {middle:.0f} ms, all within {max(values):.0f} ms; "
            f"n = {len(values) + failed}, {failed} failed"
        )
    y = Linear(0.0, 1.0, *y_frame())
    title = join([terms.get(what, what), f", {words(setting)}"])
    return curves(title, content, x=x, y=y, x_label=f"{what} (ms); share of requests up to it", about="; ".join(said))


def _means(timings: Timings) -> dict[str, float]:
    answered = max(1, timings.requests - timings.failed)
    return {stage: total / answered for stage, total in timings.stages.items()}


def _stack(name: str, by_stage: Mapping[str, float]) -> Stack:
    total = sum(by_stage.values())
    segments = [(i, by_stage[stage]) for i, stage in enumerate(STAGES) if by_stage.get(stage)]
    return Stack(name, scale_for("ms", total).full(total), segments)


def _spoken(by_stage: Mapping[str, float]) -> str:
    return ", ".join(f"{stage} {value:.1f} ms" for stage, value in by_stage.items())
