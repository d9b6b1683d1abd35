"""nm: n of every m along an axis."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..array import SparseArray
from ..dtypes import slot_index_dtype
from ..errors import SpecError
from .base import Field, Layout, whole_number
from .blocks import bring_last, ceil_div, entry_numbers, pad_to, split_sides


@dataclass(frozen=True)
class NM(Layout):
    """Along `axis`, blocks of m entries keep n each; idx says where in its block each kept entry sits.

    dense [shape]  <->  values [B, KB, n], idx [B, KB, n];  K the side along `axis`, KB = ceil(K / m), B all other axes

    Parameters: n, m, 1 <= n <= m <= 65,536; axis, the last by default.  K is filled up to a multiple of m.
    Storage: B * KB * n * (bits(dtype) + 8), with 16 for 8 where m > 256.
    Errors: NM-C1, NM-C2, NM-C4, NM-C5.  Source: spec/clauses/nm.toml; 2:4 is Mishra et al. 2021, arXiv 2104.08378.
    """

    n: int
    m: int
    axis: int = -1
    name: ClassVar[str] = "nm"
    examples: ClassVar[tuple[str, ...]] = ("nm:2:4", "nm:1:3,axis=0")

    def __post_init__(self) -> None:
        whole_number("NM-C1", "m", self.m, 1, 65536)
        whole_number("NM-C1", "n", self.n, 1, self.m)

    def check(self, shape: tuple[int, ...]) -> None:
        whole_number("NM-C2", "axis", self.axis, -len(shape), len(shape) - 1)

    def fields(self, shape: tuple[int, ...]) -> dict[str, Field]:
        batch, (side,) = split_sides(shape, self.axis)
        slots = (batch, ceil_div(side, self.m), self.n)
        return {"values": Field(None, slots), "idx": Field(slot_index_dtype(self.m), slots)}

    def cut(self, array: np.ndarray, fill: object) -> np.ndarray:
        """array [shape] -> [B, KB, m]: blocks along `axis`, the last one filled up."""
        lines = bring_last(array, self.axis)                                               # [B, K]
        return pad_to(lines, (self.m,), fill).reshape(len(lines), ceil_div(lines.shape[1], self.m), self.m)

    def positions(self, a: SparseArray) -> np.ndarray:
        numbers = self.cut(entry_numbers(a.shape), -1)                                     # NM-C6: filling is padding
        return np.take_along_axis(numbers, a["idx"].astype(np.int64), axis=2)              # [B, KB, n], NM-C3

    def encode(self, dense: np.ndarray, pattern: np.ndarray) -> dict[str, np.ndarray]:
        kept = self.cut(pattern, False)
        filling = ~self.cut(np.ones(dense.shape, bool), False)                             # [B, KB, m]
        missing = self.n - kept.sum(axis=2, keepdims=True)
        kept = kept | (filling & (np.cumsum(filling, axis=2) <= missing))                  # NM-C6: lowest filling first
        counts = kept.sum(axis=2)
        if (counts != self.n).any():                                                       # NM-C5
            b, block = np.argwhere(counts != self.n)[0]
            raise SpecError("NM-C5", f"block {block} of line {b} does not keep {self.n} of {self.m}.",
                            wanted=f"{self.n} stored entries in every block", given=f"{counts[b, block]}",
                            fix=f"choose the pattern with PerBlockNM({self.n}, {self.m})")
        idx = np.nonzero(kept)[2].reshape(*counts.shape, self.n)                           # rising: NM-C4
        values = np.take_along_axis(self.cut(dense, 0), idx, axis=2)
        return {"values": values, "idx": idx.astype(slot_index_dtype(self.m))}

    def validate(self, a: SparseArray) -> None:
        check_rising("NM-C4", a["idx"], self.m)

    def sparsifier(self) -> str:
        return str(self)

    def transposed(self) -> Layout:
        return NM(self.n, self.m, axis=0 if self.axis in (-1, 1) else -1)


def check_rising(clause: str, idx: np.ndarray, m: int) -> None:
    """Refuse idx [..., n] that leaves 0..m-1 or does not rise within a block."""
    wide = idx.astype(np.int64)
    if (wide >= m).any() or (np.diff(wide, axis=-1) <= 0).any():
        raise SpecError(clause, "idx does not name n places of a block.", wanted=f"0 <= idx < {m}, rising in each block",
                        given=f"largest {wide.max()}, smallest step {np.diff(wide, axis=-1).min(initial=m)}")
