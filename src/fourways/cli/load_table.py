"""The tables and sentences that `fourways load` ends with, from its figures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from fourways.core.figure import Figure
from fourways.core.plain_text import clean

_COLUMNS = {
    "ttft_p50": "ttft p50",
    "ttft_p95": "ttft p95",
    "ttft_p99": "ttft p99",
    "tpot_p50": "tpot p50",
    "e2e_p50": "e2e p50",
    "e2e_p95": "e2e p95",
    "requests_per_s": "answers",
    "failure_rate": "failed",
    "slo_attainment": "keeps SLO",
    "goodput": "goodput",
    "cost_per_1000": "cost/1,000",
}
_PER_CENT = ("failure_rate", "slo_attainment")
_CAPACITIES = ("capacity", "capacity_concurrency")
_ALONE = (*_CAPACITIES, "knee", "knee_concurrency")
_DIFFERENCES = ("ttft_run_difference", "e2e_run_difference", "tpot_run_difference")


def tables(figures: Sequence[Figure]) -> Iterator[Table]:
    """One row a candidate and load: values, and their 95 % intervals below."""
    cells: dict[tuple[str, str], dict[str, Figure]] = {}
    for figure in figures:
        if figure.axis == "latency" and figure.metric in _COLUMNS and "stage" not in figure.labels:
            load = _load_of(figure)
            if {"load", "concurrency"} & figure.labels.keys():
                cells.setdefault((figure.candidate, load), {})[figure.metric] = figure
    if not cells:
        return
    shown = [metric for metric in _COLUMNS if any(metric in row for row in cells.values())]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), caption=_CAPTION)
    table.caption_justify = "left"
    table.add_column("candidate", overflow="fold", min_width=9)
    table.add_column("load", overflow="fold", min_width=14)
    for metric in shown:
        table.add_column(_head(metric, cells.values()), justify="right")
    for (candidate, load), row in cells.items():
        table.add_row(clean(candidate), clean(load), *(_cell(row.get(metric)) for metric in shown))
    yield table


def _head(metric: str, rows: Iterable[Mapping[str, Figure]]) -> str:
    """With the currency, where there is one."""
    prices = {row[metric].labels.get("price an hour", "").partition(" ")[2] for row in rows if metric in row}
    currency = next(iter(prices)) if len(prices) == 1 else ""
    return clean(f"{_COLUMNS[metric]} {currency}".rstrip())


_CAPTION = (
    "times in ms from the scheduled send; answers, goodput: a second; [95 % interval]; “few”: n too small for one"
)


def verdicts(figures: Sequence[Figure]) -> Iterator[str]:
    """Capacity, knee, A/B, and where the client could not keep up; a line each."""
    for figure in figures:
        if figure.metric in _ALONE:
            yield f"{figure.candidate}: {_alone(figure)}"
    for figure in figures:
        if figure.metric in _DIFFERENCES:
            yield f"{figure.candidate} − {figure.labels['versus']}: {_difference(figure)}"
    bound = dict.fromkeys(_bound(figures))
    for candidate, reason in bound:
        yield f"CLIENT-BOUND: {candidate}: {reason}. These times may be the client's, not the server's."


def objectives(figures: Sequence[Figure]) -> Iterator[str]:
    """What was asked for and whether it was met, a line each candidate, load and objective; none of a search, whose
    capacity says it."""
    if any(figure.metric in _CAPACITIES for figure in figures):
        return
    times = {(f.candidate, _load_of(f), f.metric): f.value for f in figures if f.metric.partition("_p")[2]}
    for figure in figures:
        if figure.metric == "slo_objective":
            metric, _, limit = figure.labels["objective"].partition("=")
            value = times.get((figure.candidate, _load_of(figure), metric))
            word = "missed" if _is_missed(figure) else "met"
            said = _against(figure, metric, limit, value)
            yield f"SLO {word}: {figure.candidate} at {_load_of(figure)}: {said}"


def _against(figure: Figure, metric: str, limit: str, value: float | None) -> str:
    """value: of the percentile, in ms. Failed requests miss every limit, and are in no percentile: where the two do not
    agree, or there is none, the shares alone say it."""
    kept, needed = figure.value, float(figure.labels["needed"])
    if kept is None:
        return f"{metric}={limit}: {figure.reason or 'no request ended'}"
    missed = _is_missed(figure)
    if metric == "failures":
        return f"failures {100 * (1 - kept):.3g} % {'>' if missed else '≤'} {limit.removesuffix('%')} %"
    shares = f"{100 * kept:.3g} % of requests keep {limit.removesuffix('ms')} ms, {100 * needed:g} % must"
    if value is None or (value > float(limit.removesuffix("ms"))) != missed:
        return f"{metric}: {shares}"
    return f"{metric} {_number(value)} ms {'>' if missed else '≤'} {limit.removesuffix('ms')} ms ({shares})"


def _is_missed(figure: Figure) -> bool:
    return (figure.value or 0.0) < float(figure.labels["needed"])


def missed(figures: Iterable[Figure]) -> bool:
    """Whether an SLO was not met: by the observed shares at a load that was asked for, or at every load of a search."""
    found = list(figures)
    searched = [f for f in found if f.metric in _CAPACITIES]
    if searched:
        return any(f.value is None for f in searched)
    return any(_is_missed(f) for f in found if f.metric == "slo_objective")


def _load_of(figure: Figure) -> str:
    return figure.labels.get("load") or f"closed {figure.labels.get('concurrency', '')}"


def _cell(figure: Figure | None) -> Text:
    if figure is None or figure.value is None:
        return Text("–", style="dim")
    scale = 100 if figure.metric in _PER_CENT else 1
    unit = " %" if figure.metric in _PER_CENT else ""
    cell = Text(f"{_number(scale * figure.value)}{unit}")
    if figure.low is not None and figure.high is not None:
        cell.append(f"\n[{_number(scale * figure.low)}, {_number(scale * figure.high)}]", style="dim")
    else:
        cell.append("\nfew", style="dim")
    return cell


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _alone(figure: Figure) -> str:
    name = {"capacity": "capacity", "capacity_concurrency": "capacity", "knee": "knee"}.get(figure.metric, "knee")
    of = f" ({figure.labels['arrivals']} arrivals, {figure.labels['slo']})" if "slo" in figure.labels else ""
    if figure.value is None:
        return f"{name}{of}: none: {figure.reason}"
    unit = "requests/s" if figure.unit == "requests/s" else "requests at a time"
    interval = "" if figure.low is None or figure.high is None else f" [{figure.low:.4g}, {figure.high:.4g}]"
    reason = f"; {figure.reason}" if figure.reason else ""
    return f"{name}{of}: {figure.value:.4g} {unit}{interval}, n = {figure.n} {figure.n_unit}{reason}"


def _difference(figure: Figure) -> str:
    time = figure.metric.partition("_")[0]
    load = _load_of(figure)
    value = "" if figure.value is None else f"{figure.value:+.3g} ms "
    interval = "" if figure.low is None or figure.high is None else f"[{figure.low:+.3g}, {figure.high:+.3g}] "
    return f"{time} p50, {load}: {value}{interval}{figure.labels.get('verdict') or figure.reason or ''}".rstrip()


def _bound(figures: Iterable[Figure]) -> Iterator[tuple[str, str]]:
    for figure in figures:
        if figure.reason and "client-bound" in figure.reason and figure.metric in _COLUMNS:
            load = _load_of(figure)
            yield figure.candidate, f"{load}: {figure.reason.partition('client-bound ')[2] or figure.reason}"
