"""What a run would do, before it does it: what would be fetched, what fits, how long it takes. Loads no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from fourways.compare.axes import AXES
from fourways.compare.crew import check_scale, copies, only_crew, who_asks
from fourways.compare.job import Job, settings_of
from fourways.compare.opening import check_asked, embedded
from fourways.compare.room import available_bytes, count_int8, count_parameters, needed_bytes
from fourways.compare.sharding import check_shard
from fourways.core.candidate import Candidate
from fourways.core.errors import FourwaysError
from fourways.core.figure import Axis as AxisName
from fourways.evidence import redact
from fourways.families.registry import find_family
from fourways.hub import Found, locate, look_at_config
from fourways.hub import look as look_at_weights


@dataclass(frozen=True, slots=True)
class Foreseen:
    """One candidate. download_bytes: 0 if it is here, None if the Hub could not be asked. needed_bytes: None for a
    server by URL or an unknown size. fits: None if that cannot be told. trouble: what the run would stop at."""

    candidate: Candidate
    source: str
    parameters: int | None = None
    needed_bytes: int | None = None
    available_bytes: int | None = None
    download_bytes: int | None = 0
    trouble: FourwaysError | None = None

    @property
    def fits(self) -> bool | None:
        if self.needed_bytes is None or self.available_bytes is None:
            return None
        return self.needed_bytes <= self.available_bytes

    @property
    def exit_code(self) -> int:
        """What the run would end with, if this candidate were all."""
        if self.trouble is not None:
            return self.trouble.exit_code
        return 1 if self.fits is False else 0


@dataclass(frozen=True, slots=True)
class Foresight:
    """work: axis → (units of work, seconds at the pace of the embedded models on two cores, in one process). askers:
    who asks the questions of the accuracy axis, a line each; empty where that axis is not asked for."""

    candidates: tuple[Foreseen, ...]
    work: Mapping[AxisName, tuple[int, float]]
    askers: tuple[str, ...] = ()


def foresee(job: Job) -> Foresight:
    """Looks at every candidate and asks every axis. Loads and fetches nothing, and starts no worker; asks the Hub for
    sizes. Raises UserError for a scale or a shard that cannot be."""
    check_shard(job)
    check_scale(job.scale, job.candidates)
    settings = settings_of(job, Path())
    return Foresight(
        candidates=tuple(_here_or_there(job, candidate) for candidate in job.candidates),
        work={name: AXES[name].estimate(job.candidates, settings) for name in job.axes},
        askers=_askers(job) if "accuracy" in job.axes else (),
    )


def _askers(job: Job) -> tuple[str, ...]:
    """Only what was asked for beyond the run's own process."""
    lines = [] if job.shard is None else [f"shard {job.shard.index} of {job.shard.of}, in whole images"]
    return (*lines, *(line for c in job.candidates if (line := who_asks(job.scale, c)) is not None))


def _here_or_there(job: Job, candidate: Candidate) -> Foreseen:
    """Of a candidate that only workers elsewhere will open, this machine's memory says nothing."""
    if job.scale.ray is None or not only_crew(job, candidate):
        return _foreseen(candidate, copies(job.scale, candidate))
    found = _foreseen(msgspec.structs.replace(candidate, device="cpu"), 1)
    return replace(found, candidate=candidate, available_bytes=None)


def _foreseen(candidate: Candidate, copies: int) -> Foreseen:
    """copies: of its weights in the memory of one device."""
    found: Found | None = None
    try:
        check_asked(candidate)
        if candidate.model is None:
            return Foreseen(candidate, source=redact(candidate.url or ""))
        found = locate(candidate.model, embedded=embedded(), weights=candidate.weights)
        free = available_bytes(candidate.device)
        if found.folder is None:
            return _remote(candidate, found, free)
        look = look_at_config if candidate.weights == "random" else look_at_weights
        checkpoint = look(found.folder)
        find_family(checkpoint.architecture, checkpoint.folder)
        parameters = count_parameters(checkpoint)
        needed = copies * needed_bytes(candidate, parameters, count_int8(candidate, checkpoint))
    except FourwaysError as error:
        source = str(found.folder) if found and found.folder else candidate.model or candidate.url or ""
        return Foreseen(candidate, source=redact(source), download_bytes=None, trouble=error)
    return Foreseen(candidate, redact(str(found.folder)), parameters, needed, free, download_bytes=0)


def _remote(candidate: Candidate, found: Found, free: int) -> Foreseen:
    """A model on the Hub: its files are counted as 16-bit weights, which is how nearly all are published. For random
    weights no such file would be fetched, and the size is unknown before the configuration is here."""
    source = f"{candidate.model} on the Hub"
    remote = found.download()
    if remote is None:
        return Foreseen(candidate, source)
    parameters = sum(size for file, size in remote.files.items() if file.endswith(".safetensors")) // 2
    if parameters == 0:
        return Foreseen(candidate, source, available_bytes=free, download_bytes=remote.size)
    return Foreseen(candidate, source, parameters, needed_bytes(candidate, parameters), free, remote.size)
