"""Rewrites checkpoints from their authors' layouts to the one that transformers loads; one file for each layout.

Must never: run a checkpoint's code, unpickle anything unless asked to (and then tensors only), drop a tensor that it
does not know, or leave half a checkpoint.

Public face: `convert`, `needs_conversion`, `beside`, `Converted` (run.py); `Options` (recipe.py).
"""

from fourways.hub.convert.recipe import Options
from fourways.hub.convert.run import Converted, beside, convert, needs_conversion

__all__ = ["Converted", "Options", "beside", "convert", "needs_conversion"]
