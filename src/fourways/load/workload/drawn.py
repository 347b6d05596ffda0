"""A workload that can be asked: drafts become requests, their pictures are drawn once, and kept outside memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

from fourways.core.conversation import Conversation, Part, Turn, Visual
from fourways.core.engine import EngineInfo
from fourways.core.errors import UserError
from fourways.core.load import Load
from fourways.core.questions import Questions
from fourways.core.request import Generate, Output, Plan, Request, derive_seed
from fourways.core.rows import Cache
from fourways.core.run import WorkloadRecord
from fourways.load.client import Ask
from fourways.load.workload.asked import Asked
from fourways.load.workload.drafts import Draft, Medium, Source
from fourways.load.workload.held import HeldImage, HeldVideo, Spool
from fourways.load.workload.made import Made
from fourways.load.workload.reading import Description
from fourways.load.workload.trace_file import TraceLine, read_trace


class Workload:
    """Made by `draw`. name: as it stands in rows. limit: how many items it has, None for as many as are asked for.
    cache: what rows may claim of pictures that were not sent on purpose before. replay: how a trace is sent again, None
    without one. adapters: the LoRA adapters that its requests name."""

    def __init__(
        self, description: Description, seed: int, measured: Source, warming: Source, *,
        replay: Load | None, data_sha256: str | None,
    ) -> None:  # fmt: skip
        self.name = description.spec.label
        self.limit = measured.limit
        self.cache: Cache = "mixed" if measured.repeats else "cold"
        self.adapters = sorted(measured.adapters)
        self.replay = replay
        self._description, self._seed, self._data_sha256 = description, seed, data_sha256
        self._measured, self._warming = measured, warming
        self._spool = Spool()
        self._held: dict[tuple[str, str], Visual] = {}

    def asks(self, plan: Plan, *, engine: EngineInfo, items: Sequence[int], run_seed: int, prefix: str) -> list[Ask]:
        """The requests of these items, the same for every candidate but for what its plan and dialect change. A trace's
        instants count from the first item's. plan: the candidate's own. prefix: of the requests' ids, unique within the
        engine's life.

        Draws what has not been drawn: about 10 ms for a JPEG of a megapixel, so call it before the clock runs. Raises
        UserError for an item beyond `limit`.
        """
        if self.limit is not None and items and max(items) >= self.limit:
            raise UserError(
                f"the workload {self.name} has {self.limit} requests, and number {max(items) + 1} was asked for",
                hint="ask for fewer requests",
            )
        return self._asks(self._measured, "measured", plan, engine, items, run_seed, prefix)

    def warm_up(self, plan: Plan, *, engine: EngineInfo, items: Sequence[int], run_seed: int, prefix: str) -> list[Ask]:
        """Requests of the same kind, none of whose pictures is ever measured."""
        return self._asks(self._warming, "warm-up", plan, engine, items, run_seed, prefix)

    @property
    def record(self) -> WorkloadRecord:
        """What a run's header says of it."""
        told = self._description
        return WorkloadRecord(self.name, told.sha256, told.canonical, self._seed, self._data_sha256)

    @property
    def sets_budgets(self) -> bool:
        """Whether its `visual_budget` bounds the visual tokens of some request: a server by URL cannot be told to."""
        budgets = self._description.spec.visual_budget
        return any(one.visual_tokens is not None for one in budgets) if isinstance(budgets, list) else bool(budgets)

    def _asks(
        self, source: Source, stream: str, plan: Plan, engine: EngineInfo, items: Sequence[int], run_seed: int,
        prefix: str,
    ) -> list[Ask]:  # fmt: skip
        drafts = [source.draft(item) for item in items]
        self._draw(stream, drafts)
        first = drafts[0].at_s if drafts else None
        made = []
        for place, (item, draft) in enumerate(zip(items, drafts, strict=True)):
            media = [self._held[stream, medium.key] for medium in draft.media]
            conversation = Conversation.ask(draft.prompt(engine.dialect), *media, system=draft.system)
            output = _seeded(draft.output, derive_seed(run_seed, f"{self.name}/{draft.original}"))
            request = Request(f"{prefix}/{place}/{item}", conversation, draft.planned(plan), output)
            made.append(
                Ask(
                    request,
                    item,
                    media[0].source_sha256 if media else "",
                    read=partial(_decoded, request) if media and takes_pixels(engine) else None,
                    at_s=None if draft.at_s is None or first is None else draft.at_s - first,
                )
            )
        return made

    def _draw(self, stream: str, drafts: Sequence[Draft]) -> None:
        wanted = {medium.key: medium for draft in drafts for medium in draft.media}
        new = [medium for key, medium in wanted.items() if (stream, key) not in self._held]
        if not new:
            return
        with ThreadPoolExecutor(_threads()) as pool:
            for medium, part in zip(new, pool.map(self._hold, new), strict=True):
                self._held[stream, medium.key] = part

    def _hold(self, medium: Medium) -> Visual:
        content, name = medium.make(), f"workload {self.name}, {medium.key}"
        get = self._spool.put(content)
        if medium.kind == "video":
            return HeldVideo(content, get, name, medium.frames)
        return HeldImage(content, get, name)


def draw(description: Description, *, seed: int | None = None, questions: Questions | None = None) -> Workload:
    """A workload of this description. seed: in place of the description's own. questions: of the benchmark that it
    names. Draws nothing yet. Raises UserError for a trace that cannot be read, and where questions are missing."""
    spec = description.spec
    seed = spec.seed if seed is None else seed
    if spec.benchmark is not None:
        if questions is None:
            raise UserError(
                f"the workload {spec.label} asks {spec.benchmark}'s questions, and its data was not given",
                hint=f"fetch it with: fourways data pull {spec.benchmark}",
            )
        asked = [Asked(spec, seed, stream, questions) for stream in ("measured", "warm-up")]
        return Workload(description, seed, *asked, replay=None, data_sha256=questions.sha256)
    trace = () if description.trace is None else read_trace(description.trace)
    made = [Made(spec, seed, stream, trace) for stream in ("measured", "warm-up")]
    return Workload(description, seed, *made, replay=_replay(trace), data_sha256=description.trace_sha256)


def takes_pixels(engine: EngineInfo) -> bool:
    """Whether an engine is given decoded pictures. One that is not (a server by URL) decodes them itself; for one that
    is, decoding belongs to the timed path too."""
    return engine.engine != "openai"


def _decoded(request: Request) -> Request:
    """The request with its pictures read and decoded now."""
    turns = tuple(Turn(turn.role, tuple(map(_decoded_part, turn.parts))) for turn in request.conversation.turns)
    return replace(request, conversation=Conversation(turns))


def _decoded_part(part: Part) -> Part:
    return part.decoded() if isinstance(part, HeldImage | HeldVideo) else part


def _seeded(output: Output, seed: int) -> Output:
    return replace(output, seed=seed) if isinstance(output, Generate) else output


def _replay(trace: tuple[TraceLine, ...]) -> Load | None:
    if not trace:
        return None
    seconds = trace[-1].at_s - trace[0].at_s
    return Load("replay", rate_per_s=len(trace) / seconds if seconds > 0 else float(len(trace)))


def _threads() -> int:
    return max(1, min(4, os.cpu_count() or 1))
