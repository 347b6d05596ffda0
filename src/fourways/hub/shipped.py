"""Configurations of common sizes that ship with the package, for `--weights random`."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parent / "configs"


def shipped_configs() -> dict[str, Path]:
    """Name → folder with config.json and preprocessor_config.json, in alphabetical order."""
    if not _FOLDER.is_dir():
        return {}
    return {entry.name: entry for entry in sorted(_FOLDER.iterdir()) if (entry / "config.json").is_file()}


def shipped_config(name: str) -> Path | None:
    """The folder for a name or a Hugging Face id whose last part is the name; case does not count."""
    wanted = name.partition("@")[0].rpartition("/")[2].lower()
    return next((folder for known, folder in shipped_configs().items() if known.lower() == wanted), None)
