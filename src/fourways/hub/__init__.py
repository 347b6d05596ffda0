"""Where checkpoints come from: the embedded ones, local folders, the Hugging Face Hub, and the shipped configurations.

Must never: load weights, unpickle anything, run code from a checkpoint, or know a family. It looks at a folder and says
whether it is whole, what it is, and which bytes it is made of. Only `hub.convert` writes weights, and unpickles tensors
where it is asked to.

Public face: `resolve`, `locate`, `Found` (resolve.py); `look`, `look_at_config` (look.py);
`parameter_count` (weights.py); `shipped_configs` (shipped.py); `cache_home` (cache.py). By their own names, since they
import a database or the Hub's client: `registry` (models by name), `discover` (what is here), `pull` (what is not).
`manifest`: what a checkpoint is; `hashing`: digests of many files, over the cores.
"""

from fourways.hub.cache import cache_home
from fourways.hub.look import look, look_at_config
from fourways.hub.resolve import Found, locate, resolve
from fourways.hub.shipped import shipped_configs
from fourways.hub.weights import parameter_count

__all__ = ["Found", "cache_home", "locate", "look", "look_at_config", "parameter_count", "resolve", "shipped_configs"]
