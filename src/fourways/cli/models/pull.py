"""`fourways models pull`: a model from the Hugging Face Hub, at a commit, registered."""

from __future__ import annotations

from typing import Annotated

import typer

from fourways.cli.models.add import cards, check_free, register
from fourways.cli.models.registry import RegistryOption, opened
from fourways.cli.terminal import notes, results
from fourways.core.errors import UserError

EXAMPLES = """
Examples:

fourways models pull Qwen/Qwen2.5-VL-3B-Instruct

fourways models pull llava-hf/llava-v1.6-mistral-7b-hf@main --name llava-7b

HF_ENDPOINT=https://hub.example.org fourways models pull org/name@0123456789abcdef0123456789abcdef01234567

A branch is resolved to its commit first, and the commit is kept. A pull that was stopped goes on where it stopped. Only
safetensors, JSON, tokenizer and template files and the README are fetched, into the Hub's own cache (HF_HOME).

Exit codes: 0 fetched and registered; 1 the Hub cannot be reached, the download stopped, or the disk failed; 2 the Hub
has no such model that Fourways may read, or your mistake; 130 Ctrl-C (what came is kept).
"""


def pull(
    model: Annotated[str, typer.Argument(metavar="ORG/NAME[@REVISION]", help="A branch, a tag or a commit.")],
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help="Default: the NAME of ORG/NAME.")] = None,
    registry: RegistryOption = None,
) -> None:
    """Fetch a model from the Hugging Face Hub and register it with its commit."""
    from fourways.cli.data_progress import show_on
    from fourways.hub.pull import pull as pull_one
    from fourways.hub.registry import UnknownName, check_name, name_from
    from fourways.hub.registry.enrol import Request

    repository = model.partition("@")[0]
    if repository.count("/") != 1:
        raise UserError(f"{model} is no Hugging Face id", hint="ids look like org/name, or org/name@revision")
    wanted = check_name(name or name_from(repository))
    check_free(wanted)
    with opened(registry) as held:
        try:
            taken = held.get(wanted)
        except UnknownName:
            taken = None
        if taken is not None and taken.source != repository:
            raise UserError(f"{wanted} is registered already, as {taken.folder}", hint="choose another: --name NAME")
        show = show_on(notes())
        try:
            pulled = pull_one(model, show)
        except KeyboardInterrupt:
            show.note("stopped; what was fetched is kept: the same command goes on")
            raise
        finally:
            show.close()
        if taken is not None and taken.folder == str(pulled.folder.resolve()) and taken.identity is not None:
            results().print(f"{wanted} is registered already, at this commit: {pulled.commit}", highlight=False)
            return
        request = Request(wanted, pulled.folder, source=pulled.repository, revision=pulled.commit, cards=cards)
        register(held, request, results())
