"""keep-all: every entry lives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from .base import Kind, Sparsifier


@dataclass(frozen=True)
class KeepAll(Sparsifier):
    """scores [shape] -> pattern [shape], all True; of a sparse array, all that is stored (KEEP-S1)."""

    name: ClassVar[str] = "keep-all"
    examples: ClassVar[tuple[str, ...]] = ("keep-all",)
    kind: ClassVar[Kind] = Kind.STREAMING
    memory: ClassVar[str] = "1"

    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        return np.ones(scores.shape, bool)                                                 # KEEP-S1
