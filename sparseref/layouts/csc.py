"""csc: compressed sparse columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..array import SparseArray
from ..dtypes import coordinate_dtype
from .base import Field, Layout, matrix_only
from .compressed import check_indices, check_pointers, line_of_each_slot, pointers


@dataclass(frozen=True)
class CSC(Layout):
    """Column j owns the slots indptr[j] up to indptr[j + 1]; rows may come in any order, duplicates add up.

    dense [R, C]  <->  indptr [C + 1], indices [nnz], values [nnz]

    Storage: nnz * (bits(dtype) + bits(coordinate)) + (C + 1) * bits(coordinate).
    Errors: CSC-C1, CSC-C2, CSC-C3.  Source: spec/clauses/csc.toml.
    """

    name: ClassVar[str] = "csc"
    examples: ClassVar[tuple[str, ...]] = ("csc",)
    any_pattern: ClassVar[bool] = True

    def check(self, shape: tuple[int, ...]) -> None:
        matrix_only("CSC-C1", self, shape)

    def fields(self, shape: tuple[int, ...]) -> dict[str, Field]:
        columns, index = shape[1], coordinate_dtype(shape)
        return {"indptr": Field(index, (columns + 1,)), "indices": Field(index, ("nnz",)),
                "values": Field(None, ("nnz",))}

    def positions(self, a: SparseArray) -> np.ndarray:
        column = line_of_each_slot(a["indptr"])
        return a["indices"].astype(np.int64) * a.shape[1] + column                         # CSC-C4

    def encode(self, dense: np.ndarray, pattern: np.ndarray) -> dict[str, np.ndarray]:
        index = coordinate_dtype(dense.shape)
        _, rows = np.nonzero(pattern.T)                       # column by column, rows rising: CSC-C5
        return {"indptr": pointers(pattern.sum(axis=0), index), "indices": rows.astype(index),
                "values": dense.T[pattern.T]}

    def validate(self, a: SparseArray) -> None:
        check_pointers("CSC-C2", a["indptr"], len(a.values))
        check_indices("CSC-C3", a["indices"], a.shape[0])      # and no order: rows may come as they like, CSC-C6

    def transposed(self) -> Layout:
        from .csr import CSR

        return CSR()
