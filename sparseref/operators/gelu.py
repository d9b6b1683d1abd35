"""gelu: x * Phi(x), exact or in its tanh form; gelu(0) = 0, so the pattern stays."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..dtypes import FLOATS
from ..errors import SpecError
from .base import Gradients, Operator, Pair, Result, Rounding, on_pattern

TANH_SLOPE = math.sqrt(2 / math.pi)
TANH_CUBIC = 0.044715


def check(a: Pair, approximate: Any = "none") -> None:
    if approximate not in ("none", "tanh"):                                                # GELU-2
        raise SpecError("GELU-2", "this is no form of gelu.", wanted="approximate = 'none' or 'tanh'",
                        given=f"approximate = {approximate!r}")


def gelu(a: Pair, approximate: str = "none") -> Pair:
    """a [shape] -> [shape], stored where a is (GELU-1).  Source: Hendrycks and Gimpel 2016, arXiv 1606.08415."""
    x = a.value
    return on_pattern(_times(x, _cdf(x, approximate)), a.pattern)


def gradient(grad: np.ndarray, a: Pair, approximate: str = "none") -> Gradients:
    """grad [shape] -> grad * (Phi(x) + x * Phi'(x)) (GELU-3)."""
    x = a.value
    if approximate == "none":
        density = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    else:
        t = np.tanh(TANH_SLOPE * (x + TANH_CUBIC * x**3))
        density = _times(1 + 3 * TANH_CUBIC * x * x, 0.5 * (1 - t * t) * TANH_SLOPE)
    return (grad * (_cdf(x, approximate) + _times(x, density)),)


def _cdf(x: np.ndarray, approximate: str) -> np.ndarray:
    """x [shape] -> Phi(x), the chance that a standard normal is below x, or its tanh form."""
    from scipy.special import ndtr

    if approximate == "none":
        return np.asarray(ndtr(x))
    return 0.5 * (1 + np.tanh(TANH_SLOPE * (x + TANH_CUBIC * x**3)))


def _times(x: np.ndarray, factor: np.ndarray) -> np.ndarray:
    """x * factor with 0 for inf * 0: both forms tend to 0 at -inf, their slopes at both infinities (GELU-1, GELU-3)."""
    return np.where(factor == 0, np.zeros(()), x * factor)


GELU = Operator("gelu", gelu, check, gradient, result=Result.LIKE_FIRST, rounding=Rounding.GELU, dtypes=FLOATS)
