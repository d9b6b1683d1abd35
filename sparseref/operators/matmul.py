"""matmul: sparse x dense, dense x sparse, sparse x sparse, to dense."""

from __future__ import annotations

import math

import numpy as np

from ..errors import SpecError
from .base import CONTRACTION_DTYPES, Gradients, Operator, Pair, full


def check(a: Pair, b: Pair) -> None:
    if a.ndim < 2 or b.ndim < 2 or (a.ndim > 2 and b.ndim > 2) or a.shape[-1] != b.shape[-2]:      # MATMUL-2
        raise SpecError("MATMUL-2", "the shapes cannot be multiplied.",
                        wanted="[..., M, K] x [K, N] or [M, K] x [..., K, N]", given=f"{a.shape} x {b.shape}")


def matmul(a: Pair, b: Pair) -> Pair:
    """a [..., M, K], b [K, N] -> [..., M, N], or a [M, K], b [..., K, N] -> [..., M, N] (MATMUL-1)."""
    if b.ndim > 2:                                             # B^T holds the batch in its rows
        return _transpose(matmul(_transpose(b), _transpose(a)))
    batch, (K, N) = a.shape[:-1], b.shape
    rows = math.prod(batch)
    value, pattern = a.value.reshape(rows, K), a.pattern.reshape(rows, K)
    out = np.zeros((rows, N), value.dtype)
    for i in range(rows):
        stored = np.flatnonzero(pattern[i])                    # CORE-P2: only pairs of stored entries take part
        terms = value[i, stored, None] * b.value[stored]       # [k, N]; a stored zero takes part: CORE-P3
        terms[~b.pattern[stored]] = 0
        out[i] = terms.sum(axis=0)
    return full(out.reshape(*batch, N))


def _transpose(a: Pair) -> Pair:
    return Pair(a.value.swapaxes(-1, -2), a.pattern.swapaxes(-1, -2))


def _sum_batch(value: np.ndarray, ndim: int) -> np.ndarray:
    """[..., X, Y] -> [X, Y] where the operand was a matrix."""
    return value.sum(axis=tuple(range(value.ndim - ndim)))


def gradient(grad: np.ndarray, a: Pair, b: Pair) -> Gradients:
    """grad [..., M, N] -> grad_a = grad B^T, grad_b = A^T grad, summed over the batch that an operand lacks (MATMUL-3)."""
    grad_a = _batched(full(grad), _transpose(b))
    grad_b = _batched(_transpose(a), full(grad))
    return _sum_batch(grad_a, a.ndim), _sum_batch(grad_b, b.ndim)


def _batched(a: Pair, b: Pair) -> np.ndarray:
    """Both may have a batch: the product of each pair of matrices."""
    if a.ndim == 2 or b.ndim == 2:
        return matmul(a, b).value
    batch = a.shape[:-2]
    out = np.zeros((*batch, a.shape[-2], b.shape[-1]))
    for at in np.ndindex(batch):
        out[at] = matmul(Pair(a.value[at], a.pattern[at]), Pair(b.value[at], b.pattern[at])).value
    return out


MATMUL = Operator("matmul", matmul, check, gradient, dtypes=CONTRACTION_DTYPES, sparse_operands=2)
