"""Examples made ready once: planned, tokenised, preprocessed; and the frozen tower's features, encoded once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fourways.core.errors import UserError
from fourways.families.contract import Family, PromptLayout, VisualUnit
from fourways.tuning.examples import Example

UNITS_A_CALL = 16


@dataclass(frozen=True, slots=True)
class Prepared:
    """A planned example. answer_ids: (A,) int64, the answer's tokens and the end token."""

    id: str
    layout: PromptLayout
    answer_ids: Tensor

    @property
    def length(self) -> int:
        """Tokens in the sequence that is trained on; the end token is predicted, never read."""
        return len(self.layout.token_ids) + len(self.answer_ids) - 1


class Visuals:
    """Visual units of a data set, and their features.

    `freeze` encodes each distinct unit once, without gradients; from then on `of` reads what was kept. Before it, and
    after `forget`, every call encodes again, with gradients: what an adapter on the tower or the connector needs.
    """

    def __init__(self, family: Family) -> None:
        self._family = family
        self._units: dict[str, VisualUnit] = {}
        self._kept: dict[str, Tensor] = {}

    def add(self, units: Iterable[VisualUnit]) -> None:
        for unit in units:
            self._units.setdefault(unit.key, unit)

    @property
    def some(self) -> VisualUnit | None:
        return next(iter(self._units.values()), None)

    @property
    def kept(self) -> Iterable[Tensor]:
        return self._kept.values()

    @torch.no_grad()
    def freeze(self) -> None:
        new = [unit for key, unit in self._units.items() if key not in self._kept]
        for start in range(0, len(new), UNITS_A_CALL):
            chunk = new[start : start + UNITS_A_CALL]
            for unit, features in zip(chunk, self._family.encode(chunk), strict=True):
                self._kept[unit.key] = features.clone()

    def forget(self) -> None:
        self._kept.clear()

    def of(self, layout: PromptLayout) -> list[Tensor]:
        """What replaces the placeholders of each visual of one prompt."""
        keys = [key for visual in layout.visuals for key in visual.unit_keys]
        fresh = [self._units[key] for key in dict.fromkeys(keys) if key not in self._kept]
        encoded = dict(zip((u.key for u in fresh), self._family.encode(fresh), strict=True)) if fresh else {}
        return [
            self._family.assemble(visual, [encoded[k] if k in encoded else self._kept[k] for k in visual.unit_keys])
            for visual in layout.visuals
        ]


def prepare(
    family: Family, examples: Sequence[Example], visuals: Visuals, visual_budget: int | None = None
) -> list[Prepared]:
    """Plan every example and hand its visual units to `visuals`.

    Nothing is ever cut. Raises UserError where an example does not fit the model's context, or has no answer.
    """
    prepared = []
    for example in examples:
        layout = family.layout(example.conversation, visual_budget)
        item = Prepared(example.id, layout, _answer_ids(family, example))
        if item.length > family.spec.context:
            raise UserError(
                f"example {example.id} has {item.length} tokens, the model's context holds {family.spec.context}",
                hint="use smaller images or shorter texts: cutting would lose image tokens or the answer",
            )
        for visual in example.conversation.visuals:
            visuals.add(family.preprocess(visual, visual_budget))
        prepared.append(item)
    return prepared


def _answer_ids(family: Family, example: Example) -> Tensor:
    ids = family.tokenizer.encode(example.answer, add_special_tokens=False)
    if not ids:
        raise UserError(f"example {example.id} has an empty answer", hint="give every example a label")
    return torch.tensor([*ids, end_token(family)], dtype=torch.int64)


def end_token(family: Family) -> int:
    """The token that ends an answer: the tokenizer's own, if the model stops at it."""
    own = family.tokenizer.eos_token_id
    ends = family.spec.eos_token_ids
    return own if isinstance(own, int) and own in ends else ends[0]
