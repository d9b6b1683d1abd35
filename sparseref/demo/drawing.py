"""A plot as an SVG text that needs no other file, and is the same for the same figures."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any, TypeVar

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

R = TypeVar("R")
"""What is drawn."""

STYLE: dict[Any, Any] = {"font.size": 10, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
                         "grid.alpha": 0.3, "axes.axisbelow": True, "legend.frameon": False, "svg.hashsalt": "sparseref"}


def draw(width: float, height: float, paint: Callable[[Axes, R], None], result: R) -> str:
    """A plot on one pair of axes, inches wide and high -> <svg ...> for a page."""
    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.subplots(), result)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    svg = text.getvalue()
    svg = svg[svg.index("<svg"):]                              # a page has no place for the XML prolog
    return re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
