"""What `fourways data list` shows."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table

from fourways.cli.data_progress import in_words
from fourways.hub.data import SOURCES, Chosen, DataChanged, File, Lock, Source, place_of, state_of

_PINS = """\
pinned by: what vouches for the content before you have it. sha256, md5: a digest that somebody published.
first pull: nobody published one for some file: what comes first is trusted, written to the lock file, and must be the
same ever after. Licences, files, digests and addresses of a benchmark: fourways data list KEY"""


def overview(chosen: Sequence[Chosen], console: Console) -> None:
    """One line an edition."""
    table = Table(title="Editions of the benchmarks' data", title_justify="left")
    for column in ("benchmark:edition", "here", "size", "pinned by", "what"):
        table.add_column(column, justify="right" if column == "size" else "left", no_wrap=column != "what")
    for one in chosen:
        table.add_row(str(one), _here(one), _size_of(one), _pinned_by(one), one.edition.about)
    console.print(table)
    console.print(_PINS, highlight=False, soft_wrap=True)


def details(chosen: Sequence[Chosen], lock: Lock, console: Console) -> None:
    """Everything the catalogue says of each edition."""
    for one in chosen:
        lines = [
            f"  licence: {one.edition.license}",
            f"  here: {_here(one)}  {place_of(one)}",
        ]
        for name, file in one.edition.files.items():
            lines += [f"  {name}  {_size(file.bytes_about)}", *(f"    {line}" for line in _of_file(one, name, lock))]
        console.print(f"{one}  {one.edition.about}", style="bold", highlight=False, soft_wrap=True)
        console.print("\n".join(lines) + "\n", highlight=False, soft_wrap=True)


def as_json(chosen: Sequence[Chosen], lock: Lock) -> str:
    """The catalogue's entries with what is here and what the lock file pins."""
    records = [
        {
            "benchmark": one.key,
            "edition": one.name,
            "about": one.edition.about,
            "license": one.edition.license,
            "here": _here(one),
            "path": str(place_of(one)),
            "files": {
                name: {**msgspec.to_builtins(file), "locked": msgspec.to_builtins(lock.pin(f"{one}/{name}"))}
                for name, file in one.edition.files.items()
            },
        }
        for one in chosen
    ]
    return msgspec.json.format(msgspec.json.encode(records), indent=1).decode()


def _of_file(one: Chosen, name: str, lock: Lock) -> list[str]:
    file, pin = one.edition.files[name], lock.pin(f"{one}/{name}")
    lines = [f"{kind}: {value}" for kind, value in (("sha256", file.sha256), ("md5", file.md5)) if value is not None]
    if file.digests_from:
        lines.append(f"published: {file.digests_from}")
    if file.sha256 is None and pin is None:
        lines.append("sha256: not published; pinned at the first pull")
    if file.sha256 is None and pin is not None:
        lines.append(f"sha256: {pin.sha256}, pinned at the first pull on {pin.first_pulled}, from {pin.source}")
    return lines + [f"{source}: {place}" for source in SOURCES if (place := _address(file, source)) is not None]


def _address(file: File, source: Source) -> str | None:
    if source == "direct":
        return file.direct
    there = file.huggingface if source == "huggingface" else file.modelscope
    return None if there is None else f"{there.repo}@{there.revision} {there.path}"


def _here(one: Chosen) -> str:
    try:
        return {"here": "yes", "part": "part", "absent": "no", "changed": "changed"}[state_of(one)]
    except DataChanged:
        return "changed"


def _pinned_by(one: Chosen) -> str:
    """The weakest of its files."""
    files = one.edition.files.values()
    if any(file.sha256 is None and file.md5 is None for file in files):
        return "first pull"
    return "md5" if any(file.sha256 is None for file in files) else "sha256"


def _size_of(one: Chosen) -> str:
    """Of the files whose size is published; + where that is not all."""
    sizes = [file.bytes_about for file in one.edition.files.values()]
    known = [size for size in sizes if size is not None]
    return f"{_size(sum(known))}{'' if len(known) == len(sizes) else '+'}" if known else "?"


def _size(size: int | None) -> str:
    return "(size not published)" if size is None else in_words(size)
