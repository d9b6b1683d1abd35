"""multiply: entry by entry; a structural zero annihilates."""

from __future__ import annotations

import numpy as np

from .base import Gradients, Operator, Pair, Result, on_pattern, same_shape


def check(a: Pair, b: Pair) -> None:
    same_shape("MUL-2", "multiply", a, b)


def multiply(a: Pair, b: Pair) -> Pair:
    """a, b [shape] -> [shape], stored where both are (MUL-1)."""
    return on_pattern(a.value * b.value, a.pattern & b.pattern)


def gradient(grad: np.ndarray, a: Pair, b: Pair) -> Gradients:
    """grad [shape] -> grad * b, grad * a, where both are stored (MUL-3)."""
    both = a.pattern & b.pattern
    return on_pattern(grad * b.value, both).value, on_pattern(grad * a.value, both).value


MULTIPLY = Operator("multiply", multiply, check, gradient, result=Result.LIKE_FIRST, sparse_operands=2)
