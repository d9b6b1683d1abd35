"""A plot as an SVG text that needs no other file, and is the same for the same figures."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, TypeVar

from .errors import MissingDependency

R = TypeVar("R")
"""What is drawn."""

COLOURS = ("#2563eb", "#d97706", "#059669", "#db2777", "#7c3aed", "#0891b2", "#65a30d", "#475569")
STYLE: dict[Any, Any] = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
                         "grid.alpha": 0.3, "axes.axisbelow": True, "legend.frameon": False, "svg.hashsalt": "sparseref"}


def draw(width: float, height: float, paint: Callable[[Any, R], None], result: R, columns: int = 1) -> str:
    """A plot on one pair of axes, or on several side by side, inches wide and high -> <svg ...> for a page.

    Errors: MissingDependency without matplotlib.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as missing:
        raise MissingDependency("matplotlib", "a page with plots", "conformance") from missing
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.subplots(1, columns), result)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg"):]                              # a page has no place for the XML prolog
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
