"""What the candidates' checkpoints are, as their manifests have it, in short."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fourways.core.manifest import Manifest
from fourways.core.run import RunHeader
from fourways.report.markup import Child, Html, foreign, join, tag
from fourways.report.tables import stacked

_HEADS = ("candidate", "architecture", "#parameters", "weights", "from", "licence", "identity")
_SHORT = 16
"""Digits of a digest that are shown; the whole stands in run.json."""


def manifests(header: RunHeader) -> Iterator[Html]:
    """A table where any candidate has a manifest."""
    rows = [_row(one.candidate.name, one.manifest) for one in header.candidates if one.manifest is not None]
    if rows:
        yield tag("h3", "Checkpoints")
        yield stacked("Checkpoints", _HEADS, rows)


def _row(name: str, manifest: Manifest) -> Sequence[Child]:
    origin = "@".join(part for part in (manifest.source, manifest.revision) if part)
    return (
        tag("bdi", name),
        foreign(f"{manifest.architecture} ({manifest.architecture_class})"),
        f"{manifest.parameters:,}",
        _weights(manifest),
        foreign(origin) if origin else "its files do not say",
        foreign(manifest.licence) if manifest.licence else "its files do not say",
        tag("code", manifest.identity[:_SHORT], title=manifest.identity) if manifest.identity else "not hashed yet",
    )


def _weights(manifest: Manifest) -> Html:
    packed = manifest.quantization
    how = f", {packed.method} at {packed.bits} bits" if packed else ""
    shards = "1 file" if manifest.shards == 1 else f"{manifest.shards:,} files"
    converted = f", converted from {manifest.converted.layout}" if manifest.converted else ""
    return join([foreign(f"{manifest.weight_dtype}{how}{converted}"), f", {shards}"])
