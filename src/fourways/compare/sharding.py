"""Which samples a run asks, a shard of the suite or all of it, and what its header says of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from fourways.axes.accuracy import samples_of
from fourways.axes.contract import Settings
from fourways.compare.job import Job, settings_of
from fourways.core.errors import UserError
from fourways.core.run import BenchmarkRecord, Shard, ShardRecord, asked_sha256

_FORM = "write --shard 3/16 for the third of sixteen"


def parse_shard(text: str) -> Shard:
    """`3/16`. Raises UserError if it is no part of a whole."""
    index, slash, of = text.partition("/")
    if not (slash and index.isdecimal() and of.isdecimal()):
        raise UserError(f"--shard {text!r} is not of the form INDEX/OF", hint=_FORM)
    shard = Shard(int(index), int(of))
    if not 1 <= shard.index <= shard.of:
        raise UserError(f"--shard {text}: there is no shard {shard.index} of {shard.of}; they count from 1", hint=_FORM)
    return shard


def check_shard(job: Job) -> None:
    """Raises UserError if something else than accuracy would be sharded: times and memory are of one machine, and a
    fine-tune is one whole."""
    if job.shard is not None and (others := [name for name in job.axes if name != "accuracy"]):
        raise UserError(
            f"--shard divides the samples of the accuracy axis, and {' and '.join(others)} cannot be divided",
            hint="add --axes accuracy, and measure the others in a run of their own",
        )


def shard_record(job: Job) -> ShardRecord | None:
    """What the header says of the job's shard: how many samples of each benchmark there are, and fall to it."""
    if job.shard is None:
        return None
    part, whole = settings_of(job, Path()), settings_of(replace(job, shard=None), Path())
    return ShardRecord(
        shard=job.shard,
        drawn={key: len(samples_of(entry, whole)) for key, entry in job.suite.items()},
        asked={key: len(samples_of(entry, part)) for key, entry in job.suite.items()},
    )


def with_asked(records: Sequence[BenchmarkRecord], settings: Settings) -> tuple[BenchmarkRecord, ...]:
    """The benchmarks with what this run asks of each, so that a missing answer can be seen without the data."""
    return tuple(
        _with_asked(one, [sample.id for sample in samples_of(settings.suite[one.key], settings)]) for one in records
    )


def _with_asked(record: BenchmarkRecord, samples: Sequence[str]) -> BenchmarkRecord:
    return msgspec.structs.replace(record, asked=len(samples), asked_sha256=asked_sha256(samples))
