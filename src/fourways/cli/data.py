"""`fourways data`: the benchmarks' data: what there is, fetching it, and where it lies."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.terminal import err, notes, results
from fourways.core.errors import FourwaysError, UserError

if TYPE_CHECKING:
    from fourways.hub.data import Chosen

app = typer.Typer(
    help="The benchmarks' data: list what there is, pull it with verified digests, say where it lies.",
    no_args_is_help=True,
)

_LIST_EXAMPLES = """
Examples:

fourways data list

fourways data list mme vqav2:val

fourways data list --json
"""
_PULL_EXAMPLES = """
Examples:

fourways data pull mme

fourways data pull mmbench_en:dev-v1.0 mmstar --source direct

fourways data pull refcoco --from ~/Downloads

fourways data pull pope:lmms-lab --lock fourways-data.lock

FOURWAYS_DATA=/big/disk HF_ENDPOINT=https://hf-mirror.com fourways data pull pope

Exit codes: 0 all is here; 1 no source gave it, or it is not the pinned file; 2 your mistake; 130 Ctrl-C
"""
_PATH_EXAMPLES = """
Example: fourways compare --suite mme=$(fourways data path mme)
"""
_WORDS = "A benchmark's key, or KEY:EDITION; a bare key means the first edition listed."
_PATH_WORD = "A benchmark's key, or KEY:EDITION; a bare key means the first edition that is here."


@app.command("list", epilog=_LIST_EXAMPLES)
def list_(
    words: Annotated[list[str] | None, typer.Argument(metavar="[KEY[:EDITION]]", help=_WORDS)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For machines.")] = False,
) -> None:
    """List the editions there are, and what of them is here; with a KEY, their files, digests and addresses."""
    from fourways.cli import data_tables as tables
    from fourways.hub.data import Lock, choose, every, home, load_catalogue

    catalogue = load_catalogue()
    chosen = every(catalogue)
    if words:
        asked = [choose(catalogue, word) for word in words]
        bare = {word for word in words if ":" not in word}
        chosen = [one for one in chosen if one.key in bare or one in asked]
    lock, console = Lock.in_force(home()), results()
    if as_json:
        typer.echo(tables.as_json(chosen, lock))
        return
    if words:
        tables.details(chosen, lock, console)
    else:
        tables.overview(chosen, console)
    console.print(f"data: {home()}\nlock file: {lock.path}", highlight=False, soft_wrap=True)


@app.command("pull", epilog=_PULL_EXAMPLES)
def pull(
    words: Annotated[list[str], typer.Argument(metavar="KEY[:EDITION]", help=_WORDS)],
    source: Annotated[
        str | None,
        typer.Option(metavar="SOURCE", help="huggingface, modelscope or direct; also FOURWAYS_DATA_SOURCE."),
    ] = None,
    brought: Annotated[
        Path | None, typer.Option("--from", metavar="PATH", help="Take a file, folder or zip that you brought.")
    ] = None,
    url: Annotated[
        list[str] | None,
        typer.Option(metavar="[FILE=]URL", help="Another address of one file; http only for a pinned one."),
    ] = None,
    lock: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where digests of first pulls are pinned, to be committed.")
    ] = None,
) -> None:
    """Fetch data and verify it; go on where a stopped pull stopped; use no network for what is here."""
    from fourways.cli.data_progress import show_on
    from fourways.hub.data import Wish, asked_source, choose, load_catalogue
    from fourways.hub.data import pull as pull_one

    catalogue = load_catalogue()
    chosen = [choose(catalogue, word) for word in words]
    wish = Wish(asked_source(source), _addresses(url or [], chosen), brought, lock)
    show, code = show_on(notes()), 0
    try:
        for one in chosen:
            try:
                place = pull_one(one, wish, show)
            except FourwaysError as error:
                code = max(code, error.exit_code)
                err(f"{one}: {error.message}", error.hint)
            else:
                results().print(f"{one}  {place}", highlight=False, soft_wrap=True)
    except KeyboardInterrupt:
        show.note("stopped; what was fetched is kept: the same command goes on")
        raise
    finally:
        show.close()
    if code:
        raise typer.Exit(code)


@app.command("path", epilog=_PATH_EXAMPLES)
def path(word: Annotated[str, typer.Argument(metavar="KEY[:EDITION]", help=_PATH_WORD)]) -> None:
    """Print the file or folder to hand to --suite KEY=PATH."""
    from fourways.hub.data import choose, find, load_catalogue

    choose(load_catalogue(), word)
    key, _, edition = word.partition(":")
    found = find(key, edition or None)
    if found is None:
        raise UserError(f"the data of {word} is not here, or not all of it", hint=f"fourways data pull {word}")
    typer.echo(str(found))


def _addresses(given: Sequence[str], chosen: Sequence[Chosen]) -> dict[str, str]:
    """`URL` where there is one file, else `FILE=URL`."""
    names = [name for one in chosen for name in one.edition.files]
    found: dict[str, str] = {}
    for word in given:
        name, equals, address = word.partition("=")
        if "://" in name or not equals:
            if len(names) != 1:
                raise UserError(f"--url {word}: of which file?", hint=f"write FILE=URL; there are {', '.join(names)}")
            name, address = names[0], word
        if name not in names:
            raise UserError(f"--url {word}: there is no file {name}", hint=f"there are {', '.join(names)}")
        found[name] = address
    return found
