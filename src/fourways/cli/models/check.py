"""`fourways models check`: is a model well, and if not, what is wrong with it?"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.terminal import notes, results
from fourways.core.errors import UserError

if TYPE_CHECKING:
    from fourways.compare.health import Health, Limits, ModelHealth, Target
    from fourways.core.candidate import Candidate
    from fourways.core.health import Probe

EXAMPLES = """
Examples:

fourways models check zoo:qwen

fourways models check ./Qwen2.5-VL-7B-Instruct --device cuda --dtype bfloat16

fourways models check invoices-base --adapter ./invoices-lora

fourways models check --all --junit check.xml

fourways models check --url http://localhost:8000/v1 --model qwen --json > check.json

A model is slow, never broken, from 10 s to the first text or 200 ms a token; unanswered after --timeout. What each code
means, how it is seen and what cannot be seen: docs/check.md. Names are looked up in the registry that FOURWAYS_REGISTRY
names, else in your own.

Exit codes: 0 all well (suspect and slow are warnings); 1 something is broken or did not answer; 2 your mistake;
130 Ctrl-C.
"""
_ADAPTER = "Try this LoRA adapter too: a folder; with --url the name it is served under. May be repeated."
_TIMEOUT = "Of one request, from asking to its end: 120s, 500ms; a bare number is in s."
_KEY = "The environment variable that holds the server's key, if not OPENAI_API_KEY."
_MINUS = "-"


def check(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME]…", help="zoo:NAME, a registered name, a folder, org/name.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="The embedded models and all registered ones.")] = False,
    url: Annotated[str | None, typer.Option(metavar="URL", help="An OpenAI-compatible server.")] = None,
    model: Annotated[str | None, typer.Option(metavar="SERVED", help="The name that --url serves it by.")] = None,
    api_key_env: Annotated[str | None, typer.Option(metavar="NAME", help=_KEY)] = None,
    adapter: Annotated[list[str] | None, typer.Option(metavar="DIR", help=_ADAPTER)] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="cpu, cuda, cuda:1, …")] = "cpu",
    dtype: Annotated[str, typer.Option(metavar="NAME", help="float32, bfloat16 or float16.")] = "float32",
    timeout: Annotated[str, typer.Option(metavar="TIME", help=_TIMEOUT)] = "120s",
    slow_first: Annotated[str, typer.Option(metavar="TIME", help="Slow from here to the first text.")] = "10s",
    slow_token: Annotated[str, typer.Option(metavar="TIME", help="Slow from here a token.")] = "200ms",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (fourways.check/v1), not the table.")] = False,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write JUnit XML for CI besides.")] = None,
) -> None:
    """Check that models are whole, answer in the right form, and make sense; say what is wrong with those that do
    not."""
    timeout_ms, first_ms = _time_ms("--timeout", timeout), _time_ms("--slow-first", slow_first)
    token_ms = _time_ms("--slow-token", slow_token)
    if junit is not None and not junit.parent.is_dir():
        raise UserError(f"--junit: {junit.parent} is no folder")
    try:  # what runs models takes seconds to import
        candidates = _candidates(names or [], everything, url, model, api_key_env, device, dtype)
        limits, targets = _targets(candidates, adapter or (), timeout_ms, first_ms, token_ms)
    except KeyboardInterrupt:
        notes().print("stopped; nothing was checked yet", highlight=False)
        raise typer.Exit(130) from None
    health = _run(targets, limits, table=not as_json)
    if junit is not None:
        from fourways.compare import health as room
        from fourways.core.run_files import write_whole

        write_whole(junit, room.junit(health).encode())
    if as_json:
        import msgspec

        typer.echo(msgspec.json.format(msgspec.json.encode(health), indent=1).decode())
    if not health.passed:
        raise typer.Exit(1)


def _targets(
    candidates: Sequence[Candidate], adapters: Sequence[str], timeout_ms: float, first_ms: float, token_ms: float
) -> tuple[Limits, list[Target]]:
    """Raises UserError or CheckpointError."""
    if adapters and len(candidates) > 1:
        raise UserError("--adapter goes with one model or server", hint="check them one after the other")
    from fourways.compare.health import Limits, find_target

    return Limits(timeout_ms / 1000, first_ms, token_ms), [find_target(one, adapters) for one in candidates]


def _time_ms(option: str, text: str) -> float:
    """Raises UserError naming the option."""
    from fourways.core.durations import milliseconds

    try:
        value = milliseconds(text, bare="s")
    except ValueError as error:
        raise UserError(f"{option}: {error}", hint="for example 500ms or 10s") from None
    if not 0 < value < 1e9:
        raise UserError(f"{option}: {text!r} is out of range")
    return value


def _candidates(
    names: Sequence[str],
    everything: bool,
    url: str | None,
    model: str | None,
    api_key_env: str | None,
    device: str,
    dtype: str,
) -> list[Candidate]:
    """What the words name. Raises UserError."""
    from fourways.cli.choices import DTYPES, choice
    from fourways.core.candidate import Candidate

    chosen = choice("--dtype", dtype, DTYPES)
    if not names and not everything and url is None:
        raise UserError("nothing to check is named", hint="NAME…, --all, or --url URL; for example: zoo:qwen")
    if url is None and (stray := [o for o, v in (("--model", model), ("--api-key-env", api_key_env)) if v is not None]):
        raise UserError(f"{stray[0]} goes with --url")
    from fourways.compare import Defaults, parse_candidates
    from fourways.compare.health import all_names

    words = list(dict.fromkeys([*names, *(all_names() if everything else ())]))
    found = list(parse_candidates(words, Defaults(device, chosen)))
    if url is not None:
        (served,) = parse_candidates([url], Defaults())
        if served.url is None:
            raise UserError(f"--url: {url!r} is no URL", hint="for example: --url http://localhost:8000/v1")
        found.append(Candidate(served.name, url=url, served_model=model, device="", api_key_env=api_key_env))
    return found


def _run(targets: Sequence[Target], limits: Limits, *, table: bool) -> Health:
    """Prints each model's table when it is done. Ctrl-C: says which models were not checked, and exits with 130."""
    from fourways.compare.health import Check, unfinished

    console = notes()
    with console.status("checking") as status:

        def say(what: str) -> None:
            if console.is_terminal:
                status.update(what)

        def told(model: ModelHealth) -> None:
            if table:
                _print(model)
            else:
                console.print(f"{model.name}: {model.verdict}", soft_wrap=True, highlight=False)

        check = Check(targets, limits, say=say, told=told)
        try:
            health = asyncio.run(check.run())
        except KeyboardInterrupt:
            console.print(f"stopped; not checked: {', '.join(unfinished(check, targets))}", soft_wrap=True)
            if table and check.models:
                _print_summary(check.models)
            raise typer.Exit(130) from None
    if table and len(targets) > 1:
        _print_summary(health.models)
    return health


def _print_summary(models: Sequence[ModelHealth]) -> None:
    """How many are well, and the names of those that are not."""
    by: dict[str, list[str]] = {}
    for model in models:
        by.setdefault(model.verdict, []).append(model.name)
    well = len(by.pop("well", []))
    others = "".join(f"; {verdict}: {', '.join(names)}" for verdict, names in by.items())
    results().print(f"{len(models)} models: {well} well{others}", soft_wrap=True, highlight=False)


_STYLES = {"broken": "bold red", "unanswered": "bold red", "suspect": "yellow", "slow": "yellow"}


def _print(model: ModelHealth) -> None:
    from rich.table import Table

    table = Table(title=f"{model.name} ({model.target}): {model.verdict}", title_justify="left")
    for column in ("probe", "result", "ms", "seen"):
        table.add_column(column, justify="right" if column == "ms" else "left", overflow="fold")
    for probe in model.probes:
        ms = _MINUS if probe.ms is None else f"{probe.ms:,.0f}"
        table.add_row(probe.name, probe.status, ms, _seen(probe), style=_STYLES.get(probe.status))
    console = results()
    console.print(table)
    for found in model.findings:
        console.print(f"{found.grade}: {found.code}: {found.message}", soft_wrap=True, highlight=False)
        console.print(f"  hint: {found.hint}", soft_wrap=True, highlight=False)


def _seen(probe: Probe) -> str:
    """What is wrong before what was counted, where the probe's own words do not say it."""
    from fourways.compare.health import KINDS

    if not probe.findings or any(found.message.startswith(probe.detail) for found in probe.findings):
        return probe.detail
    titles = {kind.code: kind.title for kind in KINDS}
    wrong = dict.fromkeys(titles[found.code] for found in probe.findings)
    return f"{'; '.join(wrong)} ({probe.detail})"
