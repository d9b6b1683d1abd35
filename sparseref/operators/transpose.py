"""transpose: rows become columns."""

from __future__ import annotations

import numpy as np

from ..errors import SpecError
from .base import Gradients, Operator, Pair, Result, Rounding


def check(a: Pair) -> None:
    if a.ndim != 2:                                                                        # TRANSPOSE-2
        raise SpecError("TRANSPOSE-2", "only a matrix is transposed.", wanted="a shape (R, C)", given=f"{a.shape}")


def transpose(a: Pair) -> Pair:
    """a [R, C] -> [C, R] (TRANSPOSE-1)."""
    return Pair(a.value.T, a.pattern.T)


def gradient(grad: np.ndarray, a: Pair) -> Gradients:
    """grad [C, R] -> [R, C] (TRANSPOSE-3)."""
    return (grad.T,)


TRANSPOSE = Operator("transpose", transpose, check, gradient, result=Result.TRANSPOSED, rounding=Rounding.NONE)
