"""Which Fourways source is running: its commit if it is a git checkout, its version in any case."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import fourways
from fourways.core.run import SourceState


def source_state() -> SourceState:
    """The state of the source that this process imported, never of the folder the user stands in."""
    package = Path(fourways.__file__).resolve().parent
    top = _git(package, "rev-parse", "--show-toplevel")
    if top is None or _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return SourceState(version=fourways.__version__)
    diff = _git(package, "diff", "HEAD", "--binary", "--", ".") or ""
    return SourceState(
        version=fourways.__version__,
        commit=_git(package, "rev-parse", "HEAD"),
        branch=_git(package, "rev-parse", "--abbrev-ref", "HEAD"),
        commit_date=_git(package, "show", "-s", "--format=%cI", "HEAD"),
        dirty=bool(diff),
        diff_sha256=hashlib.sha256(diff.encode()).hexdigest() if diff else None,
    )


def _git(folder: Path, *arguments: str) -> str | None:
    """git's answer, or None where git or a checkout is missing."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            capture_output=True, text=True, errors="replace", timeout=20, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
