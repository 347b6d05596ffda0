"""`fourways mock`: a server that answers by the clock."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from fourways.core.durations import milliseconds
from fourways.core.errors import UserError

if TYPE_CHECKING:
    from fourways.load.mock import MockSettings, Tally
    from fourways.load.mock.settings import Billing, Jitter

EXAMPLES = """
Examples:

fourways mock

fourways mock --ttft 250ms --gap 20ms --jitter lognormal:0.3 --slots 8

fourways mock --stall 10s:2s --errors 0.02:503,429 --breaks 0.01 --log served.jsonl

fourways mock --slow-start 20:3 --family qwen2.5-vl --adapter invoices --adapter receipts

Then, for example: fourways load http://127.0.0.1:8000/v1. Ctrl-C ends it and prints what was done. What it promises,
what is in the log, and its use in pytest: docs/mock.md. Times are written as 250ms or 0.25s.
"""
_JITTER = "none, uniform:SPREAD (within 1 ± SPREAD) or lognormal:SPREAD (standard deviation); the mean stays."
_ERRORS = "RATE or RATE:STATUS,… : share of requests refused on arrival, and with what."
_BREAKS = "Share of replies whose connection is cut on the way."
_SLOTS = "Replies in service at once; the others wait, first come, first served."
_SLOW = "FIRST:FACTOR: the first so many requests (20:3), or those of the first time (5s:3), take FACTOR times as long."
_TTFT = "From the start of service to the first token: 250ms, 0.25s; a bare number is in ms."
_GAP = "From token to token, written like --ttft."
_STALL = "AT:FOR after the first chat request (10s:500ms; bare numbers in s), the whole server is silent; repeatable."
_FAMILY = "Bill pictures as this family does: qwen2.5-vl, qwen3-vl, llava-next, internvl."
_LOG = "Append what was sent when, one JSON line a request."
_ADAPTER = "A further served name, as of a LoRA adapter. May be repeated."


def mock(
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="0.0.0.0 lets other machines in.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="0 takes a free one.")] = 8000,
    ttft: Annotated[str, typer.Option(metavar="TIME", help=_TTFT)] = "100ms",
    gap: Annotated[str, typer.Option(metavar="TIME", help=_GAP)] = "10ms",
    tokens: Annotated[int, typer.Option(metavar="N", help="A reply's length, where the request does not say.")] = 64,
    jitter: Annotated[str, typer.Option(metavar="NAME:SPREAD", help=_JITTER)] = "none",
    errors: Annotated[str, typer.Option(metavar="RATE:STATUS,…", help=_ERRORS)] = "0",
    breaks: Annotated[float, typer.Option(metavar="RATE", help=_BREAKS)] = 0.0,
    slots: Annotated[int | None, typer.Option(metavar="N", help=_SLOTS)] = None,
    slow_start: Annotated[str, typer.Option(metavar="FIRST:FACTOR", help=_SLOW)] = "0:1",
    stall: Annotated[list[str] | None, typer.Option(metavar="AT:FOR", help=_STALL)] = None,
    model: Annotated[str, typer.Option(metavar="NAME", help="The served name.")] = "mock",
    adapter: Annotated[list[str] | None, typer.Option(metavar="NAME", help=_ADAPTER)] = None,
    family: Annotated[str | None, typer.Option(metavar="NAME", help=_FAMILY)] = None,
    image_tokens: Annotated[int, typer.Option(metavar="N", help="Bill of a picture, without --family.")] = 256,
    seed: Annotated[int, typer.Option(metavar="N", help="Same seed, same fate of the n-th request.")] = 0,
    log: Annotated[Path | None, typer.Option(metavar="FILE", help=_LOG)] = None,
) -> None:
    """Stand in for an inference server: answer the OpenAI chat API by the clock, and say what was sent when.

    Deterministic, for tests, for measuring load clients and proxies. Its words mean nothing.
    """
    from fourways.cli.terminal import notes, results
    from fourways.load.mock import MockSettings, serve

    kind, spread = _jitter(jitter)
    error_rate, statuses = _errors(errors)
    slow_requests, slow_s, slow_factor = _slow_start(slow_start)
    settings = MockSettings(
        model=model,
        adapters=tuple(adapter or ()),
        ttft_ms=_time_ms("--ttft", ttft, "ms"),
        gap_ms=_time_ms("--gap", gap, "ms"),
        tokens=tokens,
        jitter=kind,
        spread=spread,
        error_rate=error_rate,
        error_statuses=statuses,
        break_rate=breaks,
        slots=slots,
        slow_requests=slow_requests,
        slow_s=slow_s,
        slow_factor=slow_factor,
        stalls=tuple(_stall(word) for word in stall or ()),
        seed=seed,
        billing=_billing(family),
        image_tokens=image_tokens,
    )
    told = notes()

    def ready(url: str) -> None:
        told.print(f"{url}/v1 serves {', '.join(settings.names)}: {_about(settings)}", soft_wrap=True, highlight=False)

    tally = asyncio.run(serve(settings, host=host, port=port, log=log, ready=ready))
    results().print(_summary(tally), highlight=False)


def _about(settings: MockSettings) -> str:
    """The settings in one line, with the capacity that follows from them."""
    whole_s = (settings.ttft_ms + settings.gap_ms * (settings.tokens - 1)) / 1e3
    text = f"ttft {settings.ttft_ms:g} ms, gap {settings.gap_ms:g} ms, {settings.tokens} tokens"
    if settings.slots is None or not whole_s:
        return text
    return f"{text}; {settings.slots} slots, so {settings.slots / whole_s:.4g} such requests/s at most"


def _summary(tally: Tally) -> str:
    counts = {"refused": tally.refused, "broken off": tally.broken, "left by the client": tally.left,
              "unfinished at the end": tally.stopped}  # fmt: skip
    lost = [f"{count} {word}" for word, count in counts.items() if count]
    text = f"{tally.requests} requests" + (f" ({', '.join(lost)})" if lost else "")
    if not tally.sends:
        return f"{text}, nothing sent"
    mean_ms, worst_ms = tally.sum_late_ns / tally.sends / 1e6, tally.worst_late_ns / 1e6
    return f"{text}, {tally.sends} sends: {mean_ms:.3f} ms after their deadlines in the mean, {worst_ms:.3f} at worst"


def _jitter(word: str) -> tuple[Jitter, float]:
    name, _, spread = word.partition(":")
    known: dict[str, Jitter] = {"none": "none", "uniform": "uniform", "lognormal": "lognormal"}
    if name not in known or (name == "none") == bool(spread):
        raise UserError(f"--jitter {word!r} cannot be read", hint="none, uniform:0.2 or lognormal:0.3")
    return known[name], _number("--jitter", spread or "0")


def _errors(word: str) -> tuple[float, tuple[int, ...]]:
    rate, _, statuses = word.partition(":")
    codes = [_count("--errors", code) for code in statuses.split(",")] if statuses else [500]
    return _number("--errors", rate), tuple(codes)


def _slow_start(word: str) -> tuple[int, float, float]:
    """(requests, seconds, factor)."""
    first, _, factor = word.partition(":")
    times = _number("--slow-start", factor or "1")
    if first.endswith("s"):
        return 0, _time_ms("--slow-start", first, None) / 1e3, times
    return _count("--slow-start", first), 0.0, times


def _stall(word: str) -> tuple[float, float]:
    """(at, for) in seconds."""
    first, _, second = word.partition(":")
    return _time_ms("--stall", first, "s") / 1e3, _time_ms("--stall", second, "s") / 1e3


def _time_ms(option: str, word: str, bare: Literal["ms", "s"] | None) -> float:
    try:
        return milliseconds(word, bare=bare)
    except ValueError:
        raise UserError(f"{option}: {word!r} is no time", hint="for example 250ms or 0.25s") from None


def _count(option: str, word: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise UserError(f"{option}: {word!r} is no whole number", hint="fourways mock --help shows the forms") from None


def _number(option: str, word: str) -> float:
    try:
        return float(word)
    except ValueError:
        raise UserError(f"{option}: {word!r} is no number", hint="fourways mock --help shows the forms") from None


def _billing(family: str | None) -> Billing:
    known: dict[str | None, Billing] = {
        None: "fixed",
        "qwen2.5-vl": "qwen2.5-vl",
        "qwen3-vl": "qwen3-vl",
        "llava-next": "llava-next",
        "internvl": "internvl",
    }
    if family not in known:
        raise UserError(f"--family {family!r} is not known", hint=f"one of {', '.join(one for one in known if one)}")
    return known[family]
