"""What the commands on the registry share: the option that names it, and opening it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.terminal import notes
from fourways.core.errors import UserError

if TYPE_CHECKING:
    from fourways.hub.registry import Entry, Registry

RegistryOption = Annotated[
    str | None,
    typer.Option(
        "--registry",
        metavar="FILE|URL",
        help="Another registry: a file, or postgresql://USER@HOST/DATABASE; also FOURWAYS_REGISTRY.",
        show_default=False,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="For machines.")]


@contextmanager
def opened(word: str | None) -> Iterator[Registry]:
    """The registry that counts, made where there is none."""
    from fourways.hub.registry import Registry, in_force

    place = in_force(word)
    new = not place.is_there()
    with Registry(place) as registry:
        if new:
            notes().print(f"made a new registry at {place.shown}", highlight=False, soft_wrap=True)
        yield registry


@contextmanager
def existing(word: str | None) -> Iterator[Registry]:
    """The registry that counts. Raises UserError, and makes no file, where there is none."""
    from fourways.hub.registry import in_force

    if not in_force(word).is_there():
        raise UserError(
            f"nothing is registered: there is no registry at {in_force(word).shown}",
            hint="`fourways models add`, `pull` and `discover --add` register",
        )
    with opened(word) as registry:
        yield registry


def entries(word: str | None) -> list[Entry]:
    """What is registered; nothing, and no file is made, where there is no registry."""
    from fourways.hub.registry import in_force

    if not in_force(word).is_there():
        return []
    with opened(word) as registry:
        return registry.entries()


@contextmanager
def hashing(what: str) -> Iterator[Callable[[int, int], None]]:
    """Shows on standard error how far the hashing of an entry's files is."""
    from fourways.cli.data_progress import show_on

    show, begun = show_on(notes()), False

    def at(done: int, total: int) -> None:
        nonlocal begun
        if not begun:
            show.begin(f"hashing {what}", total)
            begun = True
        show.at(done)

    try:
        yield at
    finally:
        show.close()
