"""The settings of the machine when a run began, with advice, and every installed package: folded, for who looks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fourways.core.run import Environment, Reading, RunHeader
from fourways.report.markup import Child, Html, foreign, tag
from fourways.report.tables import stacked

SETTINGS = "settings"
"""The place of the settings in the page; the first machine's, where there are several."""
_HEADS = ("knob", "as it stood", "advice")


def machines(header: RunHeader) -> Iterator[Html]:
    """The readings and the lock of the run's machine, or of each shard's; nothing where an older version wrote the
    header."""
    if not header.parts:
        yield from _machine(header.environment, "", SETTINGS)
    for index, part in enumerate(header.parts):
        yield from _machine(part.environment, f" of shard {part.shard}", None if index else SETTINGS)


def _machine(environment: Environment, whose: str, place: str | None) -> Iterator[Html]:
    if environment.readings:
        yield _settings(environment.readings, whose, place)
    if environment.lock:
        lines = [tag("li", tag("code", f"{name} {version}")) for name, version in sorted(environment.lock.items())]
        yield tag(
            "details", tag("summary", f"Packages{whose}: {len(lines):,} installed"), tag("ul", *lines, class_="columns")
        )


def _settings(readings: Sequence[Reading], whose: str, place: str | None) -> Html:
    """What has advice comes first, what could not be seen last; each in the catalogue's order."""
    advised = sum(one.advice is not None for one in readings)
    ordered = sorted(readings, key=lambda one: (one.advice is None, one.value is None))
    title = f"Settings of the machine{whose} when the run began"
    summary = f"{title}: {len(readings):,}, advice on {advised:,}" if advised else f"{title}: {len(readings):,}"
    rows = stacked(title, _HEADS, [_row(one) for one in ordered])
    return tag("details", tag("summary", summary), rows, class_="thirds", id=place)


def _row(reading: Reading) -> Sequence[Child]:
    if reading.value is None:
        said = tag("span", "not seen: ", foreign(reading.unread or "no reason given"), class_="muted")
        return (reading.knob, said, None)
    return (reading.knob, foreign(reading.value, limit=1_000), reading.advice)
