"""ell: every row has room for the same number of entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..array import SparseArray
from ..dtypes import coordinate_dtype
from ..errors import SpecError
from .base import Field, Layout, matrix_only
from .compressed import check_indices


@dataclass(frozen=True)
class ELL(Layout):
    """K slots for every row, K the most that a row stores; a slot with index -1 is padding.

    dense [R, C]  <->  indices [R, K], values [R, K]

    Storage: R * K * (bits(dtype) + bits(coordinate)).  Errors: ELL-C1, ELL-C3.  Source: spec/clauses/ell.toml.
    """

    name: ClassVar[str] = "ell"
    examples: ClassVar[tuple[str, ...]] = ("ell",)
    any_pattern: ClassVar[bool] = True

    def check(self, shape: tuple[int, ...]) -> None:
        matrix_only("ELL-C1", self, shape)

    def fields(self, shape: tuple[int, ...]) -> dict[str, Field]:
        rows = shape[0]
        return {"indices": Field(coordinate_dtype(shape), (rows, "K")), "values": Field(None, (rows, "K"))}

    def positions(self, a: SparseArray) -> np.ndarray:
        row = np.arange(a.shape[0])[:, None]
        return np.where(a["indices"] >= 0, row * a.shape[1] + a["indices"], -1)            # ELL-C2

    def encode(self, dense: np.ndarray, pattern: np.ndarray) -> dict[str, np.ndarray]:
        rows = dense.shape[0]
        most = int(pattern.sum(axis=1).max(initial=0))                                     # ELL-C4: K
        indices = np.full((rows, most), -1, coordinate_dtype(dense.shape))
        values = np.zeros((rows, most), dense.dtype)
        for row in range(rows):
            columns = np.flatnonzero(pattern[row])                                         # rising: ELL-C4
            indices[row, :len(columns)] = columns
            values[row, :len(columns)] = dense[row, columns]
        return {"indices": indices, "values": values}

    def validate(self, a: SparseArray) -> None:
        indices = a["indices"].astype(np.int64)
        check_indices("ELL-C3", indices[indices != -1], a.shape[1])
        as_last = np.where(indices == -1, a.shape[1], indices)                             # padding sorts last
        if ((np.diff(as_last) <= 0) & (as_last[:, 1:] != a.shape[1])).any():               # ELL-C3
            raise SpecError("ELL-C3", "the indices of a row are out of order.", wanted="rising, then -1 to the end",
                            given=f"a row of {indices.shape[1]} slots that is not")
