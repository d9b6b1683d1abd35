"""scalar-fraction: an exact share of the entries lives, the largest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .base import Kind, Sparsifier, checked_fraction, dropped_count, keep_largest


@dataclass(frozen=True)
class ScalarFraction(Sparsifier):
    """Drops the share `fraction` of the entries, those of lowest score; the count is exact, never approximate.

    scores [shape] -> pattern [shape] with size - rint(fraction * size) entries

    Errors: SPF-8.  Source: STen, arXiv 2304.07613 (magnitude pruning).
    """

    fraction: float
    name: ClassVar[str] = "scalar-fraction"
    examples: ClassVar[tuple[str, ...]] = ("scalar-fraction:0.5", "scalar-fraction:0.9")
    kind: ClassVar[Kind] = Kind.MATERIALIZING
    passes: ClassVar[int] = 2
    memory: ClassVar[str] = "size"

    def __post_init__(self) -> None:
        checked_fraction(self.fraction)

    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        kept = scores.size - dropped_count(self.fraction, scores.size)                     # SFRAC-S1
        return keep_largest(scores.reshape(-1), kept).reshape(scores.shape)                # SPF-4: ties
