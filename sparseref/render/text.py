"""A sparse array as text: for a terminal, a docstring, a bug report."""

from __future__ import annotations

import string

import numpy as np

from ..array import SparseArray
from ..layouts import NMG
from ..layouts.patterns import pattern_places
from .grid import Grid, Mark, grid_of, slot_patterns

SIGNS = {Mark.ZERO: "·", Mark.STORED: "■", Mark.STORED_ZERO: "0", Mark.FILLING: " ", Mark.PADDING: "□"}
MEANINGS = {Mark.STORED: "stored", Mark.STORED_ZERO: "stored, value 0", Mark.ZERO: "structural zero",
            Mark.PADDING: "padding slot beyond the array"}
LETTERS = string.ascii_lowercase + string.ascii_uppercase
MOST_ROWS, MOST_COLUMNS = 32, 64


def text(a: SparseArray, slots: bool = False) -> str:
    """SparseArray -> its grid with block and chunk borders, a legend and its fields, plain text.

    For nmg a stored entry is the letter of the pattern that owns its slot.  With `slots` every cell shows the number of
    its slot, in the order of `values`.  Of a larger array the first 32 rows and 64 columns are drawn.
    """
    grid = grid_of(a)
    letters = isinstance(a.layout, NMG) and a.layout.patterns <= len(LETTERS)
    cells = _slot_numbers(grid) if slots else _signs(grid, letters)
    lines = [title(a), "", *_ruled(cells, grid), "", _legend(grid, letters, slots)]
    if isinstance(a.layout, NMG) and letters:
        lines += ["", *_owners(a)]
    return "\n".join([*lines, "", *(f"{name:7} {array.dtype.name} {list(array.shape)}" for name, array in a.arrays.items())])


def title(a: SparseArray) -> str:
    """SparseArray -> its layout, shape, density and storage in one line."""
    size = int(np.prod(a.shape))
    sides = " x ".join(map(str, a.shape)) or "scalar"
    padding = int((a.layout.positions(a) < 0).sum())
    padded = f", {padding} padding slots" if padding else ""
    return f"{a.layout}   {sides} {a.dtype.name}   {a.nnz} of {size} stored{padded}, {a.bits:,} bits"


def _signs(grid: Grid, letters: bool) -> np.ndarray:
    """Grid -> str [R, C], one sign a cell."""
    signs = np.array([SIGNS[mark] for mark in sorted(SIGNS)])[grid.marks]
    if letters:
        signs = np.where(grid.marks == Mark.STORED, np.array(list(LETTERS))[grid.owner], signs)
    return np.asarray(signs)


def _slot_numbers(grid: Grid) -> np.ndarray:
    """Grid -> str [R, C], the number of each cell's slot."""
    width = len(str(grid.slot.max(initial=0)))
    numbers = [[f"{slot:{width}}" if slot >= 0 else f"{SIGNS[Mark(mark)]:>{width}}" for slot, mark in zip(*row, strict=True)]
               for row in zip(grid.slot, grid.marks, strict=True)]
    return np.array(numbers).reshape(grid.slot.shape)


def _ruled(cells: np.ndarray, grid: Grid) -> list[str]:
    """cells str [R, C] -> lines with numbered rows and columns; | and - are block borders, ‖ and = chunk borders."""
    rows, columns = (min(side, most) for side, most in zip(cells.shape, (MOST_ROWS, MOST_COLUMNS), strict=True))
    width = max((len(cell) for cell in cells.flat), default=1)
    margin = len(str(max(rows - 1, 0)))
    head = [str(column % 10 ** max(width, 1)).rjust(width) for column in range(columns)]
    lines = [" " * margin + "   " + _joined(head, grid, [" "] * 3)]
    for row in range(rows):
        for starts, sign in ((grid.chunks[0], "="), (grid.blocks[0], "-")):
            if row in starts:
                lines.append(" " * margin + "   " + _joined([sign * width] * columns, grid, [sign, "+", "+"]))
                break
        lines.append(f"{row:{margin}}   " + _joined(list(cells[row, :columns]), grid, [" ", "|", "‖"]))
    left_out = [f"{side - shown} more {what}" for side, shown, what in
                zip(cells.shape, (rows, columns), ("rows", "columns"), strict=True) if side > shown]
    return lines + ([f"... {' and '.join(left_out)}"] if left_out else [])


def _joined(cells: list[str], grid: Grid, between: list[str]) -> str:
    """One line of cells; `between` is what stands between two cells, at a block border and at a chunk border."""
    plain, block, chunk = between
    line = ""
    for column, cell in enumerate(cells):
        if column:
            line += plain
            if column in grid.chunks[1]:
                line += chunk + plain
            elif column in grid.blocks[1]:
                line += block + plain
        line += cell
    return line.rstrip()


def _legend(grid: Grid, letters: bool, slots: bool) -> str:
    """The signs that occur in the grid, each with its meaning."""
    shown = [mark for mark in MEANINGS if (grid.marks == mark).any()]
    stored = {Mark.STORED: "letter"} if letters else {}
    signs, meanings = {**SIGNS, **stored}, {**MEANINGS, Mark.STORED: "stored, by pattern" if letters else "stored"}
    if slots:
        parts = ["a number: the slot in the order of values"] + ["· not stored"] * (Mark.ZERO in shown)
    else:
        parts = [f"{signs[mark]} {meanings[mark]}" for mark in shown]
    return "   ".join(parts + [f"{grid.elsewhere} padding slots elsewhere"] * bool(grid.elsewhere))


def _owners(a: SparseArray) -> list[str]:
    """An nmg array -> which places each pattern keeps, and which fibres its slots hold (NMG-C4)."""
    layout = a.layout
    assert isinstance(layout, NMG)
    places = pattern_places(layout.n, layout.m)
    lines = [f"each pattern keeps {layout.n} of {layout.m} places and owns {layout.g} slots of a chunk, which hold the fibres"]
    owner, first = slot_patterns(a), layout.slot_chunk_start(a.shape[layout.group_axis])
    fibre = first + a["idx"].astype(np.int64)                                              # [B, RB, S]
    for pattern, kept in enumerate(places[:12]):
        held = [" ".join(map(str, fibre[0, block, owner == pattern][:8])) for block in range(min(fibre.shape[1], 4))]
        lines.append(f"  {LETTERS[pattern]} = places {' '.join(map(str, kept))}   "
                     + "   ".join(f"block {block}: {fibres}" for block, fibres in enumerate(held)))
    return lines + [f"  and {len(places) - 12} more patterns"] * (len(places) > 12)
