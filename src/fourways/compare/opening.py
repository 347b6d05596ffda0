"""Candidates → checkpoints that were looked at, and engines that are open.

What runs models is imported where a model is opened: it takes seconds, and who only asks a server needs none of it."""

from __future__ import annotations

import gc
import os
import sys
import traceback
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

import fourways
from fourways import zoo
from fourways.axes.contract import CONCURRENCY, Opened
from fourways.compare.room import available_bytes, check_room, count_parameters
from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.digests import hash_file
from fourways.core.engine import EngineInfo
from fourways.core.errors import CapabilityError, CheckpointError, FourwaysError, OutOfMemory, UserError
from fourways.core.events import Done, Event
from fourways.core.manifest import Manifest
from fourways.core.request import Request
from fourways.core.run import CandidateRecord, ThreadChoice
from fourways.engines import open_engine
from fourways.engines.openai.address import find_address
from fourways.hub import resolve
from fourways.hub.manifest import filled, make

Checkpoints = Mapping[str, Checkpoint | None]
"""Candidate's name → its checkpoint; None for a server by URL."""


def embedded() -> dict[str, Path]:
    """Name → folder of the models inside the package."""
    return zoo.checkpoints()


def find_checkpoints(candidates: Sequence[Candidate]) -> Checkpoints:
    """Looks at every checkpoint, fetching what is not here. Raises CheckpointError with all that is wrong: a name is
    corrected in seconds now, and after hours of measuring it is not."""
    found: dict[str, Checkpoint | None] = {}
    wrong: list[FourwaysError] = []
    for candidate in candidates:
        try:
            found[candidate.name] = _find(candidate)
        except FourwaysError as error:
            wrong.append(error)
    if len(wrong) == 1:
        raise wrong[0]
    if wrong:
        kinds = (
            (CheckpointError, UserError) if any(isinstance(error, UserError) for error in wrong) else (FourwaysError,)
        )
        kind = next((k for k in kinds if all(isinstance(error, k) for error in wrong)), kinds[-1])
        raise kind("; ".join(error.message for error in wrong), hint=next((e.hint for e in wrong if e.hint), None))
    return found


def _find(candidate: Candidate) -> Checkpoint | None:
    check_asked(candidate)
    if candidate.model is None:
        return None
    checkpoint = resolve(candidate.model, embedded=embedded(), weights=candidate.weights)
    from fourways.families.registry import find_family

    find_family(checkpoint.architecture, checkpoint.folder)
    return checkpoint


def check_asked(candidate: Candidate) -> None:
    """What can be known to be wrong before the checkpoint is looked at: its URL and key, its device, its quantisation,
    its adapter. Raises UserError."""
    if candidate.model is None:
        find_address(candidate)
        return
    available_bytes(candidate.device)
    if candidate.quantization is not None:
        from fourways.families.quantization import check_quantization

        try:
            check_quantization(candidate.quantization, candidate.dtype)
        except CapabilityError as error:
            raise UserError(f"{candidate.name}: {error.message}", hint=error.hint) from error
    if candidate.adapter is not None and not (Path(candidate.adapter) / "adapter_config.json").is_file():
        raise CheckpointError(
            f"{candidate.name}: {candidate.adapter} is no LoRA adapter: it has no adapter_config.json",
            hint="name the folder that PEFT saved, or a registered adapter",
        )


@dataclass(frozen=True, slots=True)
class Failed:
    """A candidate that could not be opened."""

    candidate: Candidate
    error: FourwaysError

    @property
    def status(self) -> Literal["failed", "undefined"]:
        return status_of(self.error)


def status_of(error: FourwaysError) -> Literal["failed", "undefined"]:
    """What cannot be asked at all is undefined; all else was tried and broke."""
    return "undefined" if isinstance(error, CapabilityError) else "failed"


class EnginePool:
    """The engines that are open now. Closed engines are opened again when they are next needed."""

    def __init__(
        self,
        checkpoints: Checkpoints,
        threads: Mapping[str, int],
        concurrency: int | None = CONCURRENCY,
        choice: ThreadChoice | None = None,
    ) -> None:
        """threads: candidate's name → the thread count it had before, so that it is not chosen anew. choice: what the
        run chose before for all that are given none. concurrency: what a server by URL must take at once, at least;
        None: without bound."""
        self._checkpoints = checkpoints
        self._concurrency = None if concurrency is None else max(concurrency, CONCURRENCY)
        self._threads = dict(threads)
        self.choice = choice
        self._open: dict[str, Opened] = {}

    async def only(self, candidates: Sequence[Candidate]) -> list[Opened | Failed]:
        """These candidates open, in this order, and no others."""
        wanted = {candidate.name for candidate in candidates}
        closed = [self._open.pop(name) for name in list(self._open) if name not in wanted]
        devices = {one.candidate.device for one in closed if one.checkpoint is not None}
        while closed:
            await closed.pop().engine.close()
        _give_back(devices)
        return [await self._opened(candidate) for candidate in candidates]

    async def none(self, records: Sequence[CandidateRecord]) -> list[Opened | Failed]:
        """The candidates as they were opened once, with nothing open now: for an axis that works in its own process."""
        await self.only(())
        result: list[Opened | Failed] = []
        for record in records:
            candidate = record.candidate
            if record.engine is None:
                kind = CapabilityError if record.failure_status == "undefined" else FourwaysError
                result.append(Failed(candidate, kind(record.failure or "it could not be opened")))
            else:
                result.append(Opened(candidate, self._checkpoints[candidate.name], _Closed(record.engine)))
        return result

    async def record(self, candidate: Candidate) -> CandidateRecord:
        """Opens the candidate and says what it is."""
        checkpoint = self._checkpoints[candidate.name]
        (opened,) = await self.only([candidate])
        return CandidateRecord(
            candidate=candidate,
            architecture=checkpoint.architecture if checkpoint else None,
            sha256={**checkpoint.sha256, **_adapter_digests(candidate)} if checkpoint else {},
            engine=self._told(opened) if isinstance(opened, Opened) else None,
            failure=opened.error.message if isinstance(opened, Failed) else None,
            failure_status=opened.status if isinstance(opened, Failed) else "failed",
            manifest=_manifest(checkpoint) if checkpoint else None,
        )

    def in_turn(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """As they are to be opened first: the one whose trial of threads decides for all, which is the one with most
        parameters, before the others."""
        return sorted(candidates, key=lambda one: -_size(one, self._checkpoints[one.name]))

    def _known_threads(self, candidate: Candidate) -> int | None:
        """None: its engine shall try."""
        if self.choice is not None and shares_threads(candidate):
            return self.choice.count
        return self._threads.get(candidate.name)

    def _told(self, opened: Opened) -> EngineInfo:
        """The engine's words, but for who set its threads."""
        info, choice, candidate = opened.engine.info, self.choice, opened.candidate
        if choice is None or not shares_threads(candidate):
            return info
        measured = choice.trial if candidate.name == choice.measured_on else "as for the whole run"
        return msgspec.structs.replace(info, settings={**info.settings, "threads_measured": measured})

    async def close(self) -> None:
        await self.only(())

    async def _opened(self, candidate: Candidate) -> Opened | Failed:
        if candidate.name in self._open:
            return self._open[candidate.name]
        checkpoint = self._checkpoints[candidate.name]
        try:
            if checkpoint is not None:
                check_room(candidate, checkpoint)
            threads = candidate.threads or self._known_threads(candidate)
            engine = await open_engine(
                msgspec.structs.replace(candidate, threads=threads), checkpoint, concurrency=self._concurrency
            )
        except Exception as error:
            return Failed(candidate, explain(error))
        if (chosen := threads_of(engine.info)) is not None:
            self._threads[candidate.name] = chosen
            if self.choice is None and shares_threads(candidate):
                from fourways.engines.local.threads import RULE

                self.choice = ThreadChoice(chosen, candidate.name, engine.info.settings["threads_measured"], RULE)
        self._open[candidate.name] = Opened(candidate, checkpoint, engine)
        return self._open[candidate.name]


def _adapter_digests(candidate: Candidate) -> dict[str, str]:
    if candidate.adapter is None:
        return {}
    files = sorted(Path(candidate.adapter).iterdir())
    return {f"adapter/{file.name}": hash_file(file) for file in files if file.suffix in (".json", ".safetensors")}


def _manifest(checkpoint: Checkpoint) -> Manifest | None:
    """With the digests that the checkpoint was looked at with. None for random weights, which have no headers, and for
    a checkpoint that was damaged since: then the candidate could not be opened either."""
    if checkpoint.random_weights:
        return None
    from fourways.families.registry import registered

    try:
        manifest = make(checkpoint.folder, lambda: {name: one.card for name, one in registered().families.items()})
    except (CheckpointError, OSError):
        return None
    return filled(manifest, checkpoint.folder, checkpoint.sha256)


def _give_back(devices: set[str]) -> None:
    """A closed engine's tensors lie in cycles of references, and what is free of a CUDA device stays with this process
    until it says otherwise: the next candidate, or a probe in a process of its own, needs that room."""
    if not devices:
        return
    gc.collect()
    if any(device != "cpu" for device in devices):
        import torch

        torch.cuda.empty_cache()


class _Closed:
    """An engine that says what it was and answers nothing."""

    def __init__(self, info: EngineInfo) -> None:
        self._info = info

    @property
    def info(self) -> EngineInfo:
        return self._info

    def stream(self, request: Request) -> AsyncIterator[Event | Done]:
        raise CapabilityError("this engine is closed")

    async def clear_caches(self) -> None: ...

    async def close(self) -> None: ...


def shares_threads(candidate: Candidate) -> bool:
    """Whether it computes on this machine's cores and leaves the number of threads to the run."""
    return candidate.model is not None and candidate.device == "cpu" and candidate.threads is None


def _size(candidate: Candidate, checkpoint: Checkpoint | None) -> int:
    """Parameters of one that shares its threads; 0 for others, and where they cannot be counted."""
    if checkpoint is None or not shares_threads(candidate):
        return 0
    try:
        return count_parameters(checkpoint)
    except Exception:
        return 0


def threads_of(info: EngineInfo | None) -> int | None:
    """The thread count that an engine chose; None for one that has none of its own."""
    text = info.settings.get("threads", "") if info is not None else ""
    return int(text) if text.isdecimal() else None


def explain(error: Exception) -> FourwaysError:
    """Any failure of a candidate in one clear line; FOURWAYS_DEBUG=1 prints its traceback."""
    if os.environ.get("FOURWAYS_DEBUG") == "1":
        traceback.print_exception(error)
    if isinstance(error, FourwaysError):
        return error
    if _ran_out_of_memory(error):
        return OutOfMemory("out of memory", hint="a smaller dtype or visual budget, or a larger device")
    text = " ".join(str(error).split())
    return FourwaysError(
        f"{type(error).__name__}: {text}"[:500],
        hint=f"this is a fault of Fourways, in {_origin(error)}: please report it; "
        "FOURWAYS_DEBUG=1 prints the traceback",
    )


def _ran_out_of_memory(error: Exception) -> bool:
    """torch's own kind can only come from a torch that was imported."""
    torch = sys.modules.get("torch")
    return isinstance(error, MemoryError) or (torch is not None and isinstance(error, torch.OutOfMemoryError))


def _origin(error: Exception) -> str:
    """`room/file.py:line`: the innermost line of this package on the way to the error."""
    package = Path(fourways.__file__).parent
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if Path(frame.filename).is_relative_to(package)]
    return f"{Path(ours[-1].filename).relative_to(package)}:{ours[-1].lineno}" if ours else "no line of its own"
