"""relu: what is not above zero becomes +0, the pattern stays."""

from __future__ import annotations

import numpy as np

from .base import Gradients, Operator, Pair, Result, Rounding, nothing_to_check


def relu(a: Pair) -> Pair:
    """a [shape] -> [shape], stored where a is; NaN stays NaN, -0 becomes +0 (RELU-1)."""
    return Pair(np.where(a.value <= 0, np.zeros((), a.value.dtype), a.value), a.pattern)


def gradient(grad: np.ndarray, a: Pair) -> Gradients:
    """grad [shape] -> grad where a is not <= 0, else +0 (RELU-2)."""
    return (np.where(a.value <= 0, 0.0, grad),)


RELU = Operator("relu", relu, nothing_to_check, gradient, result=Result.LIKE_FIRST, rounding=Rounding.NONE)
