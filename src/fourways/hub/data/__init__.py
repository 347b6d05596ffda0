"""The benchmarks' data: which files there are, fetching them, and proving that they are the right ones.

Must never: read a benchmark's questions, accept a file whose digest is not the pinned one, follow an address away from
https, unpack outside its own folder, or use the network for what is already here.

Public face: `load_catalogue`, `every`, `choose` (catalogue.py): what there is; `pull`, `Wish` (pull.py): fetch or
bring it; `find`, `state_of`, `place_of` (store.py): where it lies; `Lock` (lock.py): digests pinned at the first pull;
`data_sha256` (digests.py): the identity of data, read once a change; `Show` (show.py): what a caller shows meanwhile.
"""

from fourways.hub.data.catalogue import Catalogue, Chosen, Edition, File, choose, every, load_catalogue
from fourways.hub.data.digests import data_sha256
from fourways.hub.data.errors import DataChanged, SourceError
from fourways.hub.data.lock import Lock
from fourways.hub.data.pull import Wish, pull
from fourways.hub.data.show import Show, Silent
from fourways.hub.data.sources import SOURCES, Source, asked_source
from fourways.hub.data.store import State, find, home, place_of, state_of

__all__ = [
    "SOURCES",
    "Catalogue",
    "Chosen",
    "DataChanged",
    "Edition",
    "File",
    "Lock",
    "Show",
    "Silent",
    "Source",
    "SourceError",
    "State",
    "Wish",
    "asked_source",
    "choose",
    "data_sha256",
    "every",
    "find",
    "home",
    "load_catalogue",
    "place_of",
    "pull",
    "state_of",
]
