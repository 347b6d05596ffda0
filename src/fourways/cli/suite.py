"""`fourways suite`: the embedded benchmarks as files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fourways.cli.terminal import results

app = typer.Typer(help="Benchmarks: write the embedded suite to a folder.", no_args_is_help=True)


@app.command("write", epilog="Example: fourways suite write my-suite && fourways compare --suite my-suite")
def write(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new folder.")],
    images: Annotated[int, typer.Option(min=4, help="Pictures in each benchmark.")] = 80,
    seed: Annotated[int, typer.Option(help="Other seeds give other scenes; 2026 is the embedded one.")] = 2026,
) -> None:
    """Write the embedded suite, in the official file formats of its benchmarks."""
    from fourways.compare.suites import write_suite

    written = write_suite(folder, images=images, seed=seed)
    console = results()
    for key, entry in written.items():
        console.print(f"{key:<12} {entry.path}", highlight=False, soft_wrap=True)
