"""add: entry by entry; a structural zero adds nothing."""

from __future__ import annotations

import numpy as np

from .base import Gradients, Operator, Pair, Result, same_shape


def check(a: Pair, b: Pair) -> None:
    same_shape("ADD-2", "add", a, b)


def add(a: Pair, b: Pair) -> Pair:
    """a, b [shape] -> [shape], stored where either is (ADD-1)."""
    only_a, only_b = a.pattern & ~b.pattern, b.pattern & ~a.pattern
    value = np.where(only_a, a.value, np.where(only_b, b.value, a.value + b.value))        # ADD-1: -0 alone stays -0
    return Pair(value, a.pattern | b.pattern)


def gradient(grad: np.ndarray, a: Pair, b: Pair) -> Gradients:
    """grad [shape] -> grad for both (ADD-3)."""
    return grad, grad


ADD = Operator("add", add, check, gradient, result=Result.UNION, sparse_operands=2)
