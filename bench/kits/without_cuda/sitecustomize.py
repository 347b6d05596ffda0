"""Lets a torchvision that was built for CUDA be imported beside a torch that was not.

Both kits import torchvision for its transforms, which are plain torch. Its package index has no wheel for the CPU
alone, and the library of its compiled operators (which neither kit uses here) cannot be loaded without CUDA's. So the
operators that importing it mentions are declared, and no more. Does nothing where the library can be loaded.
"""

import importlib.util
import sys
from pathlib import Path

OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
declared = []


class _BeforeTorchvision:
    """Sees the import of torchvision, and finds nothing itself."""

    def find_spec(self, name, path=None, target=None):
        if name == "torchvision":
            sys.meta_path.remove(self)
            _declare()


def _declare():
    import torch

    spec = importlib.util.find_spec("torchvision")
    for library in Path(spec.origin).parent.glob("_C*.so") if spec else ():
        try:
            torch.ops.load_library(str(library))
            return
        except OSError:
            continue
    library = torch.library.Library("torchvision", "DEF")
    for operator in OPERATORS:
        library.define(operator)
    declared.append(library)  # it holds as long as this object lives


sys.meta_path.insert(0, _BeforeTorchvision())
