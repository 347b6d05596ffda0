"""`fourways`: the commands put together, and errors turned into lines and exit codes."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Annotated, NoReturn

import typer

import fourways
from fourways.cli import (
    compare,
    data,
    diff,
    env,
    evidence,
    export,
    gate,
    judge,
    load,
    memory,
    merge,
    mock,
    models,
    reproduce,
    score,
    sign,
    suite,
    verify,
)
from fourways.cli.closing import unbreak
from fourways.cli.terminal import err
from fourways.core.errors import FourwaysError

app = typer.Typer(
    name="fourways",
    help="Compare open vision-language models in accuracy, latency, memory and tunability, on your own hardware.",
    epilog="Start with: fourways compare",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("compare", epilog=compare.EXAMPLES)(compare.compare)
app.command("load", epilog=load.EXAMPLES)(load.load)
app.command("memory", epilog=memory.EXAMPLES)(memory.memory)
app.command("merge", epilog=merge.EXAMPLES)(merge.merge)
app.command("judge", epilog=judge.EXAMPLES)(judge.judge)
app.command("score", epilog=score.EXAMPLES)(score.score)
app.command("export", epilog=export.EXAMPLES)(export.export)
app.command("gate", epilog=gate.EXAMPLES)(gate.gate)
app.command("sign", epilog=sign.EXAMPLES)(sign.sign)
app.command("verify", epilog=verify.EXAMPLES)(verify.verify)
app.command("reproduce", epilog=reproduce.EXAMPLES)(reproduce.reproduce)
app.command("diff", epilog=diff.EXAMPLES)(diff.diff)
app.add_typer(suite.app, name="suite")
app.add_typer(data.app, name="data")
app.add_typer(env.app, name="env")
app.add_typer(evidence.app, name="evidence")
app.command("mock", epilog=mock.EXAMPLES)(mock.mock)
app.add_typer(models.app, name="models")
unbreak(app)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"fourways {fourways.__version__}")
        raise typer.Exit


@app.callback()
def _common(
    version: Annotated[
        bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say the version and stop.")
    ] = False,
) -> None: ...


def main() -> None:
    """The console script."""
    try:
        app()
    except FourwaysError as error:
        _stop(error)
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _stop(
            FourwaysError(
                f"{where}{error.strerror or error}",
                hint="is the disk full, or the folder not yours? FOURWAYS_DEBUG=1 shows where it happened",
            )
        )
    except Exception as error:
        text = " ".join(str(error).split())
        _stop(
            FourwaysError(
                f"{type(error).__name__}: {text}", hint="this is a fault of Fourways; FOURWAYS_DEBUG=1 shows where"
            )
        )


def _stop(error: FourwaysError) -> NoReturn:
    if os.environ.get("FOURWAYS_DEBUG") == "1":
        traceback.print_exc()
    err(error.message, error.hint, stopped=error.exit_code == 130)
    sys.exit(error.exit_code)
