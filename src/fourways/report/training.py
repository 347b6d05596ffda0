"""The curves of the tuning section: loss and gradient norms, step by step, one panel a candidate."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from fourways.report.charts import Curve, curves, thin, x_frame, y_frame
from fourways.report.facts import Training
from fourways.report.markup import Html, tag
from fourways.report.plot import Linear, Logarithmic, Scale, bounds, panels

Runs = Mapping[tuple[str, int], Training]


def losses(runs: Runs, names: Sequence[str]) -> Html:
    """Training loss, one line a seed; all panels to one scale."""
    every = [loss for run in runs.values() for _, loss in run.losses if math.isfinite(loss)]
    y = Linear(*bounds(every), *y_frame())
    drawn = []
    for i, name in enumerate(names):
        mine = {seed: run for (who, seed), run in runs.items() if who == name}
        if not mine:
            continue
        content = [Curve(i, thin([(float(s), v) for s, v in run.losses])) for run in mine.values()]
        said = "; ".join(f"seed {seed}: {_ends(run.losses)}" for seed, run in mine.items())
        drawn.append(
            curves(f"Training loss, {name}", content, x=_steps(runs), y=y, x_label="step; one line a seed", about=said)
        )
    return panels(*drawn) if drawn else tag("p", "No training steps were recorded.")


def gradient_norms(runs: Runs, names: Sequence[str]) -> Html:
    """Norms of the LoRA gradients before clipping: the median over the adapted modules, with the band from the least
    to the greatest; logarithmic; one line a seed."""
    every = [v for run in runs.values() for _, *three in run.norms for v in three if v > 0 and math.isfinite(v)]
    if not every:
        return tag("p", "No gradient norms were recorded.")
    y = Logarithmic(min(every) / 1.3, max(every) * 1.3, *y_frame())
    drawn = []
    for i, name in enumerate(names):
        mine = {seed: run for (who, seed), run in runs.items() if who == name and run.norms}
        if not mine:
            continue
        content = []
        for run in mine.values():
            shown = [point for point in thin(run.norms) if all(math.isfinite(v) and v > 0 for v in point[1:])]
            band = [(float(s), low, high) for s, _, low, high in shown]
            content.append(Curve(i, [(float(s), middle) for s, middle, _, _ in shown], band))
        said = "; ".join(
            f"seed {seed}: median {_ends([(s, m) for s, m, _, _ in run.norms])}" for seed, run in mine.items()
        )
        title = f"Gradient norms, {name}"
        drawn.append(curves(title, content, x=_steps(runs), y=y, x_label="step; line: median module", about=said))
    return panels(*drawn)


def _steps(runs: Runs) -> Scale:
    last = max((step for run in runs.values() for step, _ in run.losses), default=1)
    return Linear(0.0, float(last), *x_frame())


def _ends(points: Sequence[tuple[int, float]]) -> str:
    (first, a), (last, b) = points[0], points[-1]
    return f"{a:.3g} at step {first}, {b:.3g} at step {last}"
