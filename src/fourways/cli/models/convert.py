"""`fourways models convert`: from the layout of a checkpoint's authors to the one that transformers loads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.models.add import cards
from fourways.cli.terminal import notes, results
from fourways.core.errors import UserError
from fourways.core.manifest import MANIFEST_FILE

if TYPE_CHECKING:
    from fourways.cli.data_progress import Bars, Lines
    from fourways.hub.convert import Stage, Tell

EXAMPLES = """
Examples:

fourways models convert InternVL2-2B

fourways models convert ~/models/llava-v1.6-mistral-7b --out /big/disk/llava-mistral-hf

fourways models convert llava-old --read-pickles --vision-tower clip-vit-large-patch14-336

Known layouts: InternVL 2, 2.5 and 3 (internvl_chat, with InternLM2, Qwen2, Phi-3 or Llama inside) and LLaVA 1.6 (on
Vicuna, Yi or Mistral). A checkpoint that transformers loads as it is gets its manifest, and nothing else changes. No
code from a checkpoint is run.

Exit codes: 0 all is written; 1 the disk refused; 2 it cannot be converted, or your mistake; 130 Ctrl-C (nothing is
left behind).
"""
_WORDS = {"hash": "hashes of the source", "write": "weights", "check": "check"}


def convert(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The checkpoint's folder.")],
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write; SRC-hf beside it unless given.")
    ] = None,
    read_pickles: Annotated[
        bool, typer.Option("--read-pickles", help="Read old .bin files where there are no safetensors: tensors only.")
    ] = False,
    vision_tower: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="The CLIP checkpoint of a LLaVA that does not hold its vision tower."),
    ] = None,
) -> None:
    """Rewrite a checkpoint to the layout that transformers loads, and write its manifest."""
    from fourways.cli.data_progress import show_on
    from fourways.hub.convert import Options, describe
    from fourways.hub.convert import convert as convert_folder

    _check_not_embedded(str(source))
    options = Options(read_pickles, vision_tower.expanduser() if vision_tower else None)
    show = show_on(notes())
    try:
        converted = convert_folder(source.expanduser(), out, options, _shown(show))
        show.begin(f"{converted.folder.name}: hashing its files for the manifest", None)
        manifest = describe(converted, cards, lambda done, _: show.at(done))
    except KeyboardInterrupt:
        show.note("stopped; what was not finished was removed")
        raise
    finally:
        show.close()
    said = "needs no conversion; described in" if converted.conversion is None else "written, with"
    results().print(f"{converted.folder}: {manifest.architecture}, {said} {MANIFEST_FILE}", soft_wrap=True)


def _check_not_embedded(word: str) -> None:
    """Raises UserError."""
    from fourways import zoo

    if word.removeprefix("zoo:") in zoo.NAMES and not Path(word).is_dir():
        raise UserError(
            f"{word} is an embedded model, and needs no conversion",
            hint=f"fourways models manifest zoo:{word.removeprefix('zoo:')}",
        )


def _shown(show: Bars | Lines) -> Tell:
    """The stages of a conversion, each begun once."""
    begun: list[str] = []

    def tell(stage: Stage, done: int, total: int) -> None:
        if stage not in begun:
            begun.append(stage)
            show.begin(_WORDS[stage], total or None)
        show.at(done)

    return tell
