"""scalar-threshold: entries that reach a threshold live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .base import LEAST_POSITIVE, Kind, Sparsifier, checked_threshold


@dataclass(frozen=True)
class ScalarThreshold(Sparsifier):
    """Keeps the entries whose score is at least `threshold`; by default every entry that is not zero.

    scores [shape] -> pattern [shape]

    Errors: SPF-9.  Source: STen, arXiv 2304.07613.
    """

    threshold: float = LEAST_POSITIVE
    name: ClassVar[str] = "scalar-threshold"
    examples: ClassVar[tuple[str, ...]] = ("scalar-threshold", "scalar-threshold,threshold=1.0")
    kind: ClassVar[Kind] = Kind.STREAMING
    memory: ClassVar[str] = "1"

    def __post_init__(self) -> None:
        checked_threshold(self.threshold)

    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        return scores >= self.threshold                                                    # STHR-S1
