"""What a picture of a sparse array shows, cell by cell, whatever draws it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from ..array import SparseArray
from ..coding import decode
from ..layouts import BSR, NM, NMG, VNM
from ..layouts.base import Layout
from ..layouts.blocks import ceil_div


class Mark(IntEnum):
    """What a cell of the grid is."""

    ZERO = 0            # a structural zero: not stored
    STORED = 1
    STORED_ZERO = 2     # stored, and its value is 0 (CORE-P1)
    FILLING = 3         # beyond the array, not stored
    PADDING = 4         # beyond the array, yet it takes a slot (CORE-P5)


@dataclass(frozen=True)
class Grid:
    """A sparse array as a matrix of cells, filled up to whole blocks.

    marks int [R, C], of Mark; slot int64 [R, C], the number of the cell's slot in the order of `values`, -1 where it has none;
    owner int64 [R, C], for nmg the pattern that the cell's slot belongs to, else -1; blocks and chunks: for rows and for
    columns, before which a border runs; elsewhere: how many padding slots lie in no cell (ell, masked).
    """

    marks: np.ndarray
    slot: np.ndarray
    owner: np.ndarray
    blocks: tuple[tuple[int, ...], tuple[int, ...]]
    chunks: tuple[tuple[int, ...], tuple[int, ...]]
    elsewhere: int


def grid_of(a: SparseArray) -> Grid:
    """SparseArray -> Grid.  An array that is no matrix becomes one: its last axis the columns, the others the rows."""
    matrix = a.shape if len(a.shape) == 2 else (math.prod(a.shape[:-1]), *a.shape[-1:]) if a.shape else (1, 1)
    steps, chunks = borders(a.layout, a.shape)
    filled = tuple(ceil_div(side, step) * step for side, step in zip(matrix, steps, strict=True))
    if isinstance(a.layout, NMG) and len(a.shape) == 2:
        fibres = a.layout.group_axis % 2
        filled = tuple(a.layout.slots(side) if axis == fibres else side for axis, side in enumerate(filled))
    # the same arrays under the filled shape: what was padding now has a place to be drawn at
    whole = SparseArray(a.layout, filled, a.dtype, a.arrays) if filled != matrix else a
    positions = a.layout.positions(whole)
    placed = positions >= 0
    slot = np.full(math.prod(filled), -1)
    slot[positions[placed]] = np.arange(positions.size).reshape(positions.shape)[placed]
    owner = np.full(slot.shape, -1)
    if isinstance(a.layout, NMG):
        owner[positions[placed]] = np.broadcast_to(slot_patterns(a)[:, None], positions.shape)[placed]
    slot, owner = slot.reshape(filled), owner.reshape(filled)
    real = tuple(slice(side) for side in matrix)
    marks = np.where(slot >= 0, Mark.PADDING, Mark.FILLING)
    value = decode(a).reshape(matrix)
    marks[real] = np.where(slot[real] < 0, Mark.ZERO, np.where(value == 0, Mark.STORED_ZERO, Mark.STORED))
    return Grid(marks, slot, owner, _every(steps, filled), chunks, int((~placed).sum()))


def borders(layout: Layout, shape: tuple[int, ...]) -> tuple[tuple[int, int], tuple[tuple[int, ...], tuple[int, ...]]]:
    """layout, shape -> the sides of a block (rows, columns; 1 where it has none), and where chunks begin."""
    steps: list[int] = [1, 1]
    chunks: list[tuple[int, ...]] = [(), ()]
    if len(shape) != 2:
        return (1, 1), ((), ())
    if isinstance(layout, NM):
        steps[layout.axis % 2] = layout.m
    elif isinstance(layout, VNM):
        steps[layout.sparse_axis % 2], steps[layout.vector_axis % 2] = layout.m, layout.v
    elif isinstance(layout, BSR):
        steps = [layout.r, layout.c]
    elif isinstance(layout, NMG):
        steps[layout.sparse_axis % 2] = layout.m
        along = layout.group_axis % 2
        chunks[along] = tuple(chunk.first for chunk in layout.chunks(shape[along]) if chunk.first)
    return (steps[0], steps[1]), (chunks[0], chunks[1])


def slot_patterns(a: SparseArray) -> np.ndarray:
    """An nmg array -> int64 [S]: the pattern that owns each slot of a block row (NMG-C4)."""
    assert isinstance(a.layout, NMG)
    runs = [np.repeat(np.arange(chunk.patterns), chunk.g) for chunk in a.layout.chunks(a.shape[a.layout.group_axis])]
    return np.concatenate([np.zeros(0, np.int64), *runs])


def _every(steps: tuple[int, int], sides: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    rows, columns = (tuple(range(step, side, step)) if step > 1 else () for step, side in zip(steps, sides, strict=True))
    return rows, columns
