"""random-fraction: every entry tosses a coin."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .base import Kind, Sparsifier, checked_fraction


@dataclass(frozen=True)
class RandomFraction(Sparsifier):
    """Drops each entry with probability `fraction`, whatever its value.

    draws [shape], one `Generator.random()` an entry in row-major order -> pattern [shape]

    Errors: SPF-8.  Source: STen, arXiv 2304.07613.
    """

    fraction: float
    name: ClassVar[str] = "random-fraction"
    examples: ClassVar[tuple[str, ...]] = ("random-fraction:0.5",)
    kind: ClassVar[Kind] = Kind.STREAMING
    memory: ClassVar[str] = "1"
    needs_draws: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checked_fraction(self.fraction)

    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        return draws >= self.fraction                                                      # RAND-S1
