"""How much magnitude other choices of as many entries keep."""

from __future__ import annotations

import math

import numpy as np

from ..layouts import NM, NMG, VNM
from ..layouts.base import Layout
from ..selecting import energy, select
from ..sparsifiers import GreedyNMG, OptimalNMG, PerBlockNM, ScalarFraction
from .result import Rival

BLOCK_SIDES = (2, 4, 8, 16, 32)
"""The m that the nearest n:m is looked for among."""

MOST_ASSIGNMENT = 60_000_000
"""Entries of the assignment tables that the optimal choice may fill, about 5 s; a larger weight is cut to its first blocks."""


def rivals_of(layout: Layout, values: np.ndarray, density: float) -> tuple[Rival, ...]:
    """layout, values [shape], the density it has there -> unstructured, nearest n:m, and for nmg the optimal choice."""
    found = [_rival("unstructured", values, select(values, ScalarFraction(1 - density)))]
    if not isinstance(layout, NM):
        n, m, axis = nearest_nm(layout, density)
        pattern = select(values, PerBlockNM(n, m, axis))
        kept = float(pattern.mean()) if pattern.size else n / m                            # a short last block keeps n as well
        same = math.isclose(kept, density, abs_tol=0.0005)
        found.append(_rival("n:m", values, pattern, f"{n}:{m} along axis {axis}" + ("" if same else f", density {kept:.3f}")))
    if isinstance(layout, NMG):
        found.append(optimal(layout, values))
    return tuple(found)


def nearest_nm(layout: Layout, density: float) -> tuple[int, int, int]:
    """layout, density -> n, m, axis: its own where it has them, else the n:m of nearest density, smallest m first."""
    if isinstance(layout, NMG | VNM):
        return layout.n, layout.m, layout.sparse_axis
    choices = [(max(1, round(density * m)), m) for m in BLOCK_SIDES]
    n, m = min(choices, key=lambda choice: abs(choice[0] / choice[1] - density))           # the first of equals
    return n, m, -1


def optimal(layout: NMG, values: np.ndarray) -> Rival:
    """nmg, values [shape] -> what the best possible assignment keeps, on as many blocks as a few seconds allow."""
    along = layout.sparse_axis
    fibres = values.shape[layout.group_axis]
    lines = values.size // max(1, values.shape[along] * fibres)                            # B
    blocks = max(1, MOST_ASSIGNMENT // max(1, layout.patterns * layout.g * layout.slots(fibres) * lines))
    part = values.take(range(min(blocks * layout.m, values.shape[along])), axis=along)
    parameters = (layout.n, layout.m, layout.g, along, layout.group_axis, layout.tail)
    note = ""
    if part.shape != values.shape:
        greedy = energy(part, select(part, GreedyNMG(*parameters)))
        note = f"on {' x '.join(map(str, part.shape))} of it; greedy there {100 * greedy:.2f} %"
    return _rival("nmg-optimal", part, select(part, OptimalNMG(*parameters)), note)


def _rival(name: str, values: np.ndarray, pattern: np.ndarray, note: str = "") -> Rival:
    return Rival(name, int(pattern.sum()) / max(pattern.size, 1), energy(values, pattern), note)
