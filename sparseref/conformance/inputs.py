"""What goes into a case: shapes at the turning points of a layout, values of a channel, sparse operands of all kinds."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from ..array import SparseArray
from ..coding import encode
from ..descriptor import Descriptor, build
from ..dtypes import smallest_subnormal
from ..errors import SpecError
from ..layouts import BSR, COO, CSR, NM, NMG, VNM
from ..layouts.base import Layout
from ..layouts.compressed import pointers
from ..selecting import select
from ..sparsifiers import own_sparsifier

Shape = tuple[int, ...]


def instances(kind: type[Descriptor]) -> tuple[str, ...]:
    """A layout or sparsifier -> the short strings that the kit tries: its examples, or its name where it has no parameters.

    One with parameters and without examples is not tried: the kit cannot guess what they may be.
    """
    if kind.examples:
        return kind.examples
    try:
        return (str(build(kind, kind.name)),)
    except SpecError:
        return ()


def turning_points(layout: Layout) -> tuple[list[int], list[int]]:
    """The sides of a matrix at which a layout's code takes another turn: rows, columns (m-1, m, m+1, C*g-1 ...)."""
    plain = [1, 3, 6]
    if isinstance(layout, NMG):
        by_axis = {layout.sparse_axis % 2: around(layout.m), layout.group_axis % 2: around(layout.patterns * layout.g)}
    elif isinstance(layout, VNM):
        by_axis = {layout.sparse_axis % 2: around(layout.m), layout.vector_axis % 2: around(layout.v)}
    elif isinstance(layout, NM):
        by_axis = {layout.axis % 2: around(layout.m), 1 - layout.axis % 2: plain}
    elif isinstance(layout, BSR):
        by_axis = {0: around(layout.r), 1: around(layout.c)}
    else:
        numbers = [getattr(layout, field.name) for field in fields(layout)]  # type: ignore[arg-type]  # a dataclass
        sizes = sorted({size for n in numbers if isinstance(n, int) and 1 < n <= 64 for size in (*around(n), 2 * n)}) or plain
        by_axis = {0: sizes, 1: sizes}
    return by_axis[0], by_axis[1]


def around(size: int) -> list[int]:
    """One less, itself, one more, and past the second block."""
    return [max(size - 1, 1), size, size + 1, 2 * size + 1]


def shapes(layout: Layout, least: int = 1) -> list[Shape]:
    """Matrix shapes that a layout can describe, from its turning points; each side's sizes at least once."""
    rows, columns = turning_points(layout)
    longest = max(len(rows), len(columns))
    pairs = [(rows[i % len(rows)], columns[(i + shift) % len(columns)]) for shift in (0, 1) for i in range(longest)]
    return [shape for shape in dict.fromkeys(pairs) if min(shape) >= least and describes(layout, shape)]


def describes(layout: Layout, shape: Shape) -> bool:
    """True where the layout takes arrays of this shape."""
    try:
        layout.check(shape)
    except SpecError:
        return False
    return True


def values(channel: str, shape: Shape, dtype: np.dtype[Any], rng: np.random.Generator) -> np.ndarray:
    """channel, shape, dtype -> array [shape].

    exact: integers -2..2, whose sums are exact in any order; normal: standard normal; special: those with NaN, inf, -0, +0
    and subnormals strewn in; cancelling: large numbers that nearly cancel; extreme: integers over the whole range.
    """
    if channel == "exact" or (dtype.kind == "i" and channel != "extreme"):
        return rng.integers(-2, 3, shape).astype(dtype)
    if channel == "extreme":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, endpoint=True).astype(dtype)
    array = rng.normal(size=shape)
    if channel == "cancelling":
        array = np.where(rng.random(shape) < 0.5, 1, -1) * 100 + array
    array = array.astype(dtype)
    if channel == "special":
        tiny = smallest_subnormal(dtype)
        strange = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, tiny, -tiny]).astype(dtype)
        array = np.where(rng.random(shape) < 0.25, rng.choice(strange, shape), array)
    return array


def sparse(layout: Layout, dense: np.ndarray, rng: np.random.Generator) -> SparseArray:
    """layout, dense [shape] -> canonical SparseArray with a random pattern that the layout admits."""
    pattern = select(dense, own_sparsifier(layout), scores=rng.normal(size=dense.shape))
    return encode(dense, layout, pattern)


def has_padding(a: SparseArray) -> bool:
    return bool((a.layout.positions(a) < 0).any())


def poisoned(a: SparseArray) -> SparseArray:
    """The same entries with NaN (integers: 77) in every padding slot: whoever reads padding shows it (CORE-P5)."""
    poison = np.full((), np.nan if a.dtype.kind not in "iu" else 77).astype(a.dtype)
    return a.with_values(np.where(a.layout.positions(a) < 0, poison, a.values))


def with_stored_zeros(a: SparseArray, rng: np.random.Generator) -> SparseArray:
    """Half of the slots hold +0 or -0, and are still stored (CORE-P1, CORE-P3)."""
    zeros = np.where(rng.random(a.values.shape) < 0.5, 0.0, -0.0).astype(a.dtype)
    padding = a.layout.positions(a) < 0
    return a.with_values(np.where((rng.random(a.values.shape) < 0.5) & ~padding, zeros, a.values))


def disordered(a: SparseArray, rng: np.random.Generator) -> SparseArray:
    """coo, csr, csc: the entries in any order, some of them twice; duplicates add up (CORE-V2).  Others: unchanged."""
    if a.layout.name not in ("coo", "csr", "csc") or a.values.size == 0:
        return a
    coords = np.stack(np.unravel_index(a.layout.positions(a), a.shape))                    # [D, nnz]
    order = np.concatenate([rng.permutation(a.values.size), rng.integers(0, a.values.size, 3)])
    coords, slots = coords[:, order], a.values[order]
    if isinstance(a.layout, COO):
        return SparseArray(a.layout, a.shape, a.dtype, {"coords": coords.astype(a["coords"].dtype), "values": slots})
    line, other = (0, 1) if isinstance(a.layout, CSR) else (1, 0)
    by_line = np.argsort(coords[line], kind="stable")          # lines in order, within a line as they come
    indptr = pointers(np.bincount(coords[line], minlength=a.shape[line]), a["indptr"].dtype)
    return SparseArray(a.layout, a.shape, a.dtype, {
        "indptr": indptr, "indices": coords[other, by_line].astype(a["indices"].dtype), "values": slots[by_line]})


