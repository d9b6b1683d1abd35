"""Recipes: what `SparsityBuilder` is told, as a plain TOML file, and `sparseref sparsify`, which follows one."""

from .recipe import Recipe
from .rule import Rule

__all__ = ["Recipe", "Rule"]
