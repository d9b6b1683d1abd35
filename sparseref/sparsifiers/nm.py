"""nm: the n largest of every m live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..layouts.blocks import entry_numbers
from ..layouts.nm import NM
from .base import Kind, Sparsifier, keep_largest, put_back


@dataclass(frozen=True)
class PerBlockNM(Sparsifier):
    """Along `axis`, keeps the n entries of highest score in every block of m; filling ranks below every real entry.

    scores [shape] -> pattern [shape]

    Errors: NM-C1, NM-C2.  Source: Mishra et al. 2021, arXiv 2104.08378; STen, arXiv 2304.07613.
    """

    n: int
    m: int
    axis: int = -1
    name: ClassVar[str] = "nm"
    examples: ClassVar[tuple[str, ...]] = ("nm:2:4", "nm:1:3,axis=0")
    kind: ClassVar[Kind] = Kind.BLOCKING
    memory: ClassVar[str] = "m"
    structured: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.layout  # noqa: B018 - checks the parameters

    @property
    def layout(self) -> NM:
        return NM(self.n, self.m, self.axis)

    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        self.layout.check(scores.shape)
        kept = keep_largest(self.layout.cut(scores, -np.inf), self.n)                      # [B, KB, m], NMS-S1
        return put_back(kept, self.layout.cut(entry_numbers(scores.shape), -1), scores.shape)
