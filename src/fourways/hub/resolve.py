"""From the name a person gives to a checkpoint that was looked at.

The Hub's client is imported only for a name that may be the Hub's, and a database only where a registry is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from fourways.core.candidate import Checkpoint
from fourways.core.errors import CheckpointError
from fourways.hub.look import look, look_at_config
from fourways.hub.registry.condition import check_same
from fourways.hub.registry.entry import Entry
from fourways.hub.registry.lookup import registered_model, registered_names
from fourways.hub.shipped import shipped_config, shipped_configs

if TYPE_CHECKING:
    from fourways.hub.download import Remote, Weights

ZOO = "zoo:"
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


@dataclass(frozen=True, slots=True)
class Found:
    """Where a name leads, before anything is fetched: a folder that is here, or a download. registered: what the
    registry says of the folder, where the name is its."""

    folder: Path | None
    remote: str | None = None
    weights: Weights = "trained"
    registered: Entry | None = None

    def download(self) -> Remote | None:
        """What would be fetched; None if nothing. Asks the Hub."""
        from fourways.hub.download import ask

        return None if self.remote is None else ask(self.remote, self.weights)


def locate(name: str, *, embedded: Mapping[str, Path], weights: Weights = "trained") -> Found:
    """`zoo:NAME`, a folder, a bare embedded name, a registered model, a shipped configuration (random weights only), or
    a Hugging Face id; in this order, so a local folder always wins over the network. embedded: name → folder.

    Raises CheckpointError if the name can be none of them, or if a registered model is gone or known to have changed.
    """
    if name.startswith(ZOO):
        return Found(_embedded(name.removeprefix(ZOO), embedded))
    folder = Path(name).expanduser()
    if folder.is_dir():
        return Found(folder)
    if name in embedded:
        return Found(embedded[name])
    if (entry := registered_model(name)) is not None:
        return Found(Path(entry.folder), registered=entry)
    if weights == "random" and (config := shipped_config(name)) is not None:
        return Found(config)
    if not _HUB_ID.fullmatch(name) or name.startswith((".", "/", "~")):
        raise _unknown(name, folder, embedded, weights)
    from fourways.hub.download import cached_snapshot

    cached = cached_snapshot(name, weights)
    return Found(cached) if cached is not None else Found(None, name, weights)


def resolve(name: str, *, embedded: Mapping[str, Path], weights: Weights = "trained") -> Checkpoint:
    """The checkpoint of a name, fetched if it must be, looked at, not loaded. A registered model must be what was
    registered, file by file. Raises CheckpointError or FourwaysError with what is wrong and what to do."""
    found = locate(name, embedded=embedded, weights=weights)
    folder = found.folder if found.folder is not None else _fetched(name, weights)
    checkpoint = look(folder) if weights == "trained" else look_at_config(folder)
    if found.registered is not None:
        check_same(found.registered, checkpoint.sha256)
    return checkpoint


def _fetched(name: str, weights: Weights) -> Path:
    from fourways.hub.download import fetch

    return fetch(name, weights)


def _embedded(name: str, embedded: Mapping[str, Path]) -> Path:
    if name not in embedded:
        raise CheckpointError(
            f"there is no embedded model {name!r}", hint=f"the embedded ones: {', '.join(sorted(embedded))}"
        )
    return embedded[name]


def _unknown(name: str, folder: Path, embedded: Mapping[str, Path], weights: Weights) -> CheckpointError:
    if folder.is_file():
        return CheckpointError(
            f"{name} is a file, not a checkpoint folder", hint="name the folder that holds config.json"
        )
    if name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1:
        return CheckpointError(
            f"{name}: no such folder", hint="a checkpoint folder holds config.json and safetensors files"
        )
    if weights == "trained" and "/" not in name and shipped_config(name) is not None:
        return CheckpointError(
            f"{name} is a configuration without weights", hint="add --weights random, or give the Hub id: org/name"
        )
    known = [*embedded, *registered_names(), *(shipped_configs() if weights == "random" else ())]
    close = get_close_matches(name, known, n=1)
    meant = f"did you mean {close[0]}? " if close else ""
    return CheckpointError(
        f"{name} is no embedded model, none that is registered, no folder and no Hugging Face id",
        hint=f"{meant}`fourways models` lists what is embedded and registered; ids look like org/name",
    )
