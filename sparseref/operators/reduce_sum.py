"""sum: over one axis or all."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import SpecError
from .base import CONTRACTION_DTYPES, Gradients, Operator, Pair, full


def check(a: Pair, axis: Any = None) -> None:
    whole = isinstance(axis, int | np.integer) and not isinstance(axis, bool) and -a.ndim <= axis < a.ndim
    if axis is not None and not whole:                                                     # SUM-2
        raise SpecError("SUM-2", "there is no such axis.", wanted=f"None, or {-a.ndim} <= axis < {a.ndim}",
                        given=f"axis = {axis!r}")


def reduce_sum(a: Pair, axis: int | None = None) -> Pair:
    """a [shape] -> [shape without `axis`], or [] over all axes; only stored entries take part (SUM-1)."""
    return full(np.asarray(a.value.sum(axis=axis)))            # off the pattern the value is +0


def gradient(grad: np.ndarray, a: Pair, axis: int | None = None) -> Gradients:
    """grad [shape without `axis`] -> grad at every entry it was summed from (SUM-3)."""
    spread = grad if axis is None else np.expand_dims(grad, axis)
    return (np.broadcast_to(spread, a.shape),)


SUM = Operator("sum", reduce_sum, check, gradient, dtypes=CONTRACTION_DTYPES)
