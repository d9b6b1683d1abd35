"""vnm: the n strongest columns of every tile of v rows and m columns live."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..layouts.blocks import entry_numbers
from ..layouts.vnm import VNM
from .base import Kind, Sparsifier, keep_largest, put_back, without_nan


@dataclass(frozen=True)
class VectorNM(Sparsifier):
    """In every tile, keeps the n columns of highest score, the sum over its v rows.

    scores [shape] -> pattern [shape]

    Errors: VNM-C1, VNM-C2.  Source: VENOM, Castro et al. 2023, arXiv 2310.02065 (its column step).
    """

    v: int
    n: int
    m: int
    sparse_axis: int = 1
    vector_axis: int = 0
    name: ClassVar[str] = "vnm"
    examples: ClassVar[tuple[str, ...]] = ("vnm:2:1:3", "vnm:3:2:4,sparse_axis=0,vector_axis=1")
    kind: ClassVar[Kind] = Kind.BLOCKING
    memory: ClassVar[str] = "v * m"
    structured: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.layout  # noqa: B018 - checks the parameters

    @property
    def layout(self) -> VNM:
        return VNM(self.v, self.n, self.m, self.sparse_axis, self.vector_axis)

    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        self.layout.check(scores.shape)
        numbers = self.layout.cut(entry_numbers(scores.shape), -1)                         # [B, VB, KB, v, m]
        tiles = self.layout.cut(scores, 0.0)
        total = np.zeros(tiles.shape[:3] + tiles.shape[4:])                                # [B, VB, KB, m]
        for row in range(self.v):
            total = total + tiles[..., row, :]                                             # VNMS-S1: the order of the sum
        real = (numbers >= 0).any(axis=3)
        column = keep_largest(np.where(real, without_nan(total), -np.inf), self.n)         # VNMS-S1: filling ranks last
        return put_back(np.broadcast_to(column[..., None, :], tiles.shape), numbers, scores.shape)
