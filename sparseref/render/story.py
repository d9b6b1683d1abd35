"""The picture of n:m:g: the weight, its columns gathered pattern by pattern, and what is stored."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from ..array import SparseArray
from ..layouts import NMG
from ..layouts.patterns import pattern_places
from .grid import slot_patterns
from .svg import FAINT, FILLING, INK, ZERO, cell, pattern_colours, prepare

GAP = 3.2
"""Cells between two panels."""

BLOCK_GAP = 2.0
"""Cells between two block rows: the fibre numbers stand there."""


def has_story(a: SparseArray) -> bool:
    """True for a small nmg matrix: at most 4 blocks and 36 slots, all drawn three times."""
    return isinstance(a.layout, NMG) and len(a.shape) == 2 and 0 < a["idx"].shape[1] <= 4 and 0 < a["idx"].shape[2] <= 36


def draw_story(drawing: Any, a: SparseArray) -> None:
    """nmg SparseArray -> three panels: as it lies, in slot order, as stored; one colour a pattern throughout."""
    layout = a.layout
    assert isinstance(layout, NMG)
    n, m, g, patterns = layout.n, layout.m, layout.g, layout.patterns
    _, blocks, slots = a["idx"].shape
    colours = pattern_colours(patterns)
    top_of = [block * (m + BLOCK_GAP) for block in range(blocks)]
    second, third = slots + GAP, 2 * (slots + GAP)
    bottom, head = top_of[-1] + m + 1.6, -4.4 - 0.5 * n
    drawing.set_size_inches((3 * slots + 2 * GAP + 3) * 0.25, (bottom - head + 1.3) * 0.25)
    axes = drawing.add_axes((0, 0, 1, 1))
    prepare(axes, -1.5, third + slots + 1.5, head - 1, bottom + 0.3)
    _heading(axes, 0, head, f"1  {n} of every {m} rows live", f"each column of a block of {m} keeps {n} entries;\n"
             "which rows they are in is its pattern")
    _heading(axes, second, head, f"2  each pattern owns g = {g} columns", "the same columns, gathered by pattern;\n"
             "from one pattern to the next one row changes")
    _heading(axes, third, head, "3  only these are stored", f"values: {n} for each column, and no row index\n"
             "idx: which column it was")
    for top in top_of:
        for place in range(m):
            axes.text(second - 0.3, top + place + 0.5, str(place), ha="right", va="center", fontsize=5.5, color=FAINT)
    fibre = layout.slot_chunk_start(a.shape[layout.group_axis]) + a["idx"][0].astype(np.int64)       # [RB, S]
    places, owner = pattern_places(n, m), slot_patterns(a)
    _patterns_above(axes, second, places, owner, colours)
    sides = a.shape[layout.sparse_axis], a.shape[layout.group_axis]
    for block, top in enumerate(top_of):
        for slot in range(slots):
            kept, colour = places[owner[slot]], colours[owner[slot]]
            for place in range(m):
                real = block * m + place < sides[0] and fibre[block, slot] < sides[1]
                for x in (fibre[block, slot], second + slot):
                    _entry(axes, x, top + place, colour if place in kept else ZERO if real else FILLING, real or place in kept,
                           real)
            for row, place in enumerate(kept):
                real = block * m + place < sides[0] and fibre[block, slot] < sides[1]
                _entry(axes, third + slot, top + (m - n) / 2 + row, colour, True, real)
            axes.text(slot + 0.5, top + m + 0.25, str(slot), ha="center", va="top", fontsize=5.5, color=FAINT)
            for x, y in ((second, top + m), (third, top + (m + n) / 2)):
                axes.text(x + slot + 0.5, y + 0.25, str(fibre[block, slot]), ha="center", va="top", fontsize=6.5, color=colour,
                          fontweight="bold")
        _arrow(axes, slots, top + m / 2)
        _arrow(axes, second + slots, top + m / 2)
    _chunks(axes, layout, a, (0, second, third), top_of)
    filled = "   Faint: filling beyond the array." if sides[0] % m or sides[1] < slots else ""
    chunk = f"a chunk is C({m},{n}) x g = {patterns} x {g} = {patterns * g} columns"
    axes.text(0, bottom, f"{layout}: {chunk}.{filled}", fontsize=7.5, color=INK, va="center")


def _heading(axes: Any, x: float, y: float, what: str, how: str) -> None:
    axes.text(x, y, what, fontsize=10.5, color=INK, fontweight="bold", va="center")
    axes.text(x, y + 0.8, how, fontsize=7.5, color=INK, va="top", linespacing=1.35)


def _entry(axes: Any, x: float, y: float, fill: str, visible: bool, real: bool) -> None:
    if visible:
        cell(axes, x, y, fill, alpha=1.0 if real else 0.35)


def _arrow(axes: Any, x: float, y: float) -> None:
    axes.annotate("", (x + GAP - 0.6, y), (x + 0.6, y), arrowprops={"arrowstyle": "-|>", "color": FAINT, "linewidth": 1.4})


def _patterns_above(axes: Any, left: float, places: np.ndarray, owner: np.ndarray, colours: list[str]) -> None:
    """A bracket over the slots of each pattern, with the places that it keeps."""
    starts = [0, *(np.flatnonzero(np.diff(owner)) + 1), len(owner)]
    for start, end in pairwise(starts):
        pattern = owner[start]
        axes.hlines(-0.45, left + start + 0.1, left + end - 0.1, colors=colours[pattern], linewidth=2)
        axes.text(left + (start + end) / 2, -0.75, "\n".join(map(str, places[pattern])), ha="center", va="bottom", fontsize=6.5,
                  color=colours[pattern], fontweight="bold", linespacing=1.0)


def _chunks(axes: Any, layout: NMG, a: SparseArray, lefts: tuple[float, ...], top_of: list[float]) -> None:
    """A line where one chunk ends and the next begins."""
    for chunk in layout.chunks(a.shape[layout.group_axis]):
        for left, top in ((left, top) for left in lefts for top in top_of if chunk.first):
            axes.vlines(left + chunk.first, top - 0.2, top + layout.m + 0.2, colors=INK, linewidth=1.6)
