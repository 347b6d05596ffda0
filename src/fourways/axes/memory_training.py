"""What one step of a LoRA fine-tune needs, on the same picture and as many tokens as the measured request.

The step that is read is the second one: the first makes the gradients and the optimiser's state, which every later step
holds. The tower is frozen under this recipe, so its features are there already, as in a fine-tune.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace

from fourways.axes.memory_gauges import Reading, StageGauges
from fourways.axes.memory_stages import ProbeRequest
from fourways.families.contract import Family
from fourways.tuning.examples import Example
from fourways.tuning.lora import LoraRun, TrainingSet
from fourways.tuning.recipe import Recipe

STEPS = 2
_ANSWER = "picture"


def probe_recipe(batch: int) -> Recipe:
    """The fine-tune that is measured: the recipe's own settings, for `STEPS` steps."""
    return Recipe(seed=0, steps=STEPS, batch_size=batch)


def train_step(
    family: Family, request: ProbeRequest, recipe: Recipe, visual_budget: int | None, gauges: StageGauges
) -> Iterator[Reading]:
    """The readings of a step on `recipe.batch_size` copies of the request, answered by `request.new_tokens` tokens and
    the end token. The family's module is as it was afterwards. Raises what a fine-tune of this model raises."""
    example = Example("memory probe", request.conversation, " ".join([_ANSWER] * request.new_tokens))
    gauges.settle()
    with ExitStack() as stack:
        with gauges.watch():
            data = TrainingSet(family, [example], visual_budget)
            (item,) = data.items
            data.items = [replace(item, answer_ids=item.answer_ids[-request.new_tokens - 1 :])]
            steps = stack.enter_context(LoraRun(family, recipe)).steps(data)
            next(steps)
        with gauges.stage("train_step"):
            next(steps)
        yield from gauges.readings("train_step")
