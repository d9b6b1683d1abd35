"""linear: y = x W^T + b."""

from __future__ import annotations

import numpy as np

from ..errors import SpecError
from .base import CONTRACTION_DTYPES, Gradients, Operator, Pair, full
from .matmul import matmul


def check(x: Pair, w: Pair, bias: Pair | None = None) -> None:
    fits = w.ndim == 2 and x.ndim >= 1 and x.shape[-1] == w.shape[1]
    if not fits or (bias is not None and bias.shape != w.shape[:1]):                       # LINEAR-2
        raise SpecError("LINEAR-2", "the shapes do not fit a linear layer.", wanted="x [..., K], w [O, K], bias [O] or none",
                        given=f"x {x.shape}, w {w.shape}, bias {'none' if bias is None else bias.shape}")


def linear(x: Pair, w: Pair, bias: Pair | None = None) -> Pair:
    """x [..., K], w [O, K], bias [O] or None -> y [..., O] (LINEAR-1)."""
    tokens = _tokens(x)
    out = matmul(w, Pair(tokens.value.T, tokens.pattern.T)).value.T                        # [N, O]
    if bias is not None:
        out = out + bias.value                                                             # LINEAR-1: one bias an output
    return full(out.reshape(*x.shape[:-1], w.shape[0]))


def gradient(grad: np.ndarray, x: Pair, w: Pair, bias: Pair | None = None) -> Gradients:
    """grad [..., O] -> grad_x = grad W, grad_w = grad^T x, grad_bias = sum of grad over tokens (LINEAR-3)."""
    tokens = _tokens(x)
    flat = grad.reshape(len(tokens.value), w.shape[0])                                     # [N, O]
    grad_x = matmul(full(flat), w).value.reshape(x.shape)
    grad_w = matmul(full(flat.T), tokens).value
    return grad_x, grad_w, None if bias is None else flat.sum(axis=0)


def _tokens(x: Pair) -> Pair:
    """x [..., K] -> [N, K]."""
    count = int(np.prod(x.shape[:-1]))
    return Pair(x.value.reshape(count, x.shape[-1]), x.pattern.reshape(count, x.shape[-1]))


LINEAR = Operator("linear", linear, check, gradient, dtypes=CONTRACTION_DTYPES, sparse_operands=2)
