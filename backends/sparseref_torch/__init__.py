"""The torch backend of sparseref: every layout, sparsifier and operator of the specification, computed with torch.

The modules work on torch tensors and `TorchSparse`; `backend.py` adapts them to the protocol, which speaks NumPy.
"""

from sparseref.errors import MissingDependency

try:
    import torch  # noqa: F401 - only to see that it is there
except ImportError as missing:
    raise MissingDependency("torch", "the torch backend", "torch") from missing
