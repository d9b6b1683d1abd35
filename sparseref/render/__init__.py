"""Pictures: of a layout, of a sparse array, and of where two arrays differ."""

from .differ import difference
from .svg import figure, svg
from .text import text, title

__all__ = ["difference", "figure", "svg", "text", "title"]
