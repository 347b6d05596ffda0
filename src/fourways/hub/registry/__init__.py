"""Models and adapters by name: what was registered, where it lies, and what it was then.

SQLite by default, PostgreSQL by URL (place.py); one table (schema.py), made and changed by migrations. An entry holds
the manifest and, once every file was hashed, the identity, so that a folder that changed since is seen. Nothing here
ever writes to or deletes a weight.

SQLAlchemy is imported with `Registry` only: a name is looked up on every `fourways compare`, mostly where there is no
registry.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fourways.hub.registry.entry import Adapter, Entry, Kind, Stamp, check_name, name_from
from fourways.hub.registry.place import VARIABLE, Place, in_force

if TYPE_CHECKING:
    from fourways.hub.registry.store import NameTaken, Registry, UnknownName

__all__ = [
    "VARIABLE", "Adapter", "Entry", "Kind", "NameTaken", "Place", "Registry", "Stamp", "UnknownName", "check_name",
    "in_force", "name_from",
]  # fmt: skip
_OF_STORE = ("NameTaken", "Registry", "UnknownName")


def __getattr__(name: str) -> Any:
    if name in _OF_STORE:
        from fourways.hub.registry import store

        return getattr(store, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
