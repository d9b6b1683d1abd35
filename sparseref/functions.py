"""The operators as functions: `linear(x, a, bias)` runs the reference, `backend="torch"` runs it there."""

from __future__ import annotations

from typing import Any

import numpy as np

from .array import SparseArray
from .dispatch import run
from .dtypes import is_float, round_to, value_dtype
from .errors import SpecError
from .layouts.base import Layout
from .operators.base import checked_operand

Array = np.ndarray | SparseArray


def to_dense(a: SparseArray, **how: Any) -> np.ndarray:
    """a [shape] -> dense [shape]; `how`: backend, strict, out, rng as in `run` (TODENSE-1)."""
    result: np.ndarray = run("to_dense", a, **how)
    return result


def convert(a: SparseArray, layout: str | Layout, **how: Any) -> SparseArray:
    """a [shape] -> the same values and pattern in `layout`; refused where the layout cannot hold them (CONVERT-1)."""
    result: SparseArray = run("convert", a, layout=layout, **how)
    return result


def matmul(a: Array, b: Array, **how: Any) -> np.ndarray:
    """a [..., M, K], b [K, N] or a [M, K], b [..., K, N] -> [..., M, N] (MATMUL-1).  Errors: MATMUL-2."""
    result: np.ndarray = run("matmul", a, b, **how)
    return result


def linear(x: Array, w: Array, bias: np.ndarray | None = None, **how: Any) -> np.ndarray:
    """x [..., K], w [O, K], bias [O] or None -> [..., O] (LINEAR-1).  Errors: LINEAR-2."""
    result: np.ndarray = run("linear", x, w, bias, **how)
    return result


def add(a: Array, b: Array, **how: Any) -> Array:
    """a, b [shape] -> [shape], stored where either is (ADD-1).  Errors: ADD-2."""
    result: Array = run("add", a, b, **how)
    return result


def multiply(a: Array, b: Array, **how: Any) -> Array:
    """a, b [shape] -> [shape], stored where both are (MUL-1).  Errors: MUL-2."""
    result: Array = run("multiply", a, b, **how)
    return result


def scale(a: Array, factor: float | np.ndarray, **how: Any) -> Array:
    """a [shape], factor one number, rounded to a's dtype -> [shape], stored where a is (SCALE-1).  Errors: SCALE-2."""
    number = factor if isinstance(factor, np.ndarray) else _one_number(factor, value_dtype(checked_operand(a).dtype))
    result: Array = run("scale", a, number, **how)
    return result


def _one_number(factor: Any, dtype: np.dtype[Any]) -> np.ndarray:
    """A Python number -> [] of `dtype`; integers take whole numbers that they hold (CORE-D2), floats round (SCALE-2)."""
    given = np.asarray(factor)
    if given.shape != () or (given.dtype.kind not in "iuf" and given.dtype.name != "bfloat16"):
        raise SpecError("SCALE-2", "the factor is not one number.", wanted="a real number, or an array of shape ()",
                        given=repr(factor))
    number = round_to(given.astype(np.float64), dtype)
    if not is_float(dtype) and number != factor:                                           # CORE-D2
        raise SpecError("CORE-D2", "the factor is no number of the array's dtype.", wanted=dtype.name, given=repr(factor),
                        fix="convert the array first, e.g. with astype(np.float32)")
    return number


def relu(a: Array, **how: Any) -> Array:
    """a [shape] -> [shape], stored where a is (RELU-1)."""
    result: Array = run("relu", a, **how)
    return result


def gelu(a: Array, approximate: str = "none", **how: Any) -> Array:
    """a [shape] -> [shape], stored where a is; approximate "none" or "tanh" (GELU-1).  Errors: GELU-2."""
    result: Array = run("gelu", a, approximate=approximate, **how)
    return result


def transpose(a: Array, **how: Any) -> Array:
    """a [R, C] -> [C, R] in the transposed layout (TRANSPOSE-1).  Errors: TRANSPOSE-2."""
    result: Array = run("transpose", a, **how)
    return result


def sum(a: Array, axis: int | None = None, **how: Any) -> np.ndarray:  # noqa: A001 - numpy's name for it
    """a [shape] -> [shape without `axis`], or [] over all axes (SUM-1).  Errors: SUM-2."""
    result: np.ndarray = run("sum", a, axis=axis, **how)
    return result


def conv2d(x: Array, w: Array, bias: np.ndarray | None = None, *, kernel: Any, stride: Any = 1, padding: Any = 0,
           dilation: Any = 1, **how: Any) -> np.ndarray:
    """x [B, C, H, W], w [O, C*kh*kw], bias [O] or None -> [B, O, H', W'] (CONV2D-1).  Errors: CONV2D-2, CONV2D-3."""
    result: np.ndarray = run("conv2d", x, w, bias, kernel=kernel, stride=stride, padding=padding, dilation=dilation, **how)
    return result
