"""One request inside the engine: what is known of it, and how far it is."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable
from collections.abc import Sequence as Seq
from concurrent.futures import Future
from dataclasses import dataclass, field

from torch import Tensor
from transformers import PreTrainedTokenizerBase

from fourways.core.conversation import Conversation
from fourways.core.events import Done, Event, FinishReason, Usage, VisualGeometry
from fourways.core.request import Generate, Rank, Request
from fourways.engines.local.adapters import Adapter
from fourways.engines.local.detokenize import Detokenizer, StopStrings
from fourways.engines.local.prefix import PrefixCache, PrefixKey, Tail, common, prefix_key, prefix_length, tail
from fourways.engines.local.stages import Laps, Stages
from fourways.families.contract import PromptLayout, VisualUnit

Item = Event | Done


class Outbox:
    """Where one request's events go: a queue of the event loop that asked."""

    __slots__ = ("loop", "queue")

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.queue: asyncio.Queue[Item] = asyncio.Queue()

    def end(self, done: Done) -> None:
        """From any thread; nobody may be there any more."""
        with contextlib.suppress(RuntimeError):
            self.loop.call_soon_threadsafe(self.queue.put_nowait, done)


@dataclass(slots=True, weakref_slot=True)
class SharedUnits:
    """The preprocessed units of one visual, for all requests that ask about it at the same time."""

    units: Future[tuple[VisualUnit, ...]] = field(default_factory=Future)


@dataclass(slots=True, eq=False)
class Sequence:
    """Filled in by the preparer (layout, units), then only touched by the worker.

    row: its row in the KV store, -1 while it has none. length: tokens whose keys and values stand there.
    features: one list a visual, once known. prefix: keys and values of its beginning, where known; prefix_length: how
    long that is at least (the visuals), shared: how long others that wait want it.
    generation: of the caches that both were looked for in. laps: of the encoding that its batch waited for; encoded:
    whether one of its own visuals was in it. visible_ns: when its last text was there.
    """

    request: Request
    conversation: Conversation
    visual_budget: int | None
    adapter: Adapter | None
    outbox: Outbox
    stages: Stages
    generation: int = -1
    _layout: PromptLayout | None = None
    limit: int = 0
    prefix_length: int = 0
    prefix_key: PrefixKey | None = None
    tail: Tail | None = None
    prefix: Tensor | None = None
    shared: int = 0
    units: list[SharedUnits | None] = field(default_factory=list)
    features: list[list[Tensor] | None] = field(default_factory=list)
    cached: list[bool] = field(default_factory=list)
    row: int = -1
    length: int = 0
    generated: list[int] = field(default_factory=list)
    unsent: list[int] = field(default_factory=list)
    logprob: float = 0.0
    text: Detokenizer | None = None
    stops: StopStrings | None = None
    cancelled: bool = False
    ended: bool = False
    laps: Laps | None = None
    encoded: bool = False
    visible_ns: int = 0
    detokenize_ns: int = 0
    _random: random.Random | None = None

    @property
    def layout(self) -> PromptLayout:
        assert self._layout is not None, "a sequence is planned before the worker sees it"
        return self._layout

    @property
    def generate(self) -> Generate:
        assert isinstance(self.request.output, Generate)
        return self.request.output

    @property
    def ranks(self) -> bool:
        return isinstance(self.request.output, Rank)

    @property
    def rows(self) -> int:
        """Rows of the KV store that it needs at its widest: ranking copies its prompt for a moment."""
        return 2 if self.ranks else 1

    @property
    def prompt_tokens(self) -> int:
        return int(self.layout.token_ids.shape[0])

    @property
    def start(self) -> int:
        """Prompt tokens that need no forward pass, because their keys and values are known."""
        return self.prefix.shape[3] if self.prefix is not None else 0

    @property
    def query(self) -> int:
        """Prompt tokens that the prefill must run."""
        return self.prompt_tokens - self.start

    @property
    def reserve(self) -> int:
        """The longest it can become, in tokens."""
        return self.prompt_tokens + self.limit

    def plan(self, layout: PromptLayout, limit: int, tokenizer: PreTrainedTokenizerBase) -> None:
        """What the arithmetic says. limit: at most so many tokens follow the prompt."""
        self._layout, self.limit = layout, limit
        self.prefix, self.shared = None, 0
        self.prefix_length = prefix_length(layout)
        self.prefix_key = prefix_key(layout, self.prefix_length, self.adapter)
        self.tail = tail(layout, self.prefix_length) if self.prefix_key is not None else None
        self.units = [None] * len(layout.visuals)
        self.features = [None] * len(layout.visuals)
        self.cached = [False] * len(layout.visuals)
        if not self.ranks:
            self.text = Detokenizer(tokenizer)
            self.stops = StopStrings(self.generate.stop)

    def look_up(self, prefixes: PrefixCache) -> None:
        """Take the longest beginning that is known by now."""
        if self.prefix_key is not None and self.tail is not None:
            found = prefixes.longest(self.prefix_key, self.prefix_length, self.tail)
            if found is not None and found.shape[3] > self.start:
                self.prefix = found

    def alike(self, other: Sequence) -> int:
        """Tokens at the beginning that both prompts share, if they share their visuals; else 0."""
        if self.prefix_key is None or self.prefix_key != other.prefix_key:
            return 0
        assert self.tail is not None and other.tail is not None
        return self.prefix_length + common(self.tail, other.tail)

    def keep_beginning(self, prefixes: PrefixCache, read: Callable[[int], Tensor]) -> None:
        """After its prefill. read(n): keys and values of its first n tokens."""
        length = max(self.shared, self.prefix_length)
        if self.prefix_key is None or self.tail is None or length <= self.start:
            return
        prefixes.keep(self.prefix_key, self.tail[:, : length - self.prefix_length], read(length))

    def uniform(self) -> float:
        """The next uniform number in [0, 1) of this request's own generator."""
        if self._random is None:
            self._random = random.Random(self.generate.seed)
        return self._random.random()

    def accept(self, token: int, logprob: float, eos: Seq[int]) -> tuple[str, FinishReason | None]:
        """Take one token: the text that became visible, and why the reply ends with it, if it does."""
        wanted = self.generate
        if token in eos and not wanted.ignore_eos:
            return "", "stop"
        self.generated.append(token)
        self.unsent.append(token)
        self.logprob += logprob
        text = self._visible(token)
        if self.stops is not None and self.stops.hit:
            return text, "stop"
        return text, "length" if len(self.generated) >= self.limit else None

    def _visible(self, token: int) -> str:
        assert self.text is not None and self.stops is not None
        began = time.perf_counter_ns()
        text = self.text.push(token)
        if len(self.generated) >= self.generate.min_tokens:
            text = self.stops.push(text)
        self.visible_ns = time.perf_counter_ns()
        self.detokenize_ns += self.visible_ns - began
        return text

    def event(self, text: str, now_ns: int) -> Event:
        tokens = tuple(self.unsent)
        self.unsent.clear()
        return Event(text, tokens, now_ns)

    def done(self, reason: FinishReason, now_ns: int, *, rank_logprobs: tuple[float, ...] | None = None) -> Done:
        """The end of a request that was answered."""
        self.stages.end(now_ns, self.detokenize_ns)
        mean = self.logprob / len(self.generated) if self.generated else None
        return Done(
            reason, self._usage(), now_ns, stages_ms=self.stages.ms(), mean_logprob=mean, visuals=self.geometry(),
            rank_logprobs=rank_logprobs,
        )  # fmt: skip

    def failed(self, reason: FinishReason, now_ns: int, message: str | None, hint: str | None) -> Done:
        """The end of a request that was not."""
        return Done(
            reason, self._usage(), now_ns, stages_ms=self.stages.ms(), visuals=self.geometry(), error=message,
            hint=hint,
        )  # fmt: skip

    def geometry(self) -> tuple[VisualGeometry, ...]:
        if self._layout is None:
            return ()
        plans = [visual.geometry for visual in self._layout.visuals]
        flags = self.cached or [False] * len(plans)
        return tuple(
            VisualGeometry(plan.original, plan.seen, plan.tiles, plan.visual_tokens, cached)
            for plan, cached in zip(plans, flags, strict=True)
        )

    def _usage(self) -> Usage:
        if self._layout is None:
            return Usage(None, None, None)
        visual = sum(v.geometry.visual_tokens for v in self._layout.visuals)
        return Usage(self.prompt_tokens, visual, len(self.generated))
