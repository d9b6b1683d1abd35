"""The sparse tensor: a torch.Tensor that stores only what its layout stores, and computes with it where a kernel exists."""

from . import (  # noqa: F401 - each brings its rules
    convolutions,
    copying,
    dispatch,
    elementwise,
    foreach,
    lookups,
    products,
    reductions,
    training,
    views,
)
from .explain import explain
from .kernels import use_backend
from .make import from_pattern, sparse_parameter, sparsify
from .sparse_tensor import SparseTensor
from .trace import Record, strict

__all__ = ["Record", "SparseTensor", "explain", "from_pattern", "sparse_parameter", "sparsify", "strict", "use_backend"]
