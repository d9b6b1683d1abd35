"""A sparse array as a drawing: the grid with its borders beside the order of its slots; for nmg, how it comes about."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ..array import SparseArray
from ..errors import MissingDependency
from ..layouts import NMG
from .grid import Grid, Mark, grid_of
from .text import title

STORED, ZERO, FILLING, INK, FAINT = "#3b6fb6", "#eceff3", "#ffffff", "#20242b", "#8a919c"
FILLS = {Mark.ZERO: ZERO, Mark.STORED: STORED, Mark.STORED_ZERO: "#b9cdea", Mark.FILLING: FILLING, Mark.PADDING: FILLING}
MOST_ROWS, MOST_COLUMNS = 32, 48
CELL_INCHES = 0.2


def svg(a: SparseArray) -> str:
    """SparseArray -> an SVG document; the same array gives the same text.  Errors: MissingDependency without matplotlib."""
    drawing = figure(a)
    import matplotlib

    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "sparseref", "svg.fonttype": "path"}):
        drawing.savefig(out, format="svg", metadata={"Date": None, "Creator": None}, bbox_inches="tight", pad_inches=0.15)
    return out.getvalue()


def figure(a: SparseArray) -> Any:
    """SparseArray -> matplotlib Figure; of a larger array the first 32 rows and 48 columns are drawn."""
    try:
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingDependency("matplotlib", "drawing a picture", "conformance") from missing
    from .story import draw_story, has_story

    drawing = Figure(facecolor="white")
    if isinstance(a.layout, NMG) and has_story(a):
        draw_story(drawing, a)
    else:
        _draw_plain(drawing, a)
    return drawing


def cell(axes: Any, x: float, y: float, fill: str, edge: str = "white", **style: Any) -> None:
    """One cell of side 1 with its upper left corner at (x, y)."""
    from matplotlib.patches import Rectangle

    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=fill, edgecolor=edge, linewidth=style.pop("linewidth", 0.8), **style))


def prepare(axes: Any, left: float, right: float, top: float, bottom: float) -> None:
    """No frame, y downward, and cells that are squares."""
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal")
    axes.axis("off")


def _draw_plain(drawing: Any, a: SparseArray) -> None:
    grid = grid_of(a)
    rows, columns = min(grid.marks.shape[0], MOST_ROWS), min(grid.marks.shape[1], MOST_COLUMNS)
    drawing.set_size_inches((2 * columns + 9) * CELL_INCHES, (rows + 6) * CELL_INCHES)
    left, right = drawing.subplots(1, 2, gridspec_kw={"wspace": 0.06})
    drawing.suptitle(title(a).replace("   ", "  ·  "), fontsize=10, color=INK, fontweight="bold")
    most = max(int(grid.slot.max(initial=0)), 1)
    for axes, heading in ((left, "the array"), (right, "the order of the slots in `values`")):
        prepare(axes, -1.5, columns + 0.2, -1.8, rows + 0.2)
        axes.set_title(heading, fontsize=9, color=INK)
        for row in range(rows):
            for column in range(columns):
                mark, slot = Mark(grid.marks[row, column]), int(grid.slot[row, column])
                ordered = axes is right and slot >= 0
                if mark is Mark.PADDING and not ordered:
                    cell(axes, column, row, FILLING, FAINT, hatch="//////", linewidth=0.3)
                else:
                    cell(axes, column, row, _shade(slot / most) if ordered else FILLS[mark])
                if ordered:
                    axes.text(column + 0.5, row + 0.5, str(slot), ha="center", va="center", fontsize=5.5 if most < 100 else 4,
                              color="white" if slot / most < 0.6 else INK)
        _rule(axes, grid, rows, columns)
    left.text(0, rows + 0.9, _key(grid, rows, columns), fontsize=8, color=INK, va="center")


def _rule(axes: Any, grid: Grid, rows: int, columns: int) -> None:
    """Borders of blocks and chunks, and the numbers of rows and columns at every block or every fourth."""
    for starts, weight, colour in ((grid.blocks, 1.2, FAINT), (grid.chunks, 2.2, INK)):
        axes.hlines([y for y in starts[0] if y < rows], 0, columns, colors=colour, linewidth=weight)
        axes.vlines([x for x in starts[1] if x < columns], 0, rows, colors=colour, linewidth=weight)
    for row in (0, *grid.blocks[0]) if grid.blocks[0] else range(0, rows, 4):
        if row < rows:
            axes.text(-0.3, row + 0.5, str(row), ha="right", va="center", fontsize=6, color=FAINT)
    for column in (0, *grid.blocks[1]) if grid.blocks[1] else range(0, columns, 4):
        if column < columns:
            axes.text(column + 0.5, -0.3, str(column), ha="center", va="bottom", fontsize=6, color=FAINT)


def _key(grid: Grid, rows: int, columns: int) -> str:
    words = ["blue: stored", "grey: structural zero"]
    if (grid.marks == Mark.STORED_ZERO).any():
        words.append("light blue: stored, value 0")
    if (grid.marks == Mark.PADDING).any():
        words.append("hatched: padding slot")
    if grid.elsewhere:
        words.append(f"{grid.elsewhere} padding slots elsewhere")
    more = [f"{side - shown} more {what}" for side, shown, what in
            zip(grid.marks.shape, (rows, columns), ("rows", "columns"), strict=True) if side > shown]
    return "    ".join(words + more)


def _shade(share: float) -> str:
    """0..1 -> a colour from dark to light, so that storage order is seen as a gradient."""
    import matplotlib
    from matplotlib.colors import to_hex

    return str(to_hex(matplotlib.colormaps["viridis"](0.15 + 0.8 * share)))


def pattern_colours(count: int) -> list[str]:
    """count -> one colour a pattern; neighbours in pattern order are told apart at a glance."""
    import matplotlib
    from matplotlib.colors import to_hex

    if count <= 6:                                             # Okabe and Ito 2008: told apart with any colour vision
        return ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"][:count]
    return [str(to_hex(matplotlib.colormaps["turbo"](x))) for x in np.linspace(0.06, 0.94, count)]
