"""The part of the family contract that needs no tensors: what other rooms may know of a model."""

from __future__ import annotations

import msgspec

from fourways.core.boxes import BoxFormat


class FamilyCard(msgspec.Struct, frozen=True):
    """What a family declares.

    architectures: class names in config.json that it loads. dialect: how its models like to be asked; a benchmark maps
    it to a prompt. lora_targets: name ("llm", "llm+connector", "all") → anchored regular expression over module names.
    video: whether a clip is taken. markup: control tokens that a text may use, since they mark regions and never turns
    or visuals; all others are encoded as text.
    """

    name: str
    architectures: tuple[str, ...]
    dialect: str
    box_format: BoxFormat
    lora_targets: dict[str, str]
    video: bool = False
    markup: tuple[str, ...] = ()
