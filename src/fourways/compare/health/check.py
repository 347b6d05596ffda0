"""Several models checked one after the other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import fourways
from fourways.compare.health.examination import Examination
from fourways.compare.health.server import check_server
from fourways.compare.health.target import LocalTarget, Target
from fourways.compare.health.verdict import fails
from fourways.core.health import CHECK_SCHEMA, Health, Limits, ModelHealth
from fourways.engines.openai.address import find_address

Say = Callable[[str], None]
Told = Callable[[ModelHealth], None]


class Check:
    """The check of these targets. `models` grows as they are finished, so a check that was stopped still has those.
    say: progress; told: of each model that is done."""

    def __init__(self, targets: Sequence[Target], limits: Limits, *, say: Say, told: Told) -> None:
        self._targets, self._limits = targets, limits
        self._say, self._told = say, told
        self.models: list[ModelHealth] = []

    async def run(self) -> Health:
        for target in self._targets:
            self.models.append(await self._one(target))
            self._told(self.models[-1])
        return self.health()

    def health(self) -> Health:
        """Of the models that are done."""
        passed = not any(fails(model.verdict) for model in self.models)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        return Health(CHECK_SCHEMA, fourways.__version__, now, self._limits, passed, tuple(self.models))

    async def _one(self, target: Target) -> ModelHealth:
        name = target.candidate.name
        if isinstance(target, LocalTarget):
            from fourways.compare.health.local import check_local  # what runs models takes seconds to import

            return await check_local(target, self._limits, Examination(name, str(target.folder), "local", self._say))
        shown = find_address(target.candidate).shown
        examination = Examination(name, shown, "openai", self._say)
        return await check_server(target.candidate, target.adapters, self._limits, examination)


def unfinished(check: Check, targets: Sequence[Target]) -> Iterator[str]:
    """Names of those that a stopped check did not come to the end of."""
    yield from (target.candidate.name for target in targets[len(check.models) :])
