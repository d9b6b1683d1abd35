"""Hypothesis strategies for the specification's things: layouts, shapes, values, patterns, sparse arrays, memory forms.

They need the extra `conformance`.  A layout of another package gets them by being registered: its `examples` are its
parameters, its own sparsifier makes its patterns, and shapes come from its numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .. import registry
from ..array import SparseArray
from ..coding import encode
from ..dtypes import DTYPES, FLOATS, value_dtype
from ..layouts import BSR, ELL, NM, NMG, VNM
from ..layouts.base import Layout
from ..sparsifiers import own_sparsifier
from .inputs import Shape, describes, disordered, poisoned, turning_points, values, with_stored_zeros

Draw = Callable[[st.SearchStrategy[Any]], Any]

AXES = ((0, 1), (1, 0), (-1, -2), (-2, -1), (0, -1))
"""Pairs of axes: the default of nmg, its transpose, and both named from the end."""


def generators() -> st.SearchStrategy[np.random.Generator]:
    """NumPy generators: an array of a hundred entries is one draw, so that what shrinks is its shape."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def dtypes(names: Sequence[str] = DTYPES) -> st.SearchStrategy[np.dtype[Any]]:
    """Value dtypes, float32 first."""
    return st.sampled_from(sorted(names, key=lambda name: name != "float32")).map(value_dtype)


def float_dtypes() -> st.SearchStrategy[np.dtype[Any]]:
    return dtypes(FLOATS)


@st.composite
def _nm(draw: Draw) -> NM:
    m = draw(st.integers(1, 5))
    return NM(draw(st.integers(1, m)), m, draw(st.sampled_from([-1, 0, 1, -2])))


@st.composite
def _nmg(draw: Draw) -> NMG:
    m = draw(st.integers(1, 4))
    sparse_axis, group_axis = draw(st.sampled_from(AXES))
    tail = draw(st.sampled_from(["pad", "short"]))
    return NMG(draw(st.integers(1, m)), m, draw(st.integers(1, 3)), sparse_axis, group_axis, tail)


@st.composite
def _vnm(draw: Draw) -> VNM:
    m = draw(st.integers(1, 5))
    vector_axis, sparse_axis = draw(st.sampled_from(AXES))
    return VNM(draw(st.integers(1, 3)), draw(st.integers(1, m)), m, sparse_axis, vector_axis)


_PARAMETERS: dict[str, st.SearchStrategy[Any]] = {
    "bsr": st.builds(BSR, st.integers(1, 4), st.integers(1, 4)), "nm": _nm(), "nmg": _nmg(), "vnm": _vnm()}


@st.composite
def layouts(draw: Draw, names: Sequence[str] | None = None) -> Layout:
    """Registered layouts, or those named; parameters are drawn for our own, for others taken from their `examples`."""
    name = draw(st.sampled_from(names or registry.layouts.names()))
    if name in _PARAMETERS:
        layout: Layout = draw(_PARAMETERS[name])
        return layout
    return registry.parse_layout(draw(st.sampled_from(registry.layouts.get(name).examples or (name,))))


@st.composite
def shapes(draw: Draw, layout: Layout, ndims: Sequence[int] = (2, 1, 3, 0)) -> Shape:
    """Shapes that the layout describes: sides 0, m-1, m, m+1, C*g-1, C*g, C*g+1 ... and, where it takes them, other ndims."""
    rows, columns = turning_points(layout)
    sides = sorted({0, 1, 2, *rows, *columns})
    ndim = draw(st.sampled_from([n for n in ndims if any(describes(layout, (side,) * n) for side in sides)]))
    if ndim > 2:                                              # one side at a turning point, the others small
        sides = [side for side in sides if side <= 9]
    free = st.tuples(*[st.sampled_from(sides)] * ndim)
    equal = st.sampled_from(sides).map(lambda side: (side,) * ndim)
    return draw(st.one_of(free, equal).filter(lambda shape: describes(layout, shape)))


@st.composite
def arrays(draw: Draw, shape: Shape | None = None, dtype: np.dtype[Any] | None = None,
           channels: Sequence[str] = ("exact", "normal", "special")) -> np.ndarray:
    """Dense arrays [shape]: small integers, normal numbers, or those with NaN, inf, -0 and subnormals strewn in."""
    if shape is None:
        shape = tuple(draw(st.lists(st.integers(0, 7), max_size=3)))
    dtype = draw(dtypes()) if dtype is None else dtype
    return values(draw(st.sampled_from(channels)), shape, dtype, draw(generators()))


@st.composite
def patterns(draw: Draw, layout: Layout, shape: Shape) -> np.ndarray:
    """Patterns bool [shape] that the layout admits: any at all, or what its own sparsifier makes of random scores."""
    rng = draw(generators())
    if layout.any_pattern:
        return np.asarray(rng.random(shape) < draw(st.sampled_from([0.5, 0.1, 0.9, 0.0, 1.0])))
    return own_sparsifier(layout).select(rng.normal(size=shape), np.zeros(0))


@st.composite
def sparse_arrays(draw: Draw, layout: Layout | None = None, shape: Shape | None = None,
                  dtype: np.dtype[Any] | None = None, channels: Sequence[str] = ("exact", "normal", "special"),
                  canonical: bool = False) -> SparseArray:
    """Valid sparse arrays; unless `canonical`, also those out of order, with duplicates, with anything in their padding."""
    layout = draw(layouts()) if layout is None else layout
    shape = draw(shapes(layout)) if shape is None else shape
    dense = draw(arrays(shape, dtype, channels))
    a = encode(dense, layout, draw(patterns(layout, shape)))
    if canonical:
        return a
    rng = draw(generators())
    for twist in (reordered, with_stored_zeros, _poisoned):    # poison last: reordering may bring a padding slot to life
        if draw(st.booleans()):
            a = twist(a, rng)
    return a


def reordered(a: SparseArray, rng: np.random.Generator) -> SparseArray:
    """Another valid form: coo, csr, csc out of order with duplicates, ell with spare slots, nmg with idx permuted."""
    if isinstance(a.layout, ELL):
        spare = [(0, 0), (0, 2)]
        return SparseArray(a.layout, a.shape, a.dtype, {"indices": np.pad(a["indices"], spare, constant_values=-1),
                                                        "values": np.pad(a.values, spare)})
    if isinstance(a.layout, NMG):
        idx = a["idx"].copy()
        for chunk in a.layout.chunks(a.shape[a.layout.group_axis]):
            idx[..., chunk.fibres] = rng.permuted(idx[..., chunk.fibres], axis=2)
        return SparseArray(a.layout, a.shape, a.dtype, {"values": a.values, "idx": idx})
    return disordered(a, rng)


def _poisoned(a: SparseArray, rng: np.random.Generator) -> SparseArray:
    return poisoned(a)
