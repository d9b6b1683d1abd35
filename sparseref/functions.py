"""The operators as functions: `linear(x, a, bias)` runs the reference, `backend="torch"` runs it there."""

from __future__ import annotations

from typing import Any

import numpy as np

from .array import SparseArray
from .dispatch import run
from .dtypes import value_dtype
from .layouts.base import Layout

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
    number = factor if isinstance(factor, np.ndarray) else np.asarray(factor).astype(value_dtype(a.dtype))
    result: Array = run("scale", a, number, **how)
    return result


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
