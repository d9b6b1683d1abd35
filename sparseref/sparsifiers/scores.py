"""Scores: one number an entry, the higher the more it matters.  Any array of the same shape will do."""

from __future__ import annotations

import numpy as np

from ..errors import SpecError
from .base import without_nan


def magnitude(values: np.ndarray) -> np.ndarray:
    """values [shape] -> float64 [shape]: |w|; NaN counts as +inf (SPF-2, SPF-3)."""
    return without_nan(np.abs(values.astype(np.float64)))


def movement(values: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    """values, gradient [shape] -> float64 [shape]: -w * dL/dw, positive where training moves w away from 0 (SCORE-S1).

    Source: Sanh et al. 2020, arXiv 2005.07683, equation 2, one step.  Errors: SCORE-S4.
    """
    _same_shape("gradient", values.shape, gradient.shape)
    return -values.astype(np.float64) * gradient.astype(np.float64)


def fisher(values: np.ndarray, information: np.ndarray) -> np.ndarray:
    """values, diagonal Fisher information [shape] -> float64 [shape]: w**2 * F (SCORE-S2).

    Source: LeCun et al. 1989, Optimal Brain Damage, with the empirical Fisher for the Hessian.  Errors: SCORE-S4.
    """
    _same_shape("information", values.shape, information.shape)
    return values.astype(np.float64) ** 2 * information.astype(np.float64)


def wanda(values: np.ndarray, inputs: np.ndarray) -> np.ndarray:
    """values [O, K], inputs [..., K] -> float64 [O, K]: |w[o, k]| * norm of inputs[..., k] (SCORE-S3).

    Source: Sun et al. 2023, arXiv 2306.11695, equation 1.  Errors: SCORE-S4.
    """
    _same_shape("last axis of inputs", values.shape[-1:], inputs.shape[-1:])
    norms = np.sqrt((inputs.astype(np.float64).reshape(-1, inputs.shape[-1]) ** 2).sum(axis=0))    # [K]
    return np.abs(values.astype(np.float64)) * norms


def _same_shape(name: str, wanted: tuple[int, ...], given: tuple[int, ...]) -> None:
    if wanted != given:
        raise SpecError("SCORE-S4", f"the {name} does not fit the values.", wanted=f"{wanted}", given=f"{given}")
