"""What a request will be, before its pictures are drawn: the same for every candidate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol

from fourways.core.request import Generate, Output, Plan
from fourways.load.workload.chance import Chance, choose
from fourways.load.workload.spec import Answer, WorkloadSpec


@dataclass(frozen=True, slots=True)
class Medium:
    """A picture or clip. key: equal for the same file. make: its bytes. frames: of a clip."""

    key: str
    kind: Literal["image", "video"]
    make: Callable[[], bytes]
    frames: int = 1


@dataclass(frozen=True, slots=True)
class Draft:
    """original: names the request that this one is or repeats; requests of one original are alike in everything.
    prompt: dialect → text. output: without its seed. planned: the candidate's own plan → this request's."""

    original: str
    media: Sequence[Medium]
    prompt: Callable[[str], str]
    system: str | None
    output: Output
    planned: Callable[[Plan], Plan]
    at_s: float | None = None


class Source(Protocol):
    """Where drafts come from. limit: how many there are; None: as many as are asked for. repeats: whether a picture may
    come twice. adapters: those that some draft asks for."""

    limit: int | None
    repeats: bool
    adapters: frozenset[str]

    def draft(self, item: int) -> Draft: ...


def generate(answer: Answer, tokens: int) -> Generate:
    return Generate(tokens, min_tokens=tokens, ignore_eos=True) if answer.length == "exact" else Generate(tokens)


def planner(spec: WorkloadSpec, chance: Chance, number: int, adapter: str | None = None) -> Callable[[Plan], Plan]:
    """The plan of request `number`: its adapter (or the one given) and its visual budget, where the workload mixes
    them; else the candidate's own."""
    if adapter is None and spec.adapters:
        weights = [choice.weight for choice in spec.adapters]
        adapter = spec.adapters[choose(weights, chance.even("adapter", number))].adapter
    budgets: list[int | None] = []
    if isinstance(spec.visual_budget, list):
        weights = [choice.weight for choice in spec.visual_budget]
        budgets.append(spec.visual_budget[choose(weights, chance.even("budget", number))].visual_tokens)
    elif spec.visual_budget is not None:
        budgets.append(spec.visual_budget)

    def planned(plan: Plan) -> Plan:
        own = plan if adapter is None else replace(plan, adapter=adapter)
        return replace(own, visual_budget=budgets[0]) if budgets else own

    return planned
