"""A candidate → an engine that answers for it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from fourways.core.candidate import Candidate, Checkpoint
from fourways.core.engine import Engine
from fourways.core.errors import UserError

if TYPE_CHECKING:
    from fourways.engines.local import LocalEngine
    from fourways.families.contract import Family


async def open_engine(candidate: Candidate, checkpoint: Checkpoint | None, *, concurrency: int | None = 64) -> Engine:
    """Load or connect. checkpoint: what `candidate.model` was resolved to; None for a server by URL, which is then sent
    at most `concurrency` requests at once (None: no bound, as open loops need it).

    Raises CheckpointError (missing, corrupt, unknown architecture), CapabilityError (a quantisation this engine has
    not) and UserError (a bad adapter)."""
    if candidate.url is not None:
        from fourways.engines.openai import open_openai_engine

        return await open_openai_engine(candidate, concurrency=concurrency)
    if checkpoint is None:
        raise UserError(f"candidate {candidate.name!r} names neither a model nor a URL")
    return await _open_local(candidate, checkpoint)


async def _open_local(candidate: Candidate, checkpoint: Checkpoint) -> LocalEngine:
    from fourways.engines.local import LocalEngine
    from fourways.families.registry import find_family

    opened: list[LocalEngine] = []

    def load() -> None:
        """Returns nothing: the loop and the pool's thread hold what is returned for a while, a closed engine's memory
        with it."""
        family: Family = find_family(checkpoint.architecture, checkpoint.folder).load(
            checkpoint, dtype=candidate.dtype, device=candidate.device, quantization=candidate.quantization
        )
        opened.append(
            LocalEngine(
                family, threads=candidate.threads, visual_budget=candidate.visual_budget, adapter=candidate.adapter
            )
        )

    await asyncio.to_thread(load)
    engine = opened.pop()
    if candidate.adapter is not None:
        try:
            await engine.load_adapter(candidate.adapter, Path(candidate.adapter))
        except BaseException:
            await engine.close()
            raise
    return engine
