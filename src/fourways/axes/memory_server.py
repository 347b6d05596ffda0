"""What a server that reserves its memory as it starts says of itself: weights, activations, room for keys and values.

Its total says how it was started, not what the model needs, so it is never measured. vLLM tells the room for keys and
values in the labels of a metric (`vllm:cache_config_info`), exactly; weights and the peak of its own profiling run
stand in its log only, rounded to 0.01 GiB, which is read where the candidate names it (`server_log`). What neither says
is undefined. Formats: vLLM 0.32, v1/worker/{gpu_worker,gpu_model_runner,cpu_worker}.py and v1/core/kv_cache_utils.py.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from pathlib import Path

import httpx
import msgspec

from fourways.core.candidate import Candidate
from fourways.core.errors import UserError
from fourways.core.rows import FailureRow, MemoryQuantity, MemoryRow, Row
from fourways.engines.openai.address import Address, find_address

NO_ACCESS = "no access"
MAX_METRICS_BYTES = 8 << 20
MAX_LOG_BYTES = 256 << 20
TIMEOUT_S = 10.0
_GIB = 2**30

_CACHE = re.compile(r"^vllm:cache_config_info\{(?P<labels>.*)\}\s", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_START = re.compile(r"Initializing a V1 LLM engine")
_SAID: dict[MemoryQuantity, re.Pattern[str]] = {
    "weights": re.compile(r"Model loading took (\d+(?:\.\d+)?) GiB"),
    "activation_peak": re.compile(r"(\d+(?:\.\d+)?) GiB for peak activation"),
    "kv_cache": re.compile(r"(?:Available KV cache memory: |(?:Explicitly|Auto) set \()(\d+(?:\.\d+)?)"),
}
_TOKENS = re.compile(r"KV cache size: ([\d,]+) tokens")


class ServerProfile(msgspec.Struct, frozen=True):
    """Bytes on one device, that of the worker that holds most, and how many tokens the room for keys and values of one
    engine holds; None: not said."""

    weights: int | None = None
    activation_peak: int | None = None
    kv_cache: int | None = None
    kv_tokens: int | None = None

    def over(self, other: ServerProfile) -> ServerProfile:
        """This, and what only the other knows."""
        own, rest = msgspec.structs.asdict(self), msgspec.structs.asdict(other)
        return ServerProfile(**{name: rest[name] if value is None else value for name, value in own.items()})


async def server_rows(candidate: Candidate) -> list[Row]:
    """A MemoryRow for each thing that the server told, of stage "server"; its `context` is how many tokens fit. A
    FailureRow for what it did not tell; one alone if it told nothing."""
    name, lost = candidate.name, list[Row]()
    told = _from_metrics(await _metrics(find_address(candidate)))
    if candidate.server_log is not None:
        try:
            told = told.over(await asyncio.to_thread(read_log, Path(candidate.server_log)))
        except UserError as error:
            lost.append(FailureRow(name, "memory", "sample", "server_log", error.message, error.hint))
    if told == ServerProfile():
        return [*lost, FailureRow(name, "memory", "axis", "", NO_ACCESS, status="undefined")]
    return [*lost, *(_row(candidate, told, quantity) for quantity in _SAID)]


def _row(candidate: Candidate, told: ServerProfile, quantity: MemoryQuantity) -> Row:
    size = getattr(told, quantity)
    if size is None:
        hint = None if candidate.server_log else "name its log as the candidate's server_log"
        return FailureRow(candidate.name, "memory", "sample", quantity, NO_ACCESS, hint, "undefined")
    tokens = told.kv_tokens or 0
    return MemoryRow(candidate.name, 0, "server", quantity, size, (0, 0), 0, tokens if quantity == "kv_cache" else 0)


async def _metrics(address: Address) -> str:
    """The server's Prometheus text, which lies beside /v1; empty where there is none."""
    url = address.base.copy_with(path=address.base.path.removesuffix("/v1") + "/metrics")
    headers = {} if address.key is None else {"Authorization": f"Bearer {address.key}"}
    try:
        async with (
            httpx.AsyncClient(timeout=TIMEOUT_S, follow_redirects=False, trust_env=not address.loopback) as client,
            client.stream("GET", url, headers=headers) as reply,
        ):
            if reply.status_code != 200:
                return ""
            body = bytearray()
            async for piece in reply.aiter_bytes():
                body += piece
                if len(body) > MAX_METRICS_BYTES:
                    return ""
            return body.decode(errors="replace")
    except httpx.HTTPError:
        return ""


def _from_metrics(text: str) -> ServerProfile:
    every = [dict(_LABEL.findall(found["labels"])) for found in _CACHE.finditer(text)]
    return ServerProfile(
        kv_cache=_most(labels.get("kv_cache_memory_bytes") for labels in every),
        kv_tokens=_most(labels.get("kv_cache_size_tokens") for labels in every),
    )


def _most(values: Iterable[str | None]) -> int | None:
    """vLLM writes what it does not know as None."""
    return max((int(value) for value in values if value is not None and value.isdecimal()), default=None)


def read_log(path: Path) -> ServerProfile:
    """What the last start in a vLLM log said. Raises UserError if the file cannot be read, or is far too long."""
    try:
        if path.stat().st_size > MAX_LOG_BYTES:
            raise UserError(f"server_log {path} is longer than {MAX_LOG_BYTES >> 20} MiB", hint="name its beginning")
        with path.open(encoding="utf-8", errors="replace") as lines:
            return from_log(lines)
    except OSError as error:
        raise UserError(
            f"server_log {path} cannot be read: {error.strerror or error}", hint="correct the candidate's server_log"
        ) from None


def from_log(lines: Iterable[str]) -> ServerProfile:
    """The same of its lines. Each worker speaks for its own device."""
    said: dict[MemoryQuantity, list[int]] = {}
    tokens: int | None = None
    for line in lines:
        if _START.search(line):
            said, tokens = {}, None
        for quantity, pattern in _SAID.items():
            if found := pattern.search(line):
                said.setdefault(quantity, []).append(round(float(found[1]) * _GIB))
        if found := _TOKENS.search(line):
            tokens = int(found[1].replace(",", ""))
    most = {quantity: max(sizes) for quantity, sizes in said.items()}
    return ServerProfile(most.get("weights"), most.get("activation_peak"), most.get("kv_cache"), tokens)
