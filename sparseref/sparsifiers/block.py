"""block-threshold and block-fraction: whole blocks live or die."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import SpecError
from ..layouts.base import whole_number
from ..layouts.blocks import pad_to
from .base import (
    LEAST_POSITIVE,
    Kind,
    Sparsifier,
    checked_fraction,
    checked_threshold,
    dropped_count,
    keep_largest,
    without_nan,
)


def checked_block(r: int, c: int) -> None:
    """Refuse sides of a block that are not 1..65,536 (BLK-S2)."""
    whole_number("BLK-S2", "r", r, 1, 65536)
    whole_number("BLK-S2", "c", c, 1, 65536)


def block_scores(scores: np.ndarray, r: int, c: int) -> np.ndarray:
    """scores [R, C] -> [RB, CB]: float64 sums over each block in row-major order, filling adds nothing (BLK-S1)."""
    if scores.ndim != 2:
        raise SpecError("BLK-S3", "blocks are cut from matrices.", wanted="a shape (R, C)", given=f"shape = {scores.shape}")
    padded = pad_to(scores, (r, c), 0.0)
    rows, columns = padded.shape
    blocks = padded.reshape(rows // r, r, columns // c, c)                                 # [RB, r, CB, c]
    total = np.zeros((rows // r, columns // c))
    for i in range(r):
        for j in range(c):
            total = total + blocks[:, i, :, j]                                             # BLK-S1: the order of the sum
    return without_nan(total)


def spread(blocks: np.ndarray, r: int, c: int, shape: tuple[int, ...]) -> np.ndarray:
    """bool [RB, CB] -> bool [R, C]: each entry lives as its block does."""
    return blocks.repeat(r, axis=0).repeat(c, axis=1)[:shape[0], :shape[1]]


@dataclass(frozen=True)
class BlockThreshold(Sparsifier):
    """Keeps the r x c blocks whose score (sum) is at least `threshold`; by default every block that is not all zero.

    scores [R, C] -> pattern [R, C]

    Errors: BLK-S2, BLK-S3, SPF-9.  Source: STen, arXiv 2304.07613.
    """

    r: int
    c: int
    threshold: float = LEAST_POSITIVE
    name: ClassVar[str] = "block-threshold"
    examples: ClassVar[tuple[str, ...]] = ("block-threshold:2:3", "block-threshold:2:2,threshold=3.0")
    kind: ClassVar[Kind] = Kind.BLOCKING
    memory: ClassVar[str] = "r * c"
    structured: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checked_block(self.r, self.c)
        checked_threshold(self.threshold)

    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        kept = block_scores(scores, self.r, self.c) >= self.threshold                      # BTHR-S1
        return spread(kept, self.r, self.c, scores.shape)


@dataclass(frozen=True)
class BlockFraction(Sparsifier):
    """Drops the share `fraction` of the r x c blocks, those of lowest score (sum); the count is exact.

    scores [R, C] -> pattern [R, C] with blocks - rint(fraction * blocks) whole blocks

    Errors: BLK-S2, BLK-S3, SPF-8.  Source: STen, arXiv 2304.07613.
    """

    r: int
    c: int
    fraction: float
    name: ClassVar[str] = "block-fraction"
    examples: ClassVar[tuple[str, ...]] = ("block-fraction:2:3:0.5", "block-fraction:1:2:0.75")
    kind: ClassVar[Kind] = Kind.MATERIALIZING
    passes: ClassVar[int] = 2
    memory: ClassVar[str] = "size"
    structured: ClassVar[bool] = True

    def __post_init__(self) -> None:
        checked_block(self.r, self.c)
        checked_fraction(self.fraction)

    def select(self, scores: np.ndarray, draws: np.ndarray) -> np.ndarray:
        blocks = block_scores(scores, self.r, self.c)
        kept = blocks.size - dropped_count(self.fraction, blocks.size)                     # BFRAC-S1
        return spread(keep_largest(blocks.reshape(-1), kept).reshape(blocks.shape), self.r, self.c, scores.shape)
