"""Sums and norms over all entries: what is not stored adds nothing."""

from __future__ import annotations

from typing import Any

import torch

from . import opaque
from .dispatch import computed, implements
from .sparse_tensor import SparseTensor

aten = torch.ops.aten


@implements(aten.sum.default)
def total(func: Any, args: Any, kwargs: Any) -> Any:
    """a [shape] -> [] (SUM-1); padding is +0."""
    computed(func, args, kwargs, "slots")
    return func(args[0].sparse.values, *args[1:], **kwargs)


@implements(aten.sum.dim_IntList)
def over_one_side(func: Any, args: Any, kwargs: Any) -> Any:
    """a [M, N] -> [N] or [M], as a bias's gradient is: the product with a line of ones."""
    a, (dims, *keep) = args[0], args[1:]
    shape = a.matrix[::-1] if a.turned else a.matrix
    if len(dims or ()) != 1 or a.shape != shape or len(shape) != 2 or not a.is_floating_point() or kwargs.get("dtype"):
        return NotImplemented
    computed(func, args, kwargs, "lines")
    over_rows = (dims[0] % 2 == 0) != a.turned
    ones = a.sparse.values.new_ones(1, a.matrix[0 if over_rows else 1])
    line = opaque.contract(a.sparse, ones, over_rows)[0]
    return line.unsqueeze(dims[0]) if keep and keep[0] else line


@implements(aten.mean.default)
def mean(func: Any, args: Any, kwargs: Any) -> Any:
    """a [shape] -> []: over all entries, stored or not."""
    computed(func, args, kwargs, "slots")
    a: SparseTensor = args[0]
    return aten.sum.default(a.sparse.values, **kwargs) / a.numel()


@implements(aten.linalg_vector_norm.default, aten.norm.Scalar)
def norm(func: Any, args: Any, kwargs: Any) -> Any:
    """a [shape], order > 0 -> []."""
    order = args[1] if len(args) > 1 else 2
    if (len(args) > 2 and args[2] is not None) or order <= 0 or kwargs.get("dim") is not None:
        return NotImplemented                                  # order 0 counts, negative orders look for the least
    computed(func, args, kwargs, "slots")
    return func(args[0].sparse.values, *args[1:], **kwargs)
