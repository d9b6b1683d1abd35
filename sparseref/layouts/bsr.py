"""bsr: compressed sparse rows of dense blocks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..array import SparseArray
from ..dtypes import coordinate_dtype
from ..errors import SpecError
from .base import Field, Layout, matrix_only, whole_number
from .blocks import ceil_div, entry_numbers, pad_to
from .compressed import check_indices, check_pointers, line_of_each_slot, pointers


@dataclass(frozen=True)
class BSR(Layout):
    """Whole blocks of r x c entries; block row i owns the blocks indptr[i] up to indptr[i + 1].

    dense [R, C]  <->  indptr [RB + 1], indices [nnzb], values [nnzb, r, c],  RB = ceil(R / r), CB = ceil(C / c)

    Parameters: r, c, the sides of a block, 1 to 65,536.  Sides of the matrix are filled up to multiples.
    Storage: nnzb * (r * c * bits(dtype) + bits(coordinate)) + (RB + 1) * bits(coordinate).
    Errors: BSR-C1 to BSR-C5.  Source: spec/clauses/bsr.toml.
    """

    r: int
    c: int
    name: ClassVar[str] = "bsr"
    examples: ClassVar[tuple[str, ...]] = ("bsr:2:3", "bsr:3:1")

    def __post_init__(self) -> None:
        whole_number("BSR-C1", "r", self.r, 1, 65536)
        whole_number("BSR-C1", "c", self.c, 1, 65536)

    def check(self, shape: tuple[int, ...]) -> None:
        matrix_only("BSR-C2", self, shape)

    def fields(self, shape: tuple[int, ...]) -> dict[str, Field]:
        index = coordinate_dtype(shape)
        return {"indptr": Field(index, (ceil_div(shape[0], self.r) + 1,)), "indices": Field(index, ("nnzb",)),
                "values": Field(None, ("nnzb", self.r, self.c))}

    def _cut(self, array: np.ndarray, fill: object) -> np.ndarray:
        """array [R, C] -> [RB, CB, r, c], filled up to whole blocks."""
        padded = pad_to(array, (self.r, self.c), fill)
        rows, columns = padded.shape
        cut = padded.reshape(rows // self.r, self.r, columns // self.c, self.c)            # [RB, r, CB, c]
        return cut.transpose(0, 2, 1, 3)

    def positions(self, a: SparseArray) -> np.ndarray:
        numbers = self._cut(entry_numbers(a.shape), -1)                                    # BSR-C6: filling is padding
        return numbers[line_of_each_slot(a["indptr"]), a["indices"]]                       # [nnzb, r, c], BSR-C6

    def encode(self, dense: np.ndarray, pattern: np.ndarray) -> dict[str, np.ndarray]:
        index = coordinate_dtype(dense.shape)
        stored = np.asarray(self._cut(pattern, False).any(axis=(2, 3)))                    # [RB, CB]
        whole = self._cut(np.ones(dense.shape, bool), False)
        partial = stored[:, :, None, None] & whole & ~self._cut(pattern, False)
        if partial.any():                                                                  # BSR-C5
            i, j = np.argwhere(partial.any(axis=(2, 3)))[0]
            raise SpecError("BSR-C5", f"the pattern holds part of block ({i}, {j}).", wanted="whole blocks or none of one",
                            given=f"{int(self._cut(pattern, False)[i, j].sum())} of its {int(whole[i, j].sum())} entries",
                            fix=f"choose whole blocks, e.g. BlockFraction({self.r}, {self.c}, 0.75), or use csr")
        rows, columns = np.nonzero(stored)                                                 # BSR-C7: rising in each row
        return {"indptr": pointers(np.bincount(rows, minlength=len(stored)), index), "indices": columns.astype(index),
                "values": self._cut(dense, 0)[rows, columns]}

    def validate(self, a: SparseArray) -> None:
        check_pointers("BSR-C3", a["indptr"], len(a.values))
        check_indices("BSR-C4", a["indices"], ceil_div(a.shape[1], self.c))
        slot = line_of_each_slot(a["indptr"]) * (a.shape[1] + 1) + a["indices"]
        if (np.diff(slot) <= 0).any():                                                     # BSR-C4
            raise SpecError("BSR-C4", "block columns do not rise within a block row.", wanted="indices strictly rising",
                            given=f"indices = {a['indices'][:8]}")

    def sparsifier(self) -> str:
        return f"block-threshold:{self.r}:{self.c}"

    def transposed(self) -> Layout:
        return BSR(self.c, self.r)
