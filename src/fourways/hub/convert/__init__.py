"""Rewrites checkpoints from their authors' layouts to the one that transformers loads; one file for each layout.

Must never: run a checkpoint's code, unpickle anything unless asked to (and then tensors only), drop a tensor that it
does not know, or leave half a checkpoint.

Public face: `convert`, `needs_conversion`, `beside`, `Converted`, `Stage`, `Tell` (run.py); `Options` (recipe.py);
`describe` (describe.py).
"""

from fourways.hub.convert.describe import describe
from fourways.hub.convert.recipe import Options
from fourways.hub.convert.run import Converted, Stage, Tell, beside, convert, needs_conversion

__all__ = ["Converted", "Options", "Stage", "Tell", "beside", "convert", "describe", "needs_conversion"]
