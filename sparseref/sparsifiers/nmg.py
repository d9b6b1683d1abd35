"""nmg: greedy choice of a pattern for every fibre, each pattern g times a chunk."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..layouts.blocks import entry_numbers
from ..layouts.nmg import NMG
from ..layouts.patterns import pattern_masks, pattern_places
from .base import Kind, Sparsifier, put_back, without_nan


@dataclass(frozen=True)
class GroupedNM(Sparsifier):
    """What greedy and optimal share: the parameters of nmg, the scores of fibre and pattern, the way back."""

    n: int
    m: int
    g: int
    sparse_axis: int = 0
    group_axis: int = 1
    tail: str = "pad"
    kind: ClassVar[Kind] = Kind.BLOCKING
    structured: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.layout  # noqa: B018 - checks the parameters

    @property
    def layout(self) -> NMG:
        return NMG(self.n, self.m, self.g, self.sparse_axis, self.group_axis, self.tail)

    @abstractmethod
    def assign(self, scores: np.ndarray, g: int) -> np.ndarray:
        """scores [X, F, C] of X chunks -> int [X, F]: the pattern of each fibre, each pattern owning g."""

    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        self.layout.check(scores.shape)
        blocks = self.layout.cut(scores, 0.0)                                              # [B, RB, m, S], NMGS-S4
        numbers = self.layout.cut(entry_numbers(scores.shape), -1)
        masks = pattern_masks(self.n, self.m)                                              # [C, m]
        kept = np.zeros(blocks.shape, bool)
        for chunk in self.layout.chunks(scores.shape[self.group_axis]):
            part = blocks[..., chunk.fibres]                                               # [B, RB, m, F]
            batch, rows, _, fibres = part.shape
            by_pattern = fibre_scores(part.reshape(batch * rows, self.m, fibres), self.n)  # [B*RB, F, C]
            owner = self.assign(by_pattern, chunk.g).reshape(batch, rows, fibres)
            kept[..., chunk.fibres] = masks[owner].transpose(0, 1, 3, 2)                   # [B, RB, m, F]
        return put_back(kept, numbers, scores.shape)


def fibre_scores(blocks: np.ndarray, n: int) -> np.ndarray:
    """blocks [X, m, F] -> [X, F, C]: what fibre f keeps under pattern p, float64 sums in the order of its places."""
    places = pattern_places(n, blocks.shape[1])                                            # [C, n]
    total = np.zeros((blocks.shape[0], len(places), blocks.shape[2]))
    with np.errstate(invalid="ignore"):                        # inf - inf is NaN, which SPF-3 ranks
        for j in range(n):
            total = total + blocks[:, places[:, j], :]                                     # NMGS-S1
    return without_nan(total).transpose(0, 2, 1)


@dataclass(frozen=True)
class GreedyNMG(GroupedNM):
    """Takes pairs of fibre and pattern best first, skipping fibres that have a pattern and patterns that have g fibres.

    scores [shape] -> pattern [shape]

    Ties go to the lower fibre, then to the lower pattern.  Errors: NMG-C1, NMG-C2, NMG-C7.
    Source: STen, arXiv 2304.07613 (the greedy of dense -> n:m:g).
    """

    name: ClassVar[str] = "nmg"
    examples: ClassVar[tuple[str, ...]] = ("nmg:2:4:2", "nmg:1:3:2,tail=short", "nmg:2:3:2,sparse_axis=1,group_axis=0")
    memory: ClassVar[str] = "C * g * C"

    def assign(self, scores: np.ndarray, g: int) -> np.ndarray:
        chunks, fibres, patterns = scores.shape
        pairs = scores.reshape(chunks, fibres * patterns)                                  # NMGS-S3: lower fibre, lower pattern
        order = np.argsort(-pairs, axis=1, kind="stable")                                  # NMGS-S2: best first
        owner = np.full((chunks, fibres), -1)
        room = np.full((chunks, patterns), g)
        every = np.arange(chunks)
        for pair in order.T:                                   # the same rank in all chunks at once
            fibre, pattern = np.divmod(pair, patterns)
            take = (owner[every, fibre] < 0) & (room[every, pattern] > 0)
            owner[every[take], fibre[take]] = pattern[take]
            room[every[take], pattern[take]] -= 1
        return owner
