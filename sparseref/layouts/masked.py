"""masked: dense storage beside a fixed mask."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..array import SparseArray
from .base import Field, Layout


@dataclass(frozen=True)
class Masked(Layout):
    """Dense storage and the pattern itself; a value where the mask is False is padding.

    dense [shape]  <->  values [shape], mask bool [shape]

    Storage: prod(shape) * (bits(dtype) + 8): the mask is stored as bytes.  Source: spec/clauses/masked.toml.
    """

    name: ClassVar[str] = "masked"
    examples: ClassVar[tuple[str, ...]] = ("masked",)
    any_pattern: ClassVar[bool] = True

    def fields(self, shape: tuple[int, ...]) -> dict[str, Field]:
        return {"values": Field(None, shape), "mask": Field(np.dtype(bool), shape)}

    def positions(self, a: SparseArray) -> np.ndarray:
        everywhere = np.arange(math.prod(a.shape)).reshape(a.shape)
        return np.where(a["mask"], everywhere, -1)                                         # MASKED-C1, MASKED-C2

    def encode(self, dense: np.ndarray, pattern: np.ndarray) -> dict[str, np.ndarray]:
        zero = np.zeros((), dense.dtype)
        return {"values": np.where(pattern, dense, zero), "mask": pattern.copy(order="C")}  # MASKED-C2: padding is +0

    def transposed(self) -> Layout:
        return self
