"""The C(m, n) patterns of n among m, in minimal-change order."""

from functools import cache

import numpy as np


def minimal_change(n: int, m: int, s: bool = False) -> tuple[tuple[int, ...], ...]:
    """n, m -> the C(m, n) patterns, each n rising places of 0..m-1; neighbours differ in exactly one place (NMG-C3).

    2, 4 -> 01 02 12 13 03 23.  Source: STen, arXiv 2304.07613, its artifact's order f(n, m, s).
    """
    if n in (0, m):
        return (tuple(range(n)),)
    first = minimal_change(n, m - 1, True)
    if s:
        first = first[::-1]
    second = tuple((*places, m - 1) for places in minimal_change(n - 1, m - 1, not s))
    return first + second


@cache
def _order(n: int, m: int) -> tuple[tuple[int, ...], ...]:
    """Kept for the whole order alone: to keep every step of the recursion takes gigabytes for 254:256."""
    return minimal_change(n, m)


def pattern_places(n: int, m: int) -> np.ndarray:
    """n, m -> int64 [C, n]: the places that pattern p keeps, in pattern order."""
    return np.array(_order(n, m), np.int64).reshape(-1, n)


def pattern_masks(n: int, m: int) -> np.ndarray:
    """n, m -> bool [C, m]: True where pattern p keeps."""
    places = pattern_places(n, m)
    masks = np.zeros((len(places), m), bool)
    masks[np.arange(len(places))[:, None], places] = True
    return masks
