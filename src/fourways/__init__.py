"""Fourways: compare open vision-language models in four ways, on your own hardware, with evidence."""

import logging

__version__ = "0.1.0"

# transformers imports torchao wherever it is installed; torchao then tells of compiled kernels that nobody asked for.
for _name in ("torchao", "torch.utils._pytree"):
    logging.getLogger(_name).setLevel(logging.ERROR)
