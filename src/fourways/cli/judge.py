"""`fourways judge`: a second reading of replies that no rule could read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fourways.cli.terminal import notes, results

EXAMPLES = """
Examples:

fourways judge runs/2026-11-22T10-04-05Z-qwen-llava-internvl http://localhost:8000/v1

fourways judge runs/2026-11-22T10-04-05Z-qwen-llava-internvl judge.yaml

The file names one server as `fourways compare` takes it: url, served_model, api_key_env.
"""


def judge(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a finished run.")],
    server: Annotated[str, typer.Argument(metavar="URL|FILE.yaml", help="The judge, an OpenAI-compatible server.")],
) -> None:
    """Let a model read the replies that the official rules could not.

    The official figures stay as they are. Figures with the judge's readings stand beside them, under its name.
    """
    from fourways.compare import Defaults, judge_run, parse_candidates, show_on
    from fourways.core.errors import UserError

    word = server if server.endswith((".yaml", ".yml")) or "=" in server.partition("://")[0] else f"judge={server}"
    found = parse_candidates([word], Defaults())
    if len(found) != 1:
        raise UserError(f"{server} names {len(found)} candidates, and a run has one judge at a time")
    show = show_on(notes())
    try:
        reading = judge_run(run, found[0], show)
    finally:
        show.close()
    console = results()
    console.print(f"{reading.asked} replies judged: {reading.read} read, {reading.unread} not read", highlight=False)
    console.print(f"report: {reading.report}", soft_wrap=True, highlight=False)
