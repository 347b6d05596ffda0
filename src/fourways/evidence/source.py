"""Which Fourways source is running: its commit if it is a git checkout, its version in any case."""

from __future__ import annotations

import hashlib
import os
import subprocess
from pathlib import Path

import fourways
from fourways.core.run import SourceState

_GONE = "gone"
_BOUND = "GIT_CEILING_DIRECTORIES"


def source_state() -> SourceState:
    """The state of the source that this process imported, never of the folder the user stands in."""
    package = Path(fourways.__file__).resolve().parent
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return SourceState(version=fourways.__version__)
    commit, _, date = (_git(package, "show", "-s", "--format=%H %cI", "HEAD") or "").strip().partition(" ")
    if not commit:
        return SourceState(version=fourways.__version__)
    changed = changed_files(package)
    return SourceState(
        version=fourways.__version__,
        commit=commit,
        branch=(_git(package, "symbolic-ref", "--quiet", "--short", "HEAD") or "").strip() or None,
        commit_date=date,
        dirty=None if changed is None else bool(changed),
        diff_sha256=hashlib.sha256("".join(changed).encode("utf-8", "surrogateescape")).hexdigest()
        if changed
        else None,
    )


def changed_files(folder: Path) -> list[str] | None:
    """What differs from the commit below the folder: tracked files that were changed, staged or not, and untracked ones
    that git does not ignore, because they can be imported too. A line each, sorted, as sha256sum writes it:
    `<digest>  <path in the checkout>`, with "gone" for the digest of a file that was deleted. None where git does
    not answer.

    Contents, not git's text of a difference: that depends on the user's git configuration.
    """
    top = _git(folder, "rev-parse", "--show-toplevel")
    listed = _git(
        folder, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules=none",
        "--", ".",
    )  # fmt: skip
    if top is None or listed is None:
        return None
    names = sorted(entry[3:] for entry in listed.split("\0") if len(entry) > 3)
    root = Path(top.removesuffix("\n"))
    return [f"{_digest(root / name)}  {name}\n" for name in names]


def _digest(path: Path) -> str:
    """Of a link, what it says; of a submodule, the commit that it stands at."""
    if path.is_symlink():
        return hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
    if path.is_dir():
        return (_git(path, "rev-parse", "HEAD") or _GONE).strip()
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return _GONE


def _git(folder: Path, *arguments: str) -> str | None:
    """git's answer, or None where git or a checkout is missing. It takes no locks, writes nothing, and does not follow
    the variables of a git that may have started this process (a hook), which name another repository; how far up it may
    look for one still counts."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name == _BOUND}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, timeout=20, check=True, env={**variables, "GIT_OPTIONAL_LOCKS": "0"},
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.decode("utf-8", "surrogateescape")
