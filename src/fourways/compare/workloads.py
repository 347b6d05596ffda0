"""A workload by the word that names it, with the benchmark's data that it may need."""

from __future__ import annotations

from fourways.axes.questions import questions_of
from fourways.compare.suites import load_suite
from fourways.core.errors import UserError
from fourways.hub.data import data_sha256
from fourways.load import Workload, draw, read_workload


def open_workload(word: str, *, seed: int | None = None) -> Workload:
    """word: a shipped name, a file, or a trace. seed: in place of the file's own. A benchmark (its key, or KEY=PATH) is
    found as `--suite` finds it. Raises UserError naming what is wrong."""
    description = read_workload(word)
    wanted = description.spec.benchmark
    if wanted is None:
        return draw(description, seed=seed)
    try:
        suite = load_suite([wanted])
    except UserError as error:
        raise UserError(f"the workload {word}, benchmark: {error.message}", hint=error.hint) from error
    if len(suite) != 1:
        raise UserError(
            f"the workload {word}, benchmark: {wanted} holds {len(suite)} of them",
            hint="name one by its key: mmbench_en",
        )
    (entry,) = suite.values()
    return draw(description, seed=seed, questions=questions_of(entry, data_sha256(entry.path)))
