"""The Hugging Face Hub through its own client, which reads HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE.

Only safetensors, JSON, tokenizer and chat-template files at the top of a repository are ever fetched, and the README,
which tells the licence; for random weights neither safetensors nor README.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path
from typing import Literal

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import (  # type: ignore[attr-defined]  # HTTPError is its HTTP client's own
    GatedRepoError,
    HFValidationError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name

from fourways.core.errors import CheckpointError, FourwaysError

Weights = Literal["trained", "random"]
_SMALL = ("*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")
_LICENCE = "README.md"
"""Its front matter says under which terms the weights may be used."""
WANTED: dict[Weights, tuple[str, ...]] = {"trained": ("*.safetensors", *_SMALL, _LICENCE), "random": _SMALL}
NESTED = ("*/*",)
_ROOM_TO_SPARE = 1 << 28
_REVISION = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)*")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


class Unreachable(FourwaysError):
    """The endpoint does not answer, or may not be asked."""


@dataclass(frozen=True, slots=True)
class Remote:
    """A repository at a revision: files that would be fetched and their bytes. commit: what the revision is now.
    sha256: of the large ones, as the Hub keeps them."""

    repository: str
    revision: str | None
    files: dict[str, int]
    commit: str | None = None
    sha256: dict[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(self.files.values())


def split_revision(name: str) -> tuple[str, str | None]:
    """`org/name@revision` → (`org/name`, revision). Raises CheckpointError for a revision that git has no branch, tag
    or commit for: in the cache's folder names it would lead elsewhere."""
    repository, at, revision = name.partition("@")
    if at and (_REVISION.fullmatch(revision) is None or ".." in revision):
        raise CheckpointError(f"{revision!r} is no revision", hint="write org/name@BRANCH, @TAG or @COMMIT")
    return repository, revision if at else None


def is_commit(revision: str | None) -> bool:
    """Whether it names one state for ever, as a branch or tag does not."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def cached_snapshot(name: str, weights: Weights = "trained") -> Path | None:
    """The folder in the Hub's local cache, if what these weights need of this model was fetched before."""
    repository, revision = split_revision(name)
    try:
        folder = snapshot_download(
            repository,
            revision=revision,
            allow_patterns=list(WANTED[weights]),
            ignore_patterns=list(NESTED),
            local_files_only=True,
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return None
    path = Path(folder)
    whole = (path / "config.json").is_file() and (weights == "random" or any(path.glob("*.safetensors")))
    return path if whole else None


def ask(name: str, weights: Weights = "trained") -> Remote:
    """What a download would bring. Raises CheckpointError (no such model, gated, no safetensors) or FourwaysError
    (the endpoint cannot be reached)."""
    repository, revision = split_revision(name)
    try:
        info = HfApi().model_info(repository, revision=revision, files_metadata=True, timeout=20)
    except Exception as error:
        raise explained(name, error) from error
    listed = {file.rfilename: _size(file.size) for file in info.siblings or ()}
    files = {
        file: size
        for file, size in listed.items()
        if not {"/", "\\"} & set(file) and any(fnmatch(file, p) for p in WANTED[weights])
    }
    if weights == "trained" and not any(file.endswith(".safetensors") for file in files):
        raise CheckpointError(
            f"{name} has no safetensors on the Hub; Fourways reads no pickled weights, because they can run code",
            hint="look for a converted copy of the model, or convert it where you trust it",
        )
    sha256 = {file.rfilename: file.lfs.sha256 for file in info.siblings or () if file.lfs is not None}
    return Remote(
        repository,
        revision,
        files,
        commit=info.sha if is_commit(info.sha) else None,
        sha256={file: digest for file, digest in sha256.items() if file in files and _SHA256.fullmatch(str(digest))},
    )


def fetch(name: str, weights: Weights = "trained") -> Path:
    """Downloads what is wanted into the Hub's cache. Raises as `ask` does; FourwaysError if the disk is too small."""
    remote = ask(name, weights)
    check_space(remote, Path(constants.HF_HUB_CACHE))
    try:
        folder = snapshot_download(
            remote.repository,
            revision=remote.revision,
            allow_patterns=list(WANTED[weights]),
            ignore_patterns=list(NESTED),
        )
    except Exception as error:
        raise explained(name, error) from error
    return Path(folder)


def check_space(remote: Remote, cache: Path) -> None:
    """Raises FourwaysError unless the disk that holds the cache has room for what is not in it yet."""
    existing = next(folder for folder in (cache, *cache.parents) if folder.exists())
    free = shutil.disk_usage(existing).free
    needed = sum(size - _here(remote, file, cache) for file, size in remote.files.items())
    if needed and needed + _ROOM_TO_SPARE > free:
        raise FourwaysError(
            f"{remote.repository} needs {needed / 2**30:.1f} GiB of disk, and {cache} has {free / 2**30:.1f} GiB free",
            hint="free some space, or set HF_HOME to a larger disk",
        )


def _size(said: object) -> int:
    """Of a file, as the Hub says it; it may say anything."""
    return said if isinstance(said, int) and said > 0 else 0


def blobs_of(repository: str, cache: Path) -> Path:
    """Where the client keeps a repository's files, the large ones by their SHA-256."""
    return cache / repo_folder_name(repo_id=repository, repo_type="model") / "blobs"


def part_of(blobs: Path, digest: str) -> Path:
    """Where a large file grows while `fourways.hub.pull` fetches it."""
    return blobs / f"{digest}.fourways"


def _here(remote: Remote, file: str, cache: Path) -> int:
    """Bytes of a file that are in the cache: all, or those of the part that a pull will go on with."""
    size, digest = remote.files[file], remote.sha256.get(file)
    if remote.commit is not None:
        found = try_to_load_from_cache(remote.repository, file, cache_dir=cache, revision=remote.commit)
        if isinstance(found, str):
            return size
    if digest is None:
        return 0
    blobs = blobs_of(remote.repository, cache)
    kept = next((place for place in (blobs / digest, part_of(blobs, digest)) if place.is_file()), None)
    return 0 if kept is None else min(kept.stat().st_size, size)


def explained(name: str, error: Exception) -> FourwaysError:
    """The Hub client's many errors, as one line each. An error that is none of them is raised again by itself."""
    match error:
        case GatedRepoError():
            return CheckpointError(
                f"{name} is gated on the Hub", hint="accept its terms on its page, then set HF_TOKEN"
            )
        case RevisionNotFoundError():
            return CheckpointError(f"{name}: the Hub has no such revision")
        case RepositoryNotFoundError():
            return CheckpointError(
                f"{name}: no such folder here, and no such model on {constants.ENDPOINT}",
                hint="check the spelling; a private model needs HF_TOKEN; `fourways models` lists the embedded ones",
            )
        case HFValidationError():
            return CheckpointError(f"{name} is neither a folder nor a Hugging Face id", hint="ids look like org/name")
        case OfflineModeIsEnabled():
            return Unreachable(
                f"{name} is no local folder, and HF_HUB_OFFLINE is set: nothing may be downloaded",
                hint="unset HF_HUB_OFFLINE, or copy the checkpoint here and name its folder",
            )
        case LocalEntryNotFoundError() | HTTPError() | OSError():
            return Unreachable(
                f"{name} is no local folder, and {constants.ENDPOINT} cannot be reached ({type(error).__name__})",
                hint="copy the checkpoint here and name its folder, set HF_ENDPOINT, or use `--weights random`",
            )
        case ValueError() | TypeError() | KeyError():
            return CheckpointError(
                f"{name}: what {constants.ENDPOINT} answers cannot be used: {' '.join(str(error).split())[:200]}",
                hint="is HF_ENDPOINT a Hugging Face Hub? else ask the owner of the repository",
            )
        case _:
            raise error
