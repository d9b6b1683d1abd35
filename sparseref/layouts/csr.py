"""csr: compressed sparse rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..array import SparseArray
from ..dtypes import coordinate_dtype
from .base import Field, Layout, matrix_only
from .compressed import check_indices, check_pointers, line_of_each_slot, pointers


@dataclass(frozen=True)
class CSR(Layout):
    """Row i owns the slots indptr[i] up to indptr[i + 1]; columns may come in any order, duplicates add up.

    dense [R, C]  <->  indptr [R + 1], indices [nnz], values [nnz]

    Storage: nnz * (bits(dtype) + bits(coordinate)) + (R + 1) * bits(coordinate).
    Errors: CSR-C1, CSR-C2, CSR-C3.  Source: spec/clauses/csr.toml.
    """

    name: ClassVar[str] = "csr"
    examples: ClassVar[tuple[str, ...]] = ("csr",)
    any_pattern: ClassVar[bool] = True

    def check(self, shape: tuple[int, ...]) -> None:
        matrix_only("CSR-C1", self, shape)

    def fields(self, shape: tuple[int, ...]) -> dict[str, Field]:
        rows, index = shape[0], coordinate_dtype(shape)
        return {"indptr": Field(index, (rows + 1,)), "indices": Field(index, ("nnz",)), "values": Field(None, ("nnz",))}

    def positions(self, a: SparseArray) -> np.ndarray:
        row = line_of_each_slot(a["indptr"])
        return row * a.shape[1] + a["indices"]                                             # CSR-C4

    def encode(self, dense: np.ndarray, pattern: np.ndarray) -> dict[str, np.ndarray]:
        index = coordinate_dtype(dense.shape)
        _, columns = np.nonzero(pattern)                      # row by row, columns rising: CSR-C5
        return {"indptr": pointers(pattern.sum(axis=1), index), "indices": columns.astype(index),
                "values": dense[pattern]}

    def validate(self, a: SparseArray) -> None:
        check_pointers("CSR-C2", a["indptr"], len(a.values))
        check_indices("CSR-C3", a["indices"], a.shape[1])      # and no order: columns may come as they like, CSR-C6

    def transposed(self) -> Layout:
        from .csc import CSC

        return CSC()
