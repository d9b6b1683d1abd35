"""dense: every entry is stored."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..array import SparseArray
from ..errors import SpecError
from .base import Field, Layout


@dataclass(frozen=True)
class Dense(Layout):
    """Every entry, zeros too, in row-major order.

    dense [shape]  <->  values [shape]

    Storage: prod(shape) * bits(dtype).  Errors: DENSE-C2.  Source: spec/clauses/dense.toml.
    """

    name: ClassVar[str] = "dense"
    examples: ClassVar[tuple[str, ...]] = ("dense",)

    def fields(self, shape: tuple[int, ...]) -> dict[str, Field]:
        return {"values": Field(None, shape)}

    def positions(self, a: SparseArray) -> np.ndarray:
        return np.arange(a.values.size).reshape(a.shape)                                   # DENSE-C1

    def encode(self, dense: np.ndarray, pattern: np.ndarray) -> dict[str, np.ndarray]:
        if not pattern.all():                                                              # DENSE-C2
            raise SpecError("DENSE-C2", "the dense layout stores every entry.", wanted="a pattern that is all True",
                            given=f"{int((~pattern).sum())} positions that are False",
                            fix="use the masked layout to keep a pattern beside dense values")
        return {"values": dense.copy(order="C")}

    def sparsifier(self) -> str:
        return "keep-all"

    def transposed(self) -> Layout:
        return self
