"""Which family loads a checkpoint: by its architecture, among all packages that registered one.

Families are found under the entry-point group `fourways.families`, ours and third parties' alike. A package that cannot
be imported does not keep the others from being found; it is named when its family would have been needed.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from fourways.core.errors import CheckpointError
from fourways.families.contract import Family

GROUP = "fourways.families"
OURS = tuple(
    EntryPoint(name, f"fourways.families.{value}", GROUP)
    for name, value in (("internvl", "internvl:InternVL"), ("llava-next", "llava_next:LlavaNext"),
                        ("qwen-vl", "qwen_vl:QwenVL"))
)  # fmt: skip
"""Known where the package lies on the path and was never installed; where it was, its own entry points say the same."""

OLD_ARCHITECTURES = {
    "QWenLMHeadModel": (
        "Qwen-VL (the first generation), which needs code from the checkpoint",
        "use Qwen2-VL, Qwen2.5-VL or Qwen3-VL",
    ),
}
"""Known, and not loaded: what it is, and what to do."""

ORIGINAL_LAYOUTS = {
    "InternVLChatModel": "InternVL in its authors' layout",
    "LlavaLlamaForCausalLM": "LLaVA in its authors' layout",
    "LlavaMistralForCausalLM": "LLaVA in its authors' layout",
}
"""Loaded once they are converted."""


@dataclass(frozen=True, slots=True)
class Registered:
    """families: entry-point name → class. broken: entry-point name → why it could not be imported."""

    families: dict[str, type[Family]]
    broken: dict[str, str]


def registered() -> Registered:
    """Every family that is installed now, and ours, in the order of their names."""
    families: dict[str, type[Family]] = {}
    broken: dict[str, str] = {}
    points = {(point.name, point.value): point for point in (*OURS, *entry_points(group=GROUP))}
    for point in sorted(points.values(), key=lambda p: p.name):
        try:
            families[point.name] = _load(point)
        except Exception as error:
            broken[point.name] = f"{type(error).__name__}: {error}"
    return Registered(families, broken)


def find_family(architecture: str, folder: Path | None = None) -> type[Family]:
    """The family that loads this class name of config.json. folder: the checkpoint's, for the command that an error
    offers. Raises CheckpointError: unknown, old, to be converted first, or claimed twice."""
    found = registered()
    claims = {name: family for name, family in found.families.items() if architecture in family.card.architectures}
    if len(set(claims.values())) == 1:
        return next(iter(claims.values()))
    if claims:
        raise CheckpointError(
            f"{architecture} is claimed by several installed families: {', '.join(claims)}",
            hint="uninstall all but one of these packages",
        )
    if architecture in OLD_ARCHITECTURES:
        what, hint = OLD_ARCHITECTURES[architecture]
        raise CheckpointError(f"{architecture} is {what}; no family loads it", hint=hint, fault="architecture.unknown")
    if architecture in ORIGINAL_LAYOUTS:
        place = "FOLDER" if folder is None else shlex.quote(str(folder))
        raise CheckpointError(
            f"{architecture} is {ORIGINAL_LAYOUTS[architecture]}; no family loads it as it is",
            hint=f"fourways models convert {place}",
            fault="architecture.unknown",
        )
    known = sorted(name for family in found.families.values() for name in family.card.architectures)
    failed = "".join(f"; the family {name} could not be imported ({why})" for name, why in found.broken.items())
    raise CheckpointError(
        f"no installed family loads the architecture {architecture}{failed}",
        hint=f"known: {', '.join(known)}; others can be added as a package (entry points {GROUP})",
        fault="architecture.unknown",
    )


def _load(point: EntryPoint) -> type[Family]:
    family = point.load()
    if not (isinstance(family, type) and issubclass(family, Family)):
        raise TypeError(f"{point.value} is not a Family")
    return family
