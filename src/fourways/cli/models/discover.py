"""`fourways models discover`: checkpoints and adapters that are here already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.models.add import cards, register
from fourways.cli.models.registry import JsonOption, RegistryOption, entries, opened
from fourways.cli.terminal import err, notes, results
from fourways.core.errors import FourwaysError, UserError

if TYPE_CHECKING:
    from fourways.hub.discover import Finding
    from fourways.hub.registry import Entry

EXAMPLES = """
Examples:

fourways models discover

fourways models discover /models ~/adapters --add

fourways models discover /models --json

Without PATHS: the caches of Hugging Face (HF_HOME) and ModelScope (MODELSCOPE_CACHE). Links are followed, each folder
is looked at once. --add registers what has no trouble and is not registered yet, and hashes it.

Exit codes: 0 done; 1 something that was found could not be registered; 2 your mistake.
"""


def discover(
    paths: Annotated[list[Path] | None, typer.Argument(metavar="[PATHS]", show_default=False)] = None,
    add: Annotated[bool, typer.Option("--add", help="Register what was found.")] = False,
    depth: Annotated[int, typer.Option(min=0, max=64, help="How deep below a path to look.")] = 8,
    registry: RegistryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find checkpoints and adapters in folders and download caches; with --add, register them."""
    from fourways.cli.models import registry_tables as tables

    findings = _search(paths or [], depth)
    known = entries(registry)
    names = _names(findings, known)
    done = {entry.folder for entry in known if entry.identity is not None}
    failed = _register(findings, names, done, registry) if add else set()
    registered = {entry.folder for entry in (entries(registry) if add else known)}
    if as_json:
        records = [
            tables.finding_record(one, name, str(one.folder) in registered)
            for one, name in zip(findings, names, strict=True)
        ]
        typer.echo(tables.as_json("found", records))
    else:
        _print(findings, names, registered)
        if add and (before := sum(str(one.folder) in done for one in findings)):
            notes().print(f"{before} of {len(findings)} registered already, and left as they are", highlight=False)
    if failed:
        raise typer.Exit(1)


def _search(paths: list[Path], depth: int) -> list[Finding]:
    from fourways.hub.discover import Search, known_caches

    for path in paths:
        if not path.expanduser().is_dir():
            what = "not a folder" if path.expanduser().exists() else "no such folder"
            raise UserError(f"{path}: {what}", hint="name folders; without any, the download caches are searched")
    console = notes()
    search = Search(lambda line: console.print(line, highlight=False, soft_wrap=True), depth)
    tops = [path.expanduser().resolve() for path in paths] or known_caches()
    if not paths:
        looked = ", ".join(map(str, tops))
        console.print(f"looking in {looked or 'no cache: none is here'}", highlight=False, soft_wrap=True)
    findings = list(search.below(tops))
    if search.configs_only:
        console.print(f"{search.configs_only} configurations without weights were left out", highlight=False)
    return findings


def _names(findings: Sequence[Finding], known: Sequence[Entry]) -> list[str]:
    """What each is registered as, else the name it would get: the last part of where it came from, made unique by the
    commit, then by a number; `my-qwen` for an embedded model's name, because `qwen-2` reads as another model's."""
    from fourways import zoo
    from fourways.hub.registry import name_from

    by_folder = {entry.folder: entry.name for entry in known}
    taken, names = {*zoo.NAMES, *by_folder.values()}, []
    for one in findings:
        name = by_folder.get(str(one.folder))
        if name is None:
            plain = name_from(one.origin.source or one.folder.name)
            plain = f"my-{plain}" if plain in zoo.NAMES else plain
            tries = [plain, *([f"{plain[:80]}-{one.origin.revision[:7]}"] if one.origin.revision else [])]
            tries += [f"{plain[:80]}-{number}" for number in range(2, len(findings) + len(known) + 6)]
            name = next(word for word in tries if word not in taken)
            taken.add(name)
        names.append(name)
    return names


def _register(findings: Sequence[Finding], names: Sequence[str], done: set[str], word: str | None) -> set[str]:
    """Models before adapters, so that these find their base. done: folders that are registered and hashed. Returns the
    names that failed."""
    from fourways.hub.registry.enrol import Request

    failed = set()
    with opened(word) as held:
        for one, name in sorted(zip(findings, names, strict=True), key=lambda pair: pair[0].kind == "adapter"):
            if one.trouble is not None or str(one.folder) in done:
                continue
            try:
                register(held, Request(name, one.folder, cards=cards), notes())
            except FourwaysError as error:
                failed.add(name)
                err(f"{name}: {error.message}", error.hint)
            except OSError as error:
                failed.add(name)
                err(
                    f"{name}: {error.filename or one.folder} cannot be read: {error.strerror or error}",
                    "may you read it?",
                )
    return failed


def _print(findings: Sequence[Finding], names: Sequence[str], registered: set[str]) -> None:
    from fourways.cli.models import registry_tables as tables

    console = results()
    if not findings:
        console.print("no checkpoint and no adapter was found", highlight=False)
        return
    console.print(tables.found(list(zip(findings, names, strict=True)), registered))
    new = sum(one.trouble is None and str(one.folder) not in registered for one in findings)
    if new:
        console.print(f"{new} of {len(findings)} can be registered: --add", highlight=False)
