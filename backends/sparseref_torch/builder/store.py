"""A result of the forward pass, stored sparsely: differentiable, so that a model can be trained through it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from sparseref import SpecError

from ..tensor.make import sparsify
from ..tensor.sparse_tensor import SparseTensor
from .formats import describe


def store(x: Tensor, form: Any = None, grad_form: Any = None, rng: np.random.Generator | None = None) -> Tensor:
    """x [shape] -> [shape], stored in a format (None: as it is); its gradient is that of the kept entries.

    Three dimensions [B, T, K] are stored as the matrix [B*T, K], so that a linear layer sees it; more as [B, all others].
    grad_form: None or "dense", dense with zeros off the pattern; "same", in the slots of the result; or a format.
    Errors: BUILD-4 for what is no tensor, those of the formats.
    """
    if not isinstance(x, Tensor):                                                          # BUILD-4
        raise SpecError("BUILD-4", "only a tensor can be stored in a format.", wanted="a tensor", given=type(x).__name__,
                        fix="name the output or the node that is one")
    result: Tensor = _Store.apply(x, form, grad_form, rng)
    return result


def stored(x: Tensor, form: Any, rng: np.random.Generator | None = None) -> SparseTensor:
    """x [shape] -> SparseTensor [shape] in a format; not differentiable."""
    lines = x.reshape(-1, x.shape[-1]) if x.dim() == 3 else x                              # [B*T, K]
    return SparseTensor(sparsify(lines, form, rng=rng).sparse, x.shape)


class _Store(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, form: Any, grad_form: Any, rng: np.random.Generator | None) -> Tensor:
        ctx.grad_form, ctx.rng = grad_form, rng
        result = x.view_as(x) if form is None else stored(x, form, rng)
        ctx.slots = result.detach() if isinstance(result, SparseTensor) else None
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        dense = grad.to_dense() if isinstance(grad, SparseTensor) else grad
        kept = dense if ctx.slots is None else ctx.slots.like(dense)
        if ctx.grad_form in (None, "dense"):
            kept = kept.to_dense() if isinstance(kept, SparseTensor) else kept
        elif ctx.grad_form != "same":
            kept = stored(kept, ctx.grad_form, ctx.rng)
        return kept, None, None, None


class StoreAs(nn.Module):
    """`store` as a module, for a place in a traced graph."""

    def __init__(self, form: Any = None, grad_form: Any = None, rng: np.random.Generator | None = None) -> None:
        super().__init__()
        self.form, self.grad_form, self.rng = form, grad_form, rng

    def forward(self, x: Tensor) -> Tensor:
        """x [shape] -> [shape]"""
        return store(x, self.form, self.grad_form, self.rng)

    def extra_repr(self) -> str:
        return f"{describe(self.form)}, gradient {describe(self.grad_form)}"
