"""Pictures: of a layout, of a sparse array, and of where two arrays differ."""

from .differ import difference

__all__ = ["difference"]
