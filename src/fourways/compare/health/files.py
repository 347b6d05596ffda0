"""Do the files hash as in the manifest?"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fourways.compare.health.faults import finding
from fourways.compare.health.outcome import Outcome, passed_over
from fourways.compare.health.reading import Reading
from fourways.core.digests import hash_file
from fourways.core.health import Finding
from fourways.core.manifest import MANIFEST_FILE, Manifest, ManifestFile
from fourways.hub.hashing import cores
from fourways.hub.manifest import is_safe_name, read_manifest

_SHOWN = 5


def check_files(folder: Path, registered: Manifest | None, reading: Reading) -> Outcome:
    """Every file that the manifest names, read anew: a cache of digests would not see bytes that rotted. registered:
    the manifest in the registry, which counts before the one beside the weights, because that can have been changed
    with them. Raises CheckpointError for a manifest that is none."""
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
    missing = [file.name for file in known if not (folder / file.name).is_file()]
    changed = _changed(folder, [file for file in known if file.name not in missing], reading)
    found = [*_finding("files.missing", missing, "not there"), *_finding("files.changed", changed, "other bytes")]
    pending = len(manifest.files) - len(known)
    rest = f"; {pending} more have no hash in it yet" if pending else ""
    return Outcome(
        f"{len(known) - len(missing) - len(changed)} of {len(known)} files as in the manifest{rest}", (*found,)
    )


def _changed(folder: Path, files: Sequence[ManifestFile], reading: Reading) -> list[str]:
    """Names of those that hold other bytes; the largest is begun first, one a core."""

    def differs(file: ManifestFile) -> bool:
        reading.at(f"hashing {file.name}")
        path = folder / file.name
        return path.stat().st_size != file.bytes or hash_file(path, reading.step) != file.sha256

    with ThreadPoolExecutor(cores(), thread_name_prefix="sha256") as pool:
        largest_first = sorted(files, key=lambda file: -file.bytes)
        return [file.name for file, other in zip(largest_first, pool.map(differs, largest_first), strict=True) if other]


def _finding(code: str, names: Sequence[str], what: str) -> list[Finding]:
    if not names:
        return []
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return [finding(code, f"{', '.join(names[:_SHOWN])}{more}: {what}")]
