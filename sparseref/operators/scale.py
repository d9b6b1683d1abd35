"""scale: every stored entry times one number."""

from __future__ import annotations

import numpy as np

from ..errors import SpecError
from .base import Gradients, Operator, Pair, Result, on_pattern


def check(a: Pair, factor: Pair) -> None:
    if factor.shape != ():                                                                 # SCALE-2
        raise SpecError("SCALE-2", "the factor is not one number.", wanted="shape ()", given=f"{factor.shape}",
                        fix="multiply(a, b) takes an array")


def scale(a: Pair, factor: Pair) -> Pair:
    """a [shape], factor [] -> [shape], stored where a is (SCALE-1)."""
    return on_pattern(a.value * factor.value, a.pattern)


def gradient(grad: np.ndarray, a: Pair, factor: Pair) -> Gradients:
    """grad [shape] -> grad * factor where a is stored; for the factor the sum of grad * a over stored entries (SCALE-3)."""
    return on_pattern(grad * factor.value, a.pattern).value, on_pattern(grad * a.value, a.pattern).value.sum()


SCALE = Operator("scale", scale, check, gradient, result=Result.LIKE_FIRST)
