"""Sums and norms over all entries: what is not stored adds nothing."""

from __future__ import annotations

from typing import Any

import torch

from .dispatch import computed, implements
from .sparse_tensor import SparseTensor

aten = torch.ops.aten


@implements(aten.sum.default)
def total(func: Any, args: Any, kwargs: Any) -> Any:
    """a [shape] -> [] (SUM-1); padding is +0."""
    computed(func, args, kwargs, "slots")
    return func(args[0].sparse.values, *args[1:], **kwargs)


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
