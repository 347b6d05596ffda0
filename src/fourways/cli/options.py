"""What `fourways compare` was told, and the job that it means."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from fourways.cli.choices import DTYPES, WEIGHTS, choice
from fourways.compare import Defaults, Job, Scale, job_of, load_suite, parse_budgets, parse_candidates, parse_shard
from fourways.core.candidate import Candidate
from fourways.core.errors import UserError
from fourways.core.figure import AXES
from fourways.core.figure import Axis as AxisName
from fourways.core.run_files import read_header

_QUICK_LIMIT = 40
_OF_CANDIDATES = frozenset({"device", "dtype", "weights", "visual_tokens"})
_BESIDE = frozenset({"resume", "add", "require", "dry_run"})


@dataclass(frozen=True, slots=True)
class Options:
    """The options by their names. given: those that stood on the command line."""

    candidates: list[str] | None
    suite: list[str] | None
    axes: str
    device: str
    dtype: str
    limit: int | None
    seed: int
    out: Path | None
    weights: str
    visual_tokens: str
    dry_run: bool
    resume: Path | None
    add: tuple[str, Path] | None
    require: str | None
    quick: bool
    no_images: bool
    replicas: int | None
    ray: str | None
    shard: str | None
    concurrency: int | None
    given: frozenset[str]


def new_job(options: Options) -> Job:
    """Raises UserError naming the option, the word or the file."""
    limit = options.limit if options.limit is not None or not options.quick else _QUICK_LIMIT
    return Job(
        candidates=asked_candidates(options, options.candidates or ["zoo"]),
        axes=_axes(options),
        suite=load_suite(options.suite or ()),
        seed=options.seed,
        limit=limit,
        quick=options.quick,
        out=options.out,
        argv=tuple(sys.argv),
        show_images=not options.no_images,
        shard=None if options.shard is None else parse_shard(options.shard),
        scale=_scale(options, Scale()),
    )


def resumed_job(options: Options, run: Path) -> Job | None:
    """What the command line says beside --resume, over what the run's header says; None if it says nothing."""
    given = options.given - _BESIDE
    if "out" in given:
        raise UserError("--out and --resume exclude each other: a run goes on in its own folder")
    if not given:
        return None
    if given & _OF_CANDIDATES and not options.candidates:
        raise UserError("with --resume, options of candidates need the candidates too", hint=f"or only: --resume {run}")
    whole = new_job(options)
    same = given & {"candidates", "axes", "suite", "seed", "limit", "shard"}
    fields: dict[str, Any] = {name: getattr(whole, name) for name in same}
    if "no_images" in given:
        fields["show_images"] = False
    if "quick" in given:
        fields |= {"quick": whole.quick, "limit": whole.limit}
    before = job_of(read_header(run))
    return replace(before, argv=tuple(sys.argv), scale=_scale(options, before.scale), **fields)


def foreseen_job(options: Options) -> Job:
    """What `--dry-run` looks at: with --add the one candidate over the run's suite and axes, with --resume the whole
    run that would be gone on with."""
    if options.add is not None:
        check_add(options)
        model, run = options.add
        return replace(job_of(read_header(run)), candidates=asked_candidates(options, [model]))
    if options.resume is not None:
        return resumed_job(options, options.resume) or job_of(read_header(options.resume))
    return new_job(options)


def asked_candidates(options: Options, words: list[str]) -> tuple[Candidate, ...]:
    """The words under the options that hold for all candidates."""
    defaults = Defaults(
        options.device, choice("--dtype", options.dtype, DTYPES), choice("--weights", options.weights, WEIGHTS)
    )
    return parse_candidates(words, defaults, parse_budgets(options.visual_tokens))


def check_add(options: Options) -> None:
    """Raises UserError if something stands beside --add that only a new run can have."""
    if stray := options.given - _OF_CANDIDATES - {"add", "require", "dry_run"}:
        raise UserError(
            f"--add takes everything else from the run: leave out {', '.join(sorted(stray))}",
            hint="fourways compare --add MODEL RUN",
        )


def _scale(options: Options, before: Scale) -> Scale:
    """What the command line says over `before`. Who names replicas and no cluster wants them here."""
    if options.given & {"replicas", "ray"}:
        before = replace(before, replicas=options.replicas, ray=options.ray)
    return before if options.concurrency is None else replace(before, concurrency=options.concurrency)


def _axes(options: Options) -> tuple[AxisName, ...]:
    """Those asked for; of a shard, unless it is said, the one that can be divided."""
    if options.shard is not None and "axes" not in options.given:
        return ("accuracy",)
    text = options.axes
    words = [word.strip() for word in text.split(",") if word.strip()]
    if unknown := [word for word in words if word not in AXES]:
        raise UserError(f"--axes: there is no axis {unknown[0]!r}", hint=f"the axes are {', '.join(AXES)}")
    if not words:
        raise UserError("--axes names no axis", hint=f"the axes are {', '.join(AXES)}")
    return tuple(name for name in AXES if name in words)
