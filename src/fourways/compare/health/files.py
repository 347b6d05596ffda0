"""Do the files hash as in the manifest?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from fourways.compare.health.faults import Finding, finding
from fourways.compare.health.outcome import Outcome, passed_over
from fourways.core.digests import hash_file
from fourways.core.manifest import MANIFEST_FILE, Manifest
from fourways.hub.manifest import is_safe_name, read_manifest

_SHOWN = 5
Say = Callable[[str], None]


def check_files(folder: Path, registered: Manifest | None, say: Say) -> Outcome:
    """Every file that the manifest names, read anew: a cache of digests would not see bytes that rotted. registered:
    the manifest in the registry, which counts before the one beside the weights, because that can have been changed
    with them. say: is told which file is read. Raises CheckpointError for a manifest that is none."""
    if not folder.is_dir():
        return Outcome("not there", (finding("folder.missing", f"{folder} is not there any more"),))
    manifest = registered
    if (manifest is None or manifest.hashes == "pending") and (folder / MANIFEST_FILE).is_file():
        manifest = read_manifest(folder)
    if manifest is None:
        return passed_over("not run", "no manifest to compare with")
    known = [file for file in manifest.files if file.sha256 is not None and is_safe_name(file.name)]
    if not known:
        return passed_over("not run", "its manifest has no hashes yet: they are pending")
    missing: list[str] = []
    changed: list[str] = []
    for number, file in enumerate(known, 1):
        path = folder / file.name
        if not path.is_file():
            missing.append(file.name)
            continue
        say(f"hashing {file.name} ({number} of {len(known)})")
        if path.stat().st_size != file.bytes or hash_file(path) != file.sha256:
            changed.append(file.name)
    found = [*_finding("files.missing", missing, "not there"), *_finding("files.changed", changed, "other bytes")]
    pending = len(manifest.files) - len(known)
    rest = f"; {pending} more have no hash in it yet" if pending else ""
    return Outcome(
        f"{len(known) - len(missing) - len(changed)} of {len(known)} files as in the manifest{rest}", (*found,)
    )


def _finding(code: str, names: Sequence[str], what: str) -> list[Finding]:
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [finding(code, f"{', '.join(names[:_SHOWN])}{more}: {what}")]
