"""Which modules an adapter changes: an anchored pattern over whole names, and the list of what it matched."""

from __future__ import annotations

import re

from torch import nn

from fourways.core.errors import UserError
from fourways.families.contract import Family


def match_targets(family: Family, targets: str) -> tuple[str, tuple[str, ...]]:
    """The pattern behind `targets`, and the linear modules whose whole name it matches, in model order.

    targets: a key of the family's `lora_targets`, or a regular expression. A bare suffix list would adapt a vision
    tower whose blocks share names with the language model's; a pattern must match from the first character to the last.
    Raises UserError if the pattern is no regular expression, matches nothing, or matches what is no linear layer.
    """
    pattern = family.card.lora_targets.get(targets, targets)
    known = ", ".join(family.card.lora_targets)
    try:
        whole = re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"LoRA targets {targets!r} are no regular expression: {error}", hint=f"names of {family.card.name}: {known}"
        ) from None
    matched = [(name, module) for name, module in family.module.named_modules() if name and whole.fullmatch(name)]
    if not matched:
        raise UserError(
            f"LoRA targets {targets!r} match no module of {family.card.name} (pattern {pattern})",
            hint=f"patterns match whole module names; names that this family declares: {known}",
        )
    wrong = [f"{name} ({type(module).__name__})" for name, module in matched if not isinstance(module, nn.Linear)]
    if wrong:
        raise UserError(
            f"LoRA targets {targets!r} match modules that are no linear layers: {', '.join(wrong[:5])}",
            hint="narrow the pattern to linear layers, such as q_proj",
        )
    return pattern, tuple(name for name, _ in matched)
