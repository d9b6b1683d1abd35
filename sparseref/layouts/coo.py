"""coo: the coordinates of each entry beside its value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..array import SparseArray
from ..dtypes import coordinate_dtype
from ..errors import SpecError
from .base import Field, Layout


@dataclass(frozen=True)
class COO(Layout):
    """Coordinates and value of every entry; entries may come in any order, duplicates add up.

    dense [shape], D axes  <->  coords [D, nnz], values [nnz]

    Storage: nnz * (bits(dtype) + D * bits(coordinate)).  Errors: COO-C2, COO-C3.  Source: spec/clauses/coo.toml.
    """

    name: ClassVar[str] = "coo"
    examples: ClassVar[tuple[str, ...]] = ("coo",)
    any_pattern: ClassVar[bool] = True

    def check(self, shape: tuple[int, ...]) -> None:
        if not shape:                                                                      # COO-C3
            raise SpecError("COO-C3", "a 0-dimensional array has no coordinates.", wanted="at least one axis",
                            given="shape = ()", fix="use the dense or masked layout, or reshape to (1,)")

    def fields(self, shape: tuple[int, ...]) -> dict[str, Field]:
        return {"coords": Field(coordinate_dtype(shape), (len(shape), "nnz")), "values": Field(None, ("nnz",))}

    def positions(self, a: SparseArray) -> np.ndarray:
        position = np.zeros(a.values.shape, np.int64)                                      # any order, duplicates: COO-C4
        for coordinate, side in zip(a["coords"], a.shape, strict=True):                    # COO-C1
            position = position * side + coordinate
        return position

    def encode(self, dense: np.ndarray, pattern: np.ndarray) -> dict[str, np.ndarray]:
        coords = np.stack(np.nonzero(pattern))                # [D, nnz], row-major order: COO-C5
        return {"coords": coords.astype(coordinate_dtype(dense.shape)), "values": dense[pattern]}

    def validate(self, a: SparseArray) -> None:
        for axis, (coordinate, side) in enumerate(zip(a["coords"], a.shape, strict=True)):
            outside = coordinate[(coordinate < 0) | (coordinate >= side)]
            if outside.size:                                                               # COO-C2
                raise SpecError("COO-C2", f"a coordinate along axis {axis} lies outside the array.",
                                wanted=f"0 <= coordinate < {side}", given=f"coordinate = {outside[0]}")
