"""vnm: n:m where v rows share the columns they keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..array import SparseArray
from ..dtypes import slot_index_dtype
from ..errors import SpecError
from .base import Field, Layout, whole_number
from .blocks import bring_last, ceil_div, entry_numbers, pad_to, split_sides
from .nm import check_rising


@dataclass(frozen=True)
class VNM(Layout):
    """Tiles of v rows and m columns keep n whole columns; idx says which.

    dense [shape]  <->  values [B, VB, KB, v, n], idx [B, VB, KB, n]
    V, K: sides along vector_axis, sparse_axis; B: all others; VB = ceil(V / v); KB = ceil(K / m).

    Parameters: v, n, m; 1 <= v <= 65,536; 1 <= n <= m <= 65,536; sparse_axis, along which n of m are kept; vector_axis.
    Storage: B * VB * KB * n * (v * bits(dtype) + bits(idx)); idx is uint8 up to m = 256, else uint16.
    Errors: VNM-C1, C2, C4, C5.  Source: VENOM, Castro et al. 2023, arXiv 2310.02065; spec/clauses/vnm.toml.
    """

    v: int
    n: int
    m: int
    sparse_axis: int = 1
    vector_axis: int = 0
    name: ClassVar[str] = "vnm"
    examples: ClassVar[tuple[str, ...]] = ("vnm:2:1:3", "vnm:3:2:4,sparse_axis=0,vector_axis=1")

    def __post_init__(self) -> None:
        whole_number("VNM-C1", "v", self.v, 1, 65536)
        whole_number("VNM-C1", "m", self.m, 1, 65536)
        whole_number("VNM-C1", "n", self.n, 1, self.m)

    def check(self, shape: tuple[int, ...]) -> None:
        for axis in (self.sparse_axis, self.vector_axis):
            whole_number("VNM-C2", "axis", axis, -len(shape), len(shape) - 1, fix="vnm describes arrays of two axes or more")
        if self.sparse_axis % len(shape) == self.vector_axis % len(shape):                 # VNM-C2
            raise SpecError("VNM-C2", "the sparse axis and the vector axis are one.", wanted="two different axes",
                            given=f"sparse_axis = {self.sparse_axis}, vector_axis = {self.vector_axis}")

    def fields(self, shape: tuple[int, ...]) -> dict[str, Field]:
        batch, (rows, columns) = split_sides(shape, self.vector_axis, self.sparse_axis)
        tiles = (batch, ceil_div(rows, self.v), ceil_div(columns, self.m))
        return {"values": Field(None, (*tiles, self.v, self.n)), "idx": Field(slot_index_dtype(self.m), (*tiles, self.n))}

    def cut(self, array: np.ndarray, fill: object) -> np.ndarray:
        """array [shape] -> [B, VB, KB, v, m]: tiles, both tails filled up (VNM-C6)."""
        plane = pad_to(bring_last(array, self.vector_axis, self.sparse_axis), (self.v, self.m), fill)
        batch, rows, columns = plane.shape
        tiles = plane.reshape(batch, rows // self.v, self.v, columns // self.m, self.m)    # [B, VB, v, KB, m]
        return tiles.transpose(0, 1, 3, 2, 4)

    def positions(self, a: SparseArray) -> np.ndarray:
        numbers = self.cut(entry_numbers(a.shape), -1)                                     # [B, VB, KB, v, m]
        return np.take_along_axis(numbers, a["idx"][..., None, :].astype(np.int64), axis=4)  # VNM-C3: v rows share idx

    def encode(self, dense: np.ndarray, pattern: np.ndarray) -> dict[str, np.ndarray]:
        real = self.cut(np.ones(dense.shape, bool), False)                                 # [B, VB, KB, v, m]
        kept = self.cut(pattern, False)
        column = kept.any(axis=3)                                                          # [B, VB, KB, m]
        filling = ~real.any(axis=3)
        missing = self.n - column.sum(axis=3, keepdims=True)
        column = column | (filling & (np.cumsum(filling, axis=3) <= missing))              # VNM-C6: lowest filling first
        wrong = (column.sum(axis=3) != self.n) | (column[..., None, :] & real & ~kept).any(axis=(3, 4))
        if wrong.any():                                                                    # VNM-C5
            b, i, j = np.argwhere(wrong)[0]
            raise SpecError("VNM-C5", f"tile ({i}, {j}) of batch {b} does not keep {self.n} whole columns of {self.m}.",
                            wanted=f"the same {self.n} columns kept in all rows of a tile",
                            given=f"columns kept by each row: {kept[b, i, j].sum(axis=1).tolist()[:8]}",
                            fix=f"choose the pattern with VectorNM({self.v}, {self.n}, {self.m})")
        idx = np.nonzero(column)[3].reshape(*column.shape[:3], self.n)                     # rising: VNM-C4
        values = np.take_along_axis(self.cut(dense, 0), idx[..., None, :], axis=4)
        return {"values": values, "idx": idx.astype(slot_index_dtype(self.m))}

    def validate(self, a: SparseArray) -> None:
        check_rising("VNM-C4", a["idx"], self.m)

    def sparsifier(self) -> str:
        return str(self)

    def transposed(self) -> Layout:
        return VNM(self.v, self.n, self.m, 1 - self.sparse_axis % 2, 1 - self.vector_axis % 2)
