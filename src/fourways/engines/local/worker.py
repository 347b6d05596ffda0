"""The one thread that runs the model: admits, prefills, decodes, delivers, and keeps failures where they belong."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor

from fourways.core.errors import EngineError, FourwaysError
from fourways.core.events import Done, FinishReason
from fourways.engines.local.adapters import Adapters
from fourways.engines.local.delivery import Delivery
from fourways.engines.local.encode import Encoder
from fourways.engines.local.faults import explain
from fourways.engines.local.features import FeatureCache
from fourways.engines.local.held import Held
from fourways.engines.local.kv import KVStore
from fourways.engines.local.prefix import PrefixCache
from fourways.engines.local.rank import rank
from fourways.engines.local.runner import Runner
from fourways.engines.local.sampling import choose
from fourways.engines.local.scheduler import Scheduler
from fourways.engines.local.sequence import Item, Sequence
from fourways.engines.local.shown import Decoding, shown
from fourways.engines.local.stages import Laps, Seen
from fourways.families.contract import Family

T = TypeVar("T")


class Worker(threading.Thread):
    """Other threads use `submit`, `failed`, `cancel`, `call` and `stop`; everything else happens in this one.

    again(sequence): prepares anew a sequence whose findings come from caches that are outdated since. broken(error):
    the thread ends, because not even failing what it had in hand worked (a lost device); nothing more will be sent.
    """

    def __init__(
        self,
        family: Family,
        store: KVStore,
        scheduler: Scheduler,
        adapters: Adapters,
        features: FeatureCache,
        prefixes: PrefixCache,
        held: Held,
        *,
        threads: int,
        again: Callable[[Sequence], None],
        broken: Callable[[FourwaysError], None],
    ) -> None:
        super().__init__(name=f"fourways-model {family.card.name}", daemon=True)
        self._family, self._store, self._scheduler, self._adapters = family, store, scheduler, adapters
        self._prefixes, self._held = prefixes, held
        self._runner = Runner(family, store)
        self._encoder = Encoder(self._runner, features, prefixes, held, family.spec.device)
        self._threads = threads
        self._again, self._broken = again, broken
        self._wake = threading.Condition()
        self._inbox: deque[Sequence] = deque()
        self._failures: deque[tuple[Sequence, Exception]] = deque()
        self._jobs: deque[tuple[Future[Any], Callable[[], None]]] = deque()
        self._stopping = False
        self._sweep = False
        self._starting: list[Sequence] = []
        self._chosen: list[tuple[Sequence, int, float]] = []
        self._delivery = Delivery()
        self._decoding = Decoding()
        self.counts = {"requests": 0, "failed": 0, "prefill_batches": 0, "decode_steps": 0, "encoded_units": 0}

    # -- called from other threads -----------------------------------------------------------------------------
    def submit(self, sequence: Sequence) -> None:
        with self._wake:
            self._inbox.append(sequence)
            self._wake.notify()

    def failed(self, sequence: Sequence, error: Exception) -> None:
        with self._wake:
            self._failures.append((sequence, error))
            self._wake.notify()

    def cancel(self, sequence: Sequence) -> None:
        with self._wake:
            sequence.cancelled = self._sweep = True
            self._wake.notify()

    def call(self, job: Callable[[], T]) -> Future[T]:
        """Run a job in this thread once no request is running; new ones wait behind it. Raises EngineError where the
        thread has ended or is about to."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(job())
            except Exception as error:
                future.set_exception(error)

        with self._wake:
            if self._stopping:
                raise EngineError("the engine is closed")
            self._jobs.append((future, run))
            self._wake.notify()
        return future

    def stop(self) -> None:
        """Ends the thread after its present step, whatever is left."""
        with self._wake:
            self._stopping = True
            self._wake.notify()

    # -- the loop ------------------------------------------------------------------------------------------------
    def run(self) -> None:
        torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                while not self._stopping:
                    self._step()
                self._end()
        except Exception as error:
            self._break(error)

    def _step(self) -> None:
        try:
            self._next()
            self._iterate()
        except Exception as error:
            self._fail_all(error)
        self._deliver()

    def _next(self) -> None:
        """Wait for something to do and take it in."""
        scheduler = self._scheduler
        with self._wake:
            while not self._something_to_do():
                self._wake.wait()
                # Another engine of this process may have set another number: part of it is process-wide.
                torch.set_num_threads(self._threads)
            arrived, failures = list(self._inbox), list(self._failures)
            self._inbox.clear()
            self._failures.clear()
            sweep, self._sweep = self._sweep, False
            _, job = self._jobs.popleft() if self._jobs and not scheduler.running else (None, None)
        scheduler.waiting.extend(arrived)
        self.counts["requests"] += len(arrived)
        for sequence, error in failures:
            self._fail(sequence, error)
        if sweep or any(sequence.cancelled for sequence in arrived):
            self._drop_cancelled()
        if job is not None:
            with torch.inference_mode(False):
                job()
        self._renew()

    def _something_to_do(self) -> bool:
        told = self._inbox or self._failures or self._jobs or self._sweep or self._stopping
        return bool(told or self._scheduler.waiting or self._scheduler.running)

    def _iterate(self) -> None:
        if not self._jobs and not self._stopping:
            self._prefill_some()
        if self._scheduler.running:
            self._decode()

    def _prefill_some(self) -> None:
        """One batch, and one more if some waited for its prefixes."""
        for _ in range(2):
            batch = self._scheduler.next_prefill()
            if batch:
                self._prefill(batch)
            if not self._scheduler.followed:
                return

    def _renew(self) -> None:
        """What waits with features or prefixes of other weights is prepared again, without them."""
        waiting, now = self._scheduler.waiting, self._prefixes.generation
        if all(sequence.generation == now for sequence in waiting):
            return
        self._scheduler.waiting = deque(sequence for sequence in waiting if sequence.generation == now)
        for sequence in waiting:
            if sequence.generation != now:
                self._again(sequence)

    def _drop_cancelled(self) -> None:
        scheduler, now = self._scheduler, time.perf_counter_ns()
        for sequence in (s for s in (*scheduler.waiting, *scheduler.running) if s.cancelled):
            sequence.stages.until("queue" if sequence.row < 0 else "decode", now)
            sequence.stages.show()
        scheduler.waiting = deque(s for s in scheduler.waiting if not s.cancelled)
        for sequence in [s for s in scheduler.running if s.cancelled]:
            scheduler.finish(sequence)
        self._decoding.end()

    # -- the model -----------------------------------------------------------------------------------------------
    def _prefill(self, batch: list[Sequence]) -> None:
        self._starting = batch
        self._decoding.end()
        batch = self._guarded(batch, self._attach)
        batch = self._guarded(batch, self._encode)
        self._guarded(batch, self._prefill_step)
        self.counts["prefill_batches"] += 1
        self._take_chosen()
        self._starting = []
        self._deliver()  # a first token does not wait for the next step of the others

    def _attach(self, batch: list[Sequence]) -> None:
        with torch.inference_mode(False):
            self._adapters.attach(batch[0].adapter)

    def _encode(self, batch: list[Sequence]) -> None:
        self.counts["encoded_units"] += self._encoder.encode(batch)

    def _prefill_step(self, batch: list[Sequence]) -> None:
        first = self._store.add(len(batch), max(s.prompt_tokens for s in batch))
        try:
            for row, sequence in enumerate(batch, first):
                if sequence.prefix is not None:
                    self._store.write(row, sequence.prefix)
            with shown(batch, "forward", "prefill", self._held):
                logits = self._runner.prefill(first, batch)
                for row, sequence in enumerate(batch, first):
                    sequence.keep_beginning(self._prefixes, partial(self._store.read, row))
                generating = [n for n, sequence in enumerate(batch) if not sequence.ranks]
                drawn = choose(logits[generating], [batch[n] for n in generating], self._family.spec.eos_token_ids)
                self._account(batch)
        except BaseException:
            self._store.drop_last(len(batch))
            raise
        for row, sequence in enumerate(batch, first):
            self._scheduler.start(sequence, row)
            self._after_prefill(sequence)
        self._chosen += [(batch[n], token, logprob) for n, (token, logprob) in zip(generating, drawn, strict=True)]
        for n, sequence in enumerate(batch):
            if sequence.ranks:
                self._rank(sequence, logits[n])

    def _account(self, batch: list[Sequence]) -> None:
        """What these requests' time went into since their batch began; their first tokens are known."""
        read: dict[Laps, tuple[list[tuple[Seen, int]], int]] = {}
        for sequence in batch:
            laps, sequence.laps = sequence.laps, None
            assert laps is not None
            if laps not in read:
                read[laps] = laps.read()
            ends, now = read[laps]
            for stage, end in ends:
                sequence.stages.until(stage if sequence.encoded else "queue", end)
            sequence.stages.until("prefill", now)

    def _after_prefill(self, sequence: Sequence) -> None:
        sequence.length = sequence.prompt_tokens
        sequence.prefix = sequence.tail = None
        sequence.units, sequence.features = [], []

    def _rank(self, sequence: Sequence, logits: Tensor) -> None:
        running = self._scheduler.running
        longest = max(s.reserve for s in running)
        room = 1
        while room < 64 and self._store.fits(len(running) + room + 1, longest):
            room += 1
        try:
            sums = rank(self._family, self._runner, self._store, sequence, logits, room)
            if not all(map(math.isfinite, sums)):
                raise EngineError("the model's scores are not finite")
        except Exception as error:
            self._fail(sequence, error)
            return
        self._scheduler.finish(sequence)
        self._send(sequence, sequence.done("rank", time.perf_counter_ns(), rank_logprobs=sums))

    def _decode(self) -> None:
        running = self._scheduler.running
        self._decoding.step(running)
        self._guarded(list(running), self._decode_step)
        self.counts["decode_steps"] += 1
        self._take_chosen()
        if not running:
            self._decoding.end()

    def _decode_step(self, batch: list[Sequence]) -> None:
        logits = self._runner.decode(batch[0].row, batch)
        drawn = choose(logits, batch, self._family.spec.eos_token_ids)
        for sequence, (token, logprob) in zip(batch, drawn, strict=True):
            sequence.length += 1
            self._chosen.append((sequence, token, logprob))

    def _take_chosen(self) -> None:
        chosen, self._chosen = self._chosen, []
        now = time.perf_counter_ns()
        for sequence, token, logprob in chosen:
            if not math.isfinite(logprob):
                self._fail(sequence, EngineError("the model's scores are not finite"))
                continue
            text, reason = sequence.accept(token, logprob, self._family.spec.eos_token_ids)
            if reason is not None:
                self._finish(sequence, text, reason, max(now, sequence.visible_ns))
            elif text:
                self._send(sequence, sequence.event(text, sequence.visible_ns))

    # -- ends ----------------------------------------------------------------------------------------------------
    def _finish(self, sequence: Sequence, text: str, reason: FinishReason, now: int) -> None:
        assert sequence.stops is not None
        text += sequence.stops.flush()
        self._scheduler.finish(sequence)
        if text or sequence.unsent:
            self._send(sequence, sequence.event(text, now))
        self._send(sequence, sequence.done(reason, now))

    def _guarded(self, batch: list[Sequence], step: Callable[[list[Sequence]], None]) -> list[Sequence]:
        """Run a step on a batch; if it fails, on each member alone, so that only the guilty ones fail. The others."""
        if not batch:
            return []
        try:
            step(batch)
            return batch
        except Exception as error:
            if len(batch) == 1:
                self._fail(batch[0], error)
                return []
        if self._family.spec.device.type == "cuda":
            torch.cuda.empty_cache()
        return [one for sequence in batch for one in self._guarded([sequence], step)]

    def _fail(self, sequence: Sequence, error: Exception) -> None:
        if sequence.row >= 0:
            self._store.clean(sequence.row)
            self._scheduler.finish(sequence)
        self.counts["failed"] += 1
        told = explain(error)
        self._send(sequence, sequence.failed("error", time.perf_counter_ns(), told.message, told.hint))

    def _fail_all(self, error: Exception) -> None:
        """A fault of the engine itself: all that it had in hand is lost, but it goes on."""
        lost = {id(s): s for s in (*self._starting, *self._scheduler.running)}.values()
        self._chosen.clear()
        self._decoding.end()
        self._scheduler.running.clear()
        self._starting = []
        self._store.reset()
        for sequence in lost:
            sequence.row = -1
            if not sequence.ended:
                self._fail(sequence, error)

    def _end(self) -> None:
        with self._wake:
            jobs, self._jobs = list(self._jobs), deque()
        with torch.inference_mode(False):
            for _, job in jobs:
                job()
            self._adapters.attach(None)

    def _break(self, error: Exception) -> None:
        """Nothing works any more: say so to everyone who waits or will ask."""
        known = explain(error)
        told = EngineError(f"the engine has stopped: {known.message}", hint="close it and open the candidate again")
        with self._wake:
            self._stopping = True
            jobs, self._jobs = list(self._jobs), deque()
        for future, _ in jobs:
            if future.set_running_or_notify_cancel():
                future.set_exception(told)
        self._broken(told)

    # -- delivery ------------------------------------------------------------------------------------------------
    def _send(self, sequence: Sequence, item: Item) -> None:
        sequence.ended = isinstance(item, Done)
        if sequence.ended:
            sequence.stages.show()
        if not sequence.cancelled:
            self._delivery.add(sequence.outbox, item)

    def _deliver(self) -> None:
        unread = self._delivery.send()
        if unread:
            for sequence in (*self._scheduler.running, *self._scheduler.waiting):
                if id(sequence.outbox) in unread:
                    self.cancel(sequence)
