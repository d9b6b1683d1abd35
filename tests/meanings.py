"""Operands for the operators' tests, and sums of products in plain loops."""

import numpy as np
from hypothesis import strategies as st

import sparseref as sr
from sparseref.conformance import strategies as some
from sparseref.dtypes import FLOATS, round_to, wide

CONTRACTIONS = (*FLOATS, "int32")
"""Operators that sum products do not take int8 (OPS-3)."""


def takes(layout, shape):
    """True where the layout describes arrays of the shape."""
    try:
        layout.check(shape)
    except sr.SpecError:
        return False
    return True


@st.composite
def operands(draw, shape, dtype, sparse=None, channels=("exact", "normal", "special")):
    """A dense array [shape], or a sparse one in a layout that takes the shape."""
    if sparse is False or (sparse is None and draw(st.booleans())):
        return draw(some.arrays(shape, dtype, channels))
    layout = draw(some.layouts().filter(lambda layout: takes(layout, shape)))
    return draw(some.sparse_arrays(layout, shape, dtype, channels))


@st.composite
def summands(draw, shape, dtype, sparse=None):
    """As `operands`, of values whose sums of products are the same in every order: small integers, NaN, inf, -0."""
    a = draw(operands(shape, dtype, sparse, ("exact",)))
    if dtype.kind == "i" or draw(st.booleans()):
        return a
    rng = draw(some.generators())
    old = a.values if isinstance(a, sr.SparseArray) else a
    strange = rng.choice([np.nan, np.inf, -np.inf, 0.0, -0.0], old.shape).astype(dtype)
    new = np.where(rng.random(old.shape) < 0.3, strange, old)
    return a.with_values(new) if isinstance(a, sr.SparseArray) else new


def dense_of(a):
    """A dense or sparse array -> dense."""
    return sr.decode(a) if isinstance(a, sr.SparseArray) else a


def value_of(a):
    """An operand -> its value in the wide dtype."""
    return dense_of(a).astype(wide(a.dtype))


def pattern_of(a):
    """An operand -> its pattern; of a dense one all True."""
    return a.pattern if isinstance(a, sr.SparseArray) else np.ones(a.shape, bool)


def dot(a, stored_a, b, stored_b):
    """a, b [K] and which of them is stored -> the sum of the products of those that are both stored (CORE-P2, CORE-P3)."""
    total = a.dtype.type(0)
    with np.errstate(all="ignore"):
        for x, in_x, y, in_y in zip(a, stored_a, b, stored_b, strict=True):
            if in_x and in_y:
                total = total + x * y
    return total


def product(a, b):
    """a [M, K], b [K, N] as (value, pattern) -> [M, N] wide, dot product by dot product."""
    (va, pa), (vb, pb) = a, b
    out = np.zeros((va.shape[0], vb.shape[1]), va.dtype)
    for i, j in np.ndindex(out.shape):
        out[i, j] = dot(va[i], pa[i], vb[:, j], pb[:, j])
    return out


def pair(a):
    """An operand -> (value, pattern)."""
    return value_of(a), pattern_of(a)


def same_sums(expected, actual, dtype):
    """True where `actual` is `expected` rounded to `dtype`; the sign of a sum that is zero depends on the order (BOUND-1)."""
    want = round_to(expected, dtype).astype(np.float64)
    return actual.dtype == dtype and np.array_equal(want, actual.astype(np.float64), equal_nan=True)
