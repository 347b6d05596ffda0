"""Where a control group's files lie, in version 1, 2 and both at once (cgroups(7), proc_pid_mountinfo(5)).

A limit of any group from one's own up to the top of what is mounted holds, so all are walked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from fourways.evidence.environment.machine import Machine, Unread


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """version: 1 or 2. folders: relative to the machine's root, one's own group first."""

    version: int
    folders: tuple[str, ...]

    def files(self, machine: Machine, name: str) -> Iterator[str]:
        """The texts of that file in every group that has it."""
        for folder in self.folders:
            if machine.there(f"{folder}/{name}"):
                yield machine.text(f"{folder}/{name}")


def hierarchy(machine: Machine, controller: str) -> Hierarchy:
    """Of the controller: its own in version 1 where it is mounted, else the one of version 2. Raises Unread."""
    groups = list(_groups(machine.text("proc/self/cgroup")))
    mounts = list(_mounts(machine.text("proc/self/mountinfo")))
    for controllers, group in groups:
        for kind, options, root, point in mounts:
            if kind == "cgroup" and controller in controllers and controller in options:
                return Hierarchy(1, _upwards(group, root, point))
    for controllers, group in groups:
        for kind, _, root, point in mounts:
            if kind == "cgroup2" and not controllers:
                return Hierarchy(2, _upwards(group, root, point))
    raise Unread("no control group is mounted here")


def _groups(text: str) -> Iterator[tuple[list[str], str]]:
    """(controllers, path); none for version 2."""
    for line in text.splitlines():
        _, _, rest = line.partition(":")
        controllers, colon, path = rest.partition(":")
        if colon and path.startswith("/"):
            yield [one for one in controllers.split(",") if one], path


def _mounts(text: str) -> Iterator[tuple[str, list[str], str, str]]:
    """(file system, its options, what of it is mounted, where)."""
    for line in text.splitlines():
        where, dash, what = line.partition(" - ")
        fields, kinds = where.split(), what.split()
        if dash and len(fields) >= 5 and len(kinds) >= 3:
            yield kinds[0], kinds[2].split(","), _plain(fields[3]), _plain(fields[4])


def _plain(path: str) -> str:
    for code, char in (("\\040", " "), ("\\011", "\t"), ("\\134", "\\")):
        path = path.replace(code, char)
    return path


def _upwards(group: str, root: str, point: str) -> tuple[str, ...]:
    """From the group's folder to the mount's. A group that lies outside of what is mounted (a container that sees its
    host's paths) is the mount's own folder."""
    path, top = PurePosixPath(group), PurePosixPath(root)
    inside = path.relative_to(top) if path.is_relative_to(top) else PurePosixPath()
    if ".." in inside.parts or ".." in PurePosixPath(point).parts:
        inside = PurePosixPath()
    mounted = PurePosixPath(point.lstrip("/"))
    if ".." in mounted.parts:
        raise Unread("the mount of the control groups has no plain path")
    return tuple(str(mounted / one) for one in (inside, *inside.parents))
