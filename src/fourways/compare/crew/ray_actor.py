"""Workers as actors of a Ray cluster: placed, restarted and reached by Ray.

Contract: Ray restarts a dead actor wherever there is room for it, and holds back what is asked of it until it is there.
It does not ask again by itself: a chunk whose actor died is the foreman's to give out, who counts what it costs.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import msgspec

from fourways.axes.sharing import Chunk
from fourways.compare.crew.foreman import HANDS, Lost, Member, answered, described
from fourways.compare.crew.protocol import (
    Answered,
    Asked,
    Order,
    Reply,
    decode_asked,
    decode_order,
    decode_reply,
    encode,
)
from fourways.compare.crew.worker import Worker, this_host
from fourways.compare.job import Scale
from fourways.core.candidate import Candidate
from fourways.core.errors import EngineError, UserError
from fourways.core.run import BenchmarkRecord, CandidateRecord

_PATIENCE_S = 10.0
_BEGIN = "`ray start --head` begins one; --ray local needs none; a cluster with tokens wants RAY_AUTH_MODE=token"
_LOCAL_STORE_BYTES = 128 << 20
"""Of a cluster that is started here for the run: rows are small, and pictures are read by the workers."""


class Seat:
    """What Ray runs: a worker (worker.py). Ray makes it again, from the same order, after a death."""

    def __init__(self, order: bytes) -> None:
        self._worker = Worker(decode_order(order))

    async def answer(self, asked: bytes) -> bytes:
        return encode(await self._worker.answer(decode_asked(asked)))

    async def pid(self) -> int:
        return os.getpid()


class Actor:
    """A member of a crew (foreman.py)."""

    def __init__(self, name: str, handle: Any) -> None:
        self._name, self._handle = name, handle
        self._count = 0

    @property
    def name(self) -> str:
        return self._name

    async def pid(self) -> int:
        """Of its process now; waits until Ray has placed it."""
        return int(await self._handle.pid.remote())

    async def ask(self, chunk: Chunk) -> Answered:
        return answered(self._name, await self._reply(chunk))

    async def describe(self) -> CandidateRecord:
        return described(self._name, await self._reply(None))

    async def _reply(self, chunk: Chunk | None) -> Reply:
        exceptions = _ray().exceptions
        self._count += 1
        try:
            line = await self._handle.answer.options(max_task_retries=0).remote(encode(Asked(self._count, chunk)))
        except (
            exceptions.RayActorError,
            exceptions.OutOfMemoryError,
            exceptions.NodeDiedError,
            exceptions.WorkerCrashedError,
        ) as error:  # what Ray calls a death depends on who killed it
            raise Lost(_short(error)) from None
        except exceptions.RayError as error:
            raise EngineError(f"{self._name}: Ray could not run it: {_short(error)}") from error
        return decode_reply(line)

    async def close(self) -> None:
        ray = _ray()
        ray.kill(self._handle)


def check_ray() -> None:
    """Raises UserError if Ray is not installed."""
    if find_spec("ray") is None:
        raise UserError("--ray needs Ray, which is not installed", hint="pip install 'fourways[ray]'")


@contextmanager
def connected(scale: Scale) -> Iterator[Scale]:
    """A connection to the cluster while the context lasts, and the scale with the number of workers settled. Nothing of
    the kind without --ray. Raises UserError if the cluster cannot be reached."""
    if scale.ray is None:
        yield scale
        return
    check_ray()
    ray = _ray()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would send statistics of a cluster that it starts
    own: dict[str, Any] = {"object_store_memory": _LOCAL_STORE_BYTES, "include_dashboard": False}
    _check_there(scale.ray)
    try:
        ray.init(
            address=scale.ray,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **(own if scale.ray == "local" else {}),
        )
    except (ConnectionError, RuntimeError, ValueError, OSError) as error:
        raise UserError(
            f"there is no Ray cluster at {scale.ray}: {_short(error)}",
            hint=_BEGIN,
        ) from error
    try:
        yield replace(scale, replicas=scale.replicas or _devices_there())
    finally:
        ray.shutdown()


def _check_there(address: str) -> None:
    """Ray itself would look for a cluster for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _PATIENCE_S).close()
    except (OSError, OverflowError) as error:
        raise UserError(f"there is no Ray cluster at {address}: {error}", hint=_BEGIN) from error


async def hire_actors(scale: Scale, candidate: Candidate, suite: Sequence[BenchmarkRecord], seed: int) -> list[Member]:
    """As many actors as the scale says, each with a card of its own where the candidate wants one, spread over the
    nodes else. Raises UserError if the cluster can never hold them."""
    ray = _ray()
    count = scale.replicas or 1
    cuda = candidate.device != "cpu"
    resources = ray.cluster_resources()
    kind, there = ("GPU", int(resources.get("GPU", 0))) if cuda else ("CPU", int(resources.get("CPU", 0)))
    if there < count:
        raise UserError(f"the cluster has {there} {kind}s, and {count} workers need one each", hint="fewer --replicas")
    threads = candidate.threads or _threads(count)
    order = Order(
        msgspec.structs.replace(candidate, device="cuda:0" if cuda else "cpu", threads=threads),
        tuple(suite),
        seed,
        this_host(),
    )
    seat = ray.remote(
        num_gpus=1 if cuda else 0,
        num_cpus=1 if cuda else min(threads, _threads(count)),
        max_restarts=-1,
        max_task_retries=-1,
        max_concurrency=HANDS + 1,
        scheduling_strategy="DEFAULT" if cuda else "SPREAD",
    )(Seat)
    return [Actor(f"worker {number} of Ray", seat.remote(encode(order))) for number in range(1, count + 1)]


def _ray() -> Any:
    """Ray, which is an extra; its types say less than it takes."""
    return import_module("ray")


def _nodes() -> list[dict[str, Any]]:
    return [node for node in _ray().nodes() if node["Alive"]]


def _devices_there() -> int:
    """Cards of the cluster, or nodes where there is none."""
    return int(_ray().cluster_resources().get("GPU", 0)) or len(_nodes())


def _threads(count: int) -> int:
    """Of each of `count` workers, so that the smallest node holds its part of them."""
    nodes = _nodes()
    smallest = min((int(node["Resources"].get("CPU", 1)) for node in nodes), default=1)
    return max(1, smallest // -(-count // max(1, len(nodes))))


def _short(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
