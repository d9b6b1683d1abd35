"""same-pattern and same-format: choose again, as an earlier array did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..array import SparseArray, checked_sparse
from ..errors import SpecError
from .base import Kind, Sparsifier, keep_largest


def checked_like(clause: str, like: SparseArray, shape: tuple[int, ...]) -> None:
    """Refuse values of another shape than the array they should follow, and what is no array."""
    if checked_sparse(like).shape != shape:
        raise SpecError(clause, "the values have another shape than the array they should follow.",
                        wanted=f"shape {like.shape}", given=f"shape {shape}")


@dataclass(frozen=True, eq=False)
class SamePattern(Sparsifier):
    """The pattern of `like`, whatever the values: fixed-mask fine-tuning.

    scores [shape] -> like.pattern [shape]

    Errors: SAME-S1.  Source: STen, arXiv 2304.07613, SameFormatSparsifier with a fixed mask.
    """

    like: SparseArray
    name: ClassVar[str] = "same-pattern"
    kind: ClassVar[Kind] = Kind.STREAMING
    memory: ClassVar[str] = "1"
    structured: ClassVar[bool] = True

    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        checked_like("SAME-S1", self.like, scores.shape)
        return self.like.pattern                                                           # SAME-S1


@dataclass(frozen=True, eq=False)
class SameFormat(Sparsifier):
    """Chooses anew as the layout of `like` does; a layout that takes every pattern keeps as many entries as `like`.

    scores [shape] -> pattern [shape]

    Errors: SAME-S2.  Source: STen, arXiv 2304.07613, SameFormatSparsifier.
    """

    like: SparseArray
    name: ClassVar[str] = "same-format"
    kind: ClassVar[Kind] = Kind.MATERIALIZING
    passes: ClassVar[int] = 2
    memory: ClassVar[str] = "size"
    structured: ClassVar[bool] = True

    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        from . import own_sparsifier

        checked_like("SAME-S2", self.like, scores.shape)
        if self.like.layout.any_pattern:                                                   # SAME-S2: the exact count
            return keep_largest(scores.reshape(-1), self.like.nnz).reshape(scores.shape)
        return own_sparsifier(self.like.layout).select(scores, draws)
