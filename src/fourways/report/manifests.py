"""What the candidates' checkpoints are, as their manifests have it, in short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fourways.core.candidate import Candidate
from fourways.core.manifest import Manifest
from fourways.core.run import RunHeader
from fourways.report.markup import Child, Html, foreign, join, tag
from fourways.report.tables import stacked

_HEADS = ("candidate", "architecture", "#parameters", "weights", "from", "licence", "identity (first 16 digits)")
SHORT = 16
"""Digits of a digest that are shown, as heads of columns say; the whole stands in run.json."""


def manifests(header: RunHeader) -> Iterator[Html]:
    """A table where any candidate has a manifest."""
    rows = [_row(one.candidate, one.manifest) for one in header.candidates if one.manifest is not None]
    if rows:
        yield tag("h3", "Checkpoints")
        yield stacked("Checkpoints", _HEADS, rows)


def _row(candidate: Candidate, manifest: Manifest) -> Sequence[Child]:
    origin = "@".join(part for part in (manifest.source, manifest.revision) if part) or _unsaid(candidate)
    return (
        tag("bdi", candidate.name),
        foreign(f"{manifest.architecture} ({manifest.architecture_class})"),
        f"{manifest.parameters:,}",
        _weights(manifest),
        foreign(origin),
        foreign(manifest.licence) if manifest.licence else "its files do not say",
        tag("code", manifest.identity[:SHORT], title=manifest.identity) if manifest.identity else "not hashed yet",
    )


def _unsaid(candidate: Candidate) -> str:
    return (
        "Fourways' own, part of its package" if (candidate.model or "").startswith("zoo:") else "its files do not say"
    )


def _weights(manifest: Manifest) -> Html:
    packed = manifest.quantization
    how = f", {packed.method} at {packed.bits} bits" if packed else ""
    shards = "1 file" if manifest.shards == 1 else f"{manifest.shards:,} files"
    converted = f", converted from {manifest.converted.layout}" if manifest.converted else ""
    return join([foreign(f"{manifest.weight_dtype}{how}{converted}"), f", {shards}"])
