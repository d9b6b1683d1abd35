"""Pruning with data: which entries of a Linear stay, and with what values, so that its output on real inputs changes least."""

from .pruning import prune_by_least_squares

__all__ = ["prune_by_least_squares"]
