"""At which density a layout takes as much storage as dense, and as csr."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ..array import SparseArray
from ..coding import encode
from ..dtypes import bits_of
from ..errors import SpecError
from ..layouts import BSR, CSR
from ..layouts.base import Layout
from ..selecting import select
from ..sparsifiers import BlockFraction, ScalarFraction, own_sparsifier
from ..sparsifiers.base import Sparsifier
from .result import BreakEven

LADDER = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0)
"""The densities at which the storage of a layout with free density is measured."""

Curve = tuple[tuple[float, float], ...]


def leaves_density_free(layout: Layout) -> bool:
    """True where a density can be asked for: of entries, or for bsr of blocks."""
    return layout.any_pattern or isinstance(layout, BSR)


def sparsifier_for(layout: Layout, density: float) -> Sparsifier:
    """The sparsifier that gives a layout this density, where it leaves the density free; else the layout's own."""
    if isinstance(layout, BSR):
        return BlockFraction(layout.r, layout.c, 1 - density)
    return ScalarFraction(1 - density) if layout.any_pattern else own_sparsifier(layout)


def has_free_size(layout: Layout, shape: tuple[int, ...]) -> bool:
    """True where the storage depends on the pattern."""
    return any(isinstance(side, str) for field in layout.fields(shape).values() for side in field.shape)


def storage_curve(layout: Layout, values: np.ndarray) -> Curve:
    """layout, values [shape] -> (density, bits) up the ladder; empty where storage or density are fixed."""
    if not (has_free_size(layout, values.shape) and leaves_density_free(layout)):
        return ()
    points = []
    for density in LADDER:
        a = encode(values, layout, select(values, sparsifier_for(layout, density)))
        points.append((a.nnz / max(values.size, 1), float(a.bits)))
    return tuple(points)


def csr_bits(shape: tuple[int, ...], dtype: np.dtype[Any], density: float) -> float:
    """What csr takes at a density; a straight line."""
    size = int(np.prod(shape))
    none, all_ = (CSR().bits(shape, dtype, nnz=nnz) for nnz in (0, size))
    return none + density * (all_ - none)


def break_evens(a: SparseArray, curve: Curve) -> tuple[BreakEven, ...]:
    """A sparse array and its layout's storage curve -> the break-even against dense and, for a matrix, against csr."""
    size = int(np.prod(a.shape))
    density = a.nnz / max(size, 1)
    dense = float(size * bits_of(a.dtype))
    found = [_against("dense", a.bits, density, dense, _crossing([(d, bits - dense) for d, bits in curve]), bool(curve))]
    try:
        CSR().check(a.shape)
    except SpecError:                                          # csr describes matrices only
        return tuple(found)
    csr = csr_bits(a.shape, a.dtype, density)
    if curve:
        meets = _crossing([(d, bits - csr_bits(a.shape, a.dtype, d)) for d, bits in curve])
    else:
        none, all_ = (csr_bits(a.shape, a.dtype, d) for d in (0, 1))
        meets = (a.bits - none) / (all_ - none) if all_ > none else None
    return (*found, _against("csr", a.bits, density, csr, meets, bool(curve)))


def _crossing(difference: list[tuple[float, float]]) -> float | None:
    """(density, difference) -> the first density without a difference, by straight lines; None: nowhere, or everywhere."""
    for (d0, y0), (d1, y1) in pairwise(difference):
        if y0 * y1 <= 0 and y0 != y1:
            return d0 + (d1 - d0) * y0 / (y0 - y1)
    return None


def _against(other: str, bits: float, density: float, other_bits: float, meets: float | None, free: bool) -> BreakEven:
    ratio = bits / other_bits if other_bits else 1.0
    more_or_less = "as much as" if ratio == 1 else f"{ratio:.3g} of" if ratio < 1 else f"{ratio:.3g} times"
    says = f"at density {density:.3g} it takes {more_or_less} {other}"
    if meets is not None and 0 <= meets <= 1:
        says += f"; equal at density {meets:.3g}" if free else f"; {other} takes as much at density {meets:.3g}"
    elif meets is not None:
        says += f"; {other} takes {'less' if meets > 1 else 'more'} at every density"
    elif free and ratio != 1:
        says += f"; {'less' if ratio < 1 else 'more'} at every density"
    return BreakEven(other, meets if meets is not None and 0 <= meets <= 1 else None, ratio, says)
