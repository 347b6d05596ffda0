"""`fourways verify`: is a run what its signer published?"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fourways.cli.choices import BACKENDS, choice
from fourways.cli.terminal import results

if TYPE_CHECKING:
    from fourways.evidence.verify import Check, Verification

EXAMPLES = """
Examples:

fourways verify runs/2026-11-22T10-04-05Z-qwen-llava-internvl --keys allowed/

fourways verify runs/2026-11-22T10-04-05Z-qwen-llava-internvl --keys alice.asc --json > verification.json

fourways verify runs/2026-11-22T10-04-05Z-qwen-llava-internvl --unsigned

Without --keys nobody's signature is checked: the run agrees with itself, and anybody may have made it. What is checked,
and the same with gpg and sha256sum alone: docs/evidence.md.

Exit codes: 0 verified (with --unsigned: nothing refused); 1 refused, or no signature checked; 2 your mistake.
"""
_KEYS = "Whose signatures count: a file of public keys, or a folder of such files."
_UNSIGNED = "Ask for no signature: only whether the run agrees with itself."


def verify(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.")],
    keys: Annotated[Path | None, typer.Option(metavar="ALLOWED", help=_KEYS)] = None,
    unsigned: Annotated[bool, typer.Option("--unsigned", help=_UNSIGNED)] = False,
    backend: Annotated[str, typer.Option(metavar="auto|gpg|sequoia", help="What checks the signature.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the table.")] = False,
) -> None:
    """Check a run: its signature, every file, every figure, every row that should be there."""
    from fourways.core.errors import UserError

    if unsigned and keys is not None:
        raise UserError("--unsigned and --keys exclude each other")
    name = choice("--backend", backend, BACKENDS)
    from fourways.evidence.signature import backend_named, read_allowed
    from fourways.evidence.verify import verify_run

    allowed = None if keys is None else read_allowed(keys)
    found = verify_run(run, allowed, None if allowed is None else backend_named(name))
    _print_json(found) if as_json else show(found, run)
    if found.verdict == "refused" or (found.verdict == "unsigned" and not unsigned):
        raise typer.Exit(1)


def _print_json(found: Verification) -> None:
    import msgspec

    typer.echo(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())


def show(found: Verification, run: Path) -> None:
    """The checks, why they are refused and what to do, what the whole means, and the verdict last."""
    from rich.table import Table

    console = results()
    table = Table(
        title=f"run {found.run_id}" if found.run_id else f"the run in {run.resolve().name}", title_justify="left"
    )
    for column in ("check", "outcome", "what was looked at"):
        table.add_column(column, overflow="fold")
    for check in found.checks:
        table.add_row(check.name, check.outcome, check.what, style=_STYLE[check.outcome])
    console.print(table)
    for line in (*(line for check in found.checks for line in _lines(check)), *_meaning(found, run)):
        console.print(line, soft_wrap=True, highlight=False)
    console.print(_verdict(found), soft_wrap=True, highlight=False, style="bold")


def _meaning(found: Verification, run: Path) -> Iterator[str]:
    """What a signature proves is said of one that holds, in a run that is not refused."""
    if found.not_signed:
        yield f"not signed, though in the folder: {_some(found.not_signed)}"
    if found.verdict == "refused":
        hint = _hint(found, run)
        yield from () if hint is None else (f"hint: {hint}",)
        return
    if found.signer is not None:
        yield f"a signature proves {'; '.join(found.proves)}"
        yield f"it does not prove {'; '.join(found.does_not_prove)}"
    yield _CHECKED


def _hint(found: Verification, run: Path) -> str | None:
    """Of what is missing, how it is made."""
    from fourways.core.run_files import SIGNATURE_FILE, STATEMENT_FILE

    missing = {reason.removesuffix(": is missing") for check in found.checks for reason in check.reasons}
    if STATEMENT_FILE in missing:
        return f"it is written when a run ends; if this one was stopped, go on with: fourways compare --resume {run}"
    if SIGNATURE_FILE in missing:
        return (
            f"sign it: fourways sign {run} --key …; or check it without a signature: fourways verify {run} --unsigned"
        )
    return None


_STYLE = {"ok": None, "refused": "bold red", "not checked": "dim"}
_MANY = 10
_CHECKED = (
    "checked here: every figure follows from the rows by its definition, every score of the accuracy axis from its "
    "reply, and every row that the header plans is there; to see whether the rows are true, measure again: fourways "
    "reproduce RUN"
)


def _lines(check: Check) -> list[str]:
    return [f"refused: {reason}" for reason in check.reasons] + [f"{check.name}: {one}" for one in check.remarks]


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _MANY:,} more" if len(names) > _MANY else ""
    return f"{', '.join(names[:_MANY])}{more}"


def _verdict(found: Verification) -> str:
    if found.verdict == "refused":
        return "REFUSED"
    if found.signer is None:
        return "the run agrees with itself; its signature was not checked against anybody"
    who = f" ({', '.join(found.signer.user_ids)})" if found.signer.user_ids else ""
    return f"verified: signed by {found.signer.fingerprint}{who} at {found.signer.created} by the signer's clock"
