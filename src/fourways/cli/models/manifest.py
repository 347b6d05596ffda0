"""`fourways models manifest`: what a checkpoint is, from its small files and the headers of its weights."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.models.add import cards
from fourways.cli.terminal import notes, results

if TYPE_CHECKING:
    from fourways.core.manifest import Manifest

EXAMPLES = """
Examples:

fourways models manifest zoo:qwen

fourways models manifest ./Qwen2.5-VL-7B-Instruct --no-hashes

fourways models manifest ./Qwen2.5-VL-7B-Instruct --out ./Qwen2.5-VL-7B-Instruct

fourways models manifest Qwen/Qwen2.5-VL-7B-Instruct --json > qwen.json

Nothing is loaded and nothing is downloaded. Files are hashed over all cores; digests are kept, so that a run that was
stopped goes on with the files that it had not finished, and the next one reads nothing that has not changed. Names are
looked up in the registry that FOURWAYS_REGISTRY names, else in your own.

Exit codes: 0 done; 1 a file changed while it was read, or the disk failed; 2 the checkpoint cannot be used.
"""
_TOLD_EVERY_S = 10.0


def manifest(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FOLDER", help="A folder, zoo:NAME, a registered name, or a Hugging Face id that is here."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write it there; into a folder, as fourways.model.json. First without hashes."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest itself.")] = False,
    no_hashes: Annotated[bool, typer.Option("--no-hashes", help="Leave the files' hashes pending.")] = False,
) -> None:
    """Say what a checkpoint is, without loading it."""
    from fourways.hub.manifest import fill, make, manifest_json, write_manifest

    folder = _folder(model)
    made = make(folder, cards)
    if out is not None:
        write_manifest(made, out)
    if not no_hashes:
        made = fill(made, folder, _Told())
        if out is not None:
            write_manifest(made, out)
    if as_json:
        typer.echo(manifest_json(made).decode(), nl=False)
    else:
        _print(made)
    if out is not None:
        notes().print(f"written to {out}", soft_wrap=True, highlight=False)


def _folder(model: str) -> Path:
    """Where the name leads. Raises CheckpointError if nothing of it is here."""
    from fourways.core.errors import CheckpointError

    folder = Path(model).expanduser()
    if folder.is_dir():
        return folder
    from fourways import zoo
    from fourways.hub import locate

    found = locate(model, embedded=zoo.checkpoints())
    if found.folder is None:
        raise CheckpointError(f"{model} is not on this machine", hint=f"fetch it: fourways models pull {model}")
    return found.folder


class _Told:
    """Progress on standard error: the first line after a while, then one now and then."""

    def __init__(self) -> None:
        self._begun = self._last = time.monotonic()

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._last >= _TOLD_EVERY_S:
            self._last = now
            speed = done / (now - self._begun) / 2**30
            notes().print(f"SHA-256: {done / 2**30:.1f} of {total / 2**30:.1f} GiB, {speed:.2f} GiB/s", highlight=False)


def _print(made: Manifest) -> None:
    from rich.table import Table

    table = Table(title=made.name, title_justify="left", show_header=False)
    table.add_column("what")
    table.add_column("value", overflow="fold")
    for what, value in _lines(made):
        table.add_row(what, value)
    results().print(table)


def _lines(made: Manifest) -> list[tuple[str, str]]:
    image = made.image
    pixels = [f"{n:,} pixels at {end}" for n, end in ((image.min_pixels, "least"), (image.max_pixels, "most")) if n]
    tiles = [f"tiles of {image.tile[0]}x{image.tile[1]}"] if image.tile else []
    tiles += [f"at most {image.max_tiles}"] if image.max_tiles else []
    total = sum(file.bytes for file in made.files)
    parts = [
        f"{name.replace('_', ' ')}: {part.parameters:,} in {part.tensors:,} tensors, {_size(part.bytes)}"
        for name, part in made.parts.items()
    ]
    return [
        ("architecture", f"{made.architecture} ({made.architecture_class}, {made.layout} layout)"),
        ("family", made.family_entry_point or "none: it can be asked behind a server, by its URL"),
        (
            "weights",
            f"{made.weight_dtype}, {made.parameters:,} parameters, {made.shards} file{'s'[: made.shards != 1]}",
        ),
        ("quantization", _quantization(made)),
        ("parts", "\n".join(parts)),
        ("takes", ", ".join(made.modalities) or "unknown"),
        ("forms here", ", ".join(made.formats)),
        ("context", "not said" if made.context is None else f"{made.context:,} tokens"),
        ("images", ", ".join(pixels + tiles) or "not said"),
        ("chat template", made.chat_template_sha256 or "none"),
        ("LoRA targets", made.lora_targets or "unknown"),
        ("hot swap", made.hot_swap),
        (
            "needs",
            ", ".join(f"{name}>={least}" if least else name for name, least in made.requires.items()) or "unknown",
        ),
        ("licence", made.licence or "not said"),
        ("source", " @ ".join(filter(None, (made.source, made.revision))) or "not said"),
        ("files", f"{len(made.files)}, {_size(total)}, hashes {made.hashes}"),
        ("identity", made.identity or "pending"),
    ]


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.1f} MiB"


def _quantization(made: Manifest) -> str:
    if made.quantization is None:
        return "none"
    bits, group = made.quantization.bits, made.quantization.group_size
    said = [made.quantization.method, f"{bits} bits" if bits else "", f"groups of {group}" if group else ""]
    return ", ".join(filter(None, said))
