"""What `fourways load` was told, and the job that it means.

All words are checked before what runs models is imported, which takes seconds."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fourways.cli.choices import DTYPES, WEIGHTS, choice
from fourways.core.errors import UserError
from fourways.core.load import Arrivals, Load
from fourways.load.slo import parse_slo

if TYPE_CHECKING:
    from fourways.compare.loading import LoadJob

_ARRIVALS: dict[str, Arrivals] = {"poisson": "poisson", "constant": "constant"}
_PRICE = re.compile(r"\s*([^\d\s.-]*)\s*(\d+(?:\.\d+)?)\s*(.*?)\s*")
_LOADS = ("concurrency", "rate", "ramp", "replay")
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options by their names. given: those that stood on the command line."""

    targets: list[str]
    concurrency: str | None
    rate: str | None
    arrivals: str
    ramp: str | None
    replay: Path | None
    workload: str
    requests: int | None
    duration: float | None
    warm_up: int
    blocks: int | None
    restarts: int
    slo: str | None
    search: str | None
    price_per_hour: str | None
    device: str
    dtype: str
    weights: str
    seed: int
    out: Path | None
    given: frozenset[str]


def load_job(options: LoadOptions, argv: tuple[str, ...]) -> LoadJob:
    """Raises UserError naming the option, the word or the file."""
    dtype, weights = choice("--dtype", options.dtype, DTYPES), choice("--weights", options.weights, WEIGHTS)
    objectives = () if options.slo is None else parse_slo(options.slo)
    sought = _sought(options)
    loads = () if sought is not None else _loads(options)
    workload = _workload(options)
    price = None if options.price_per_hour is None else _price(options.price_per_hour)

    from fourways.compare import Defaults, parse_candidates
    from fourways.compare.loading import LoadJob, Price, Seek
    from fourways.compare.loading.job import LONGEST_S

    seek = None if sought is None else Seek(sought, options.duration or LONGEST_S)
    return LoadJob(
        candidates=parse_candidates(options.targets, Defaults(options.device, dtype, weights)),
        workload=workload,
        loads=loads,
        requests=options.requests,
        duration_s=None if seek is not None else options.duration,
        warm_up=options.warm_up,
        split=options.blocks,
        restarts=options.restarts,
        objectives=objectives,
        seek=seek,
        price=None if price is None else Price(*price),
        seed=options.seed,
        out=options.out,
        argv=argv,
    )


def _price(text: str) -> tuple[float, str]:
    """`2.50 EUR`, `$2.50`, `2.5` → amount and currency. Raises UserError."""
    found = _PRICE.fullmatch(text)
    if found is None or float(found[2]) <= 0:
        raise UserError(f"--price-per-hour {text!r} is no price", hint="for example: --price-per-hour '2.50 EUR'")
    return float(found[2]), f"{found[1]} {found[3]}".strip()


def _sought(options: LoadOptions) -> Arrivals | None:
    """The arrivals of a search; None where the loads are given."""
    loads = [name for name in _LOADS if getattr(options, name) is not None]
    if options.search is None and (options.slo is None or loads or options.restarts):
        return None
    word = options.search or "rate"
    if word not in ("rate", "concurrency"):
        raise UserError(f"--search {word!r} is not known", hint="one of rate, concurrency")
    if loads:
        raise UserError(f"--search finds the load itself: leave out --{loads[0]}")
    if options.slo is None:
        raise UserError("--search needs an SLO to search for", hint="for example: --slo ttft_p95=500ms")
    return "closed" if word == "concurrency" else choice("--arrivals", options.arrivals, _ARRIVALS)


def _loads(options: LoadOptions) -> tuple[Load, ...]:
    """Of one kind; empty where the workload says when its requests are due."""
    given = [name for name in _LOADS if getattr(options, name) is not None]
    if len(given) > 1:
        raise UserError(f"--{given[0]} and --{given[1]} exclude each other", hint="take one kind of load for a run")
    if "arrivals" in options.given and options.rate is None:
        raise UserError(
            "--arrivals belongs to --rate or to a search", hint="for example: --rate 20 --arrivals constant"
        )
    if options.concurrency is not None:
        numbers = _numbers("--concurrency", options.concurrency, int)
        return tuple(Load(concurrency=number) for number in numbers)
    if options.rate is not None:
        arrivals = choice("--arrivals", options.arrivals, _ARRIVALS)
        return tuple(Load(arrivals, rate_per_s=number) for number in _numbers("--rate", options.rate, float))
    if options.ramp is not None:
        return (_ramp(options.ramp),)
    return ()


def _workload(options: LoadOptions) -> str:
    if options.replay is None:
        return options.workload
    if "workload" in options.given:
        raise UserError(
            "--replay and --workload exclude each other",
            hint="a workload's file can name its trace (`trace: traffic.jsonl`), and is then replayed by itself",
        )
    return str(options.replay)


def _numbers(option: str, text: str, kind: Callable[[str], T]) -> list[T]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    try:
        numbers = [kind(word) for word in words]
    except ValueError:
        raise UserError(f"{option} {text!r} is no list of numbers", hint=f"for example: {option} 1,2,4,8") from None
    if not numbers:
        raise UserError(f"{option} names no load", hint=f"for example: {option} 1,2,4,8")
    if len(set(numbers)) < len(numbers):
        raise UserError(f"{option} names a load twice")
    return numbers


def _ramp(text: str) -> Load:
    first, _, last = text.partition(":")
    try:
        return Load("ramp", rate_per_s=float(last), from_rate_per_s=float(first))
    except ValueError:
        raise UserError(f"--ramp {text!r} is no ramp", hint="for example: --ramp 1:20") from None
