"""Who was compared, as run.json has it: what each is, what answered for it, and how that was set."""

from __future__ import annotations

from collections.abc import Sequence

from fourways import figures
from fourways.core.candidate import Candidate
from fourways.core.engine import EngineInfo
from fourways.core.run import CandidateRecord, RunHeader
from fourways.report.markup import Child, Html, foreign, join, tag
from fourways.report.numbers import scale_for
from fourways.report.plot import swatch
from fourways.report.tables import stacked

_HEADS = ("candidate", "what", "engine", "precision", "device", "asked how", "threads, limits and versions")
_BYTES = "_bytes"


def candidates(header: RunHeader) -> Html:
    """One row each; its settings unfold."""
    return stacked("Candidates", _HEADS, [_row(i, record) for i, record in enumerate(header.candidates)])


def _row(index: int, record: CandidateRecord) -> Sequence[Child]:
    c, engine = record.candidate, record.engine
    return (
        join([swatch(index), " ", tag("bdi", c.name)]),
        join([tag("bdi", c.model or c.url or ""), tag("br"), record.architecture or "architecture not known"]),
        record.failure or (_engine(engine) if engine else ""),
        "no access" if c.url else f"{c.dtype}{'' if c.quantization is None else ', ' + c.quantization}",
        c.device,
        _how(c),
        None if engine is None else _settings(c, engine),
    )


def _engine(engine: EngineInfo) -> str:
    return ", ".join(part for part in (engine.engine, engine.settings.get("family")) if part)


def _how(c: Candidate) -> str:
    said = [f"adapter {c.adapter}"] if c.adapter else []
    said += [f"at most {c.visual_budget} visual tokens an image"] if c.visual_budget else []
    said.append(figures.sampling_in_words(c.sampling))
    said += ["random weights"] if c.weights == "random" else []
    return ", ".join(said)


def _settings(c: Candidate, engine: EngineInfo) -> Html | None:
    """All but those that have a column and say the same there."""
    columns = {"device": c.device, "dtype": c.dtype, "family": engine.settings.get("family")}
    left = {name: value for name, value in sorted(engine.settings.items()) if columns.get(name) != value}
    if not left:
        return None
    threads = left.pop("threads", None)
    number = f"{len(left):,} setting{'s' * (len(left) != 1)}"
    summary = number if threads is None else f"threads {threads}, and {number} more"
    lines = (tag("li", foreign(setting(name, value))) for name, value in left.items())
    return tag("details", tag("summary", foreign(summary)), tag("ul", *lines, class_="why"))


def setting(name: str, value: str) -> str:
    """An engine's setting in words; sizes in binary units."""
    if name == "threads_measured":
        trials = [part.split(": ") for part in value.split(", ")]
        if any(len(trial) != 2 for trial in trials):
            return f"number of threads {value}"
        return "a short trial took " + ", ".join(f"{time} with {n} thread{'s' * (n != '1')}" for n, time in trials)
    if name.endswith(_BYTES) and value.isascii() and value.isdecimal():
        name, value = name.removesuffix(_BYTES), scale_for("bytes", int(value)).full(int(value))
    return f"{name.replace('_', ' ')} {value}"
