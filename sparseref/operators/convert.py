"""to_dense and convert: the same entries in another layout."""

from __future__ import annotations

from typing import Any

import numpy as np

from .base import Gradients, Operator, Pair, Result, Rounding, nothing_to_check


def to_dense(a: Pair) -> Pair:
    """a [shape] -> dense [shape], +0 where nothing is stored (TODENSE-1)."""
    return a


def to_dense_gradient(grad: np.ndarray, a: Pair) -> Gradients:
    """grad [shape] -> grad; only stored entries receive it (TODENSE-2, GRAD-1)."""
    return (grad,)


def convert(a: Pair, layout: Any) -> Pair:
    """a [shape] -> the same values and pattern in `layout`; dense has none and stores +0 instead (CONVERT-1, CONVERT-2)."""
    return Pair(a.value, np.ones(a.shape, bool)) if str(layout) == "dense" else a


def convert_gradient(grad: np.ndarray, a: Pair, layout: Any) -> Gradients:
    """grad [shape] -> grad; only stored entries receive it (CONVERT-3, GRAD-1)."""
    return (grad,)


TO_DENSE = Operator("to_dense", to_dense, nothing_to_check, to_dense_gradient, rounding=Rounding.NONE)
CONVERT = Operator("convert", convert, nothing_to_check, convert_gradient, result=Result.CONVERTED, rounding=Rounding.NONE)
