"""Linear in training, where a kernel computes of the weight's gradient no more than what the weight stores.

Otherwise autograd computes all of grad^T x, [O, K], and a hook takes from it what the slots hold (gradients.py).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from . import kernels
from .kernels import Kernel
from .products import linear_at_once
from .sparse_tensor import DISPATCH, SparseTensor


def linear_in_training(x: Tensor, w: SparseTensor, bias: Tensor | None = None) -> Any:
    """x [..., K], w [O, K], bias [O] or None -> [..., O]; NotImplemented where nothing is gained, or somebody sees all of the
    weight's gradient."""
    if w.dim() != 2 or not x.dim() or x.shape[-1] != w.shape[1] or x.dtype != w.dtype or not _keeps_its_slots(w):
        return NotImplemented
    rows = x.detach().reshape(-1, w.shape[1])
    for kernel in kernels.preferred():
        if kernel.declines(w.sparse, rows, w.turned) is None:
            return _Linear.apply(x, w, bias, kernel)
    return NotImplemented


def _keeps_its_slots(w: SparseTensor) -> bool:
    """True for a parameter whose gradient is stored in its own slots and is seen by that hook alone: dynamic sparse training
    looks at entries that are not stored, and forward-mode derivatives know no Function without a rule of theirs."""
    if not w.requires_grad or not w.is_leaf or getattr(w, "grad_format", None) != "same" or forward_ad._current_level >= 0:
        return False
    return w._backward_hooks is not None and len(w._backward_hooks) == 1


class _Linear(torch.autograd.Function):
    """LINEAR-1, and LINEAR-3 with the weight's gradient in its slots (GRAD-1)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, w: SparseTensor, bias: Tensor | None, kernel: Kernel) -> Tensor:
        ctx.save_for_backward(x, w)
        ctx.kernel = kernel
        with kernels.as_in_training(True):                     # gradients are switched off in here
            return linear_at_once(x, w.detach(), bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, w = ctx.saved_tensors
        rows, flat = x.reshape(-1, w.shape[1]), grad.reshape(-1, w.shape[0])               # [T, K], [T, O]
        of_x, of_w, of_bias, _ = ctx.needs_input_grad
        return ((flat @ w).reshape(x.shape) if of_x else None, _of_weight(ctx.kernel, w, rows, flat) if of_w else None,
                flat.sum(0) if of_bias else None, None)


def _of_weight(kernel: Kernel, w: SparseTensor, rows: Tensor, flat: Tensor) -> SparseTensor:
    """w [O, K], rows [T, K], flat [T, O] -> flat^T rows in the slots of w."""
    found = None
    if not torch.is_grad_enabled():                            # else a second derivative is wanted: by operators that have one
        found = kernel.by_values(w.sparse, *((flat, rows) if w.turned else (rows, flat)))
    return w.detach().like(flat.T @ rows) if found is None else w.detach().with_values(found)


DISPATCH.append(linear_in_training)
