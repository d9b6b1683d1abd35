"""What every layout answers: its fields, where each slot's entry lies, and how entries are placed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..descriptor import Descriptor
from ..dtypes import bits_of, value_dtype
from ..errors import SpecError

if TYPE_CHECKING:
    from ..array import SparseArray


@dataclass(frozen=True)
class Field:
    """One named array of a layout: dtype (None: the value dtype) and shape; a str in the shape is a free size."""

    dtype: np.dtype[Any] | None
    shape: tuple[int | str, ...]


class Layout(Descriptor, ABC):
    """How the stored entries of an array are arranged.  Subclasses are frozen dataclasses of their parameters.

    A new layout writes `name`, `fields`, `positions` and `encode`, and `check`, `validate`, `sparsifier`, `transposed`
    where the defaults do not fit.  Everything else (decode, pattern, bits, gradients) follows from `positions`.
    """

    name: ClassVar[str]
    any_pattern: ClassVar[bool] = False          # True: every pattern can be placed, so conversion to it loses nothing

    def check(self, shape: tuple[int, ...]) -> None:
        """Refuse a shape that the layout cannot describe."""

    @abstractmethod
    def fields(self, shape: tuple[int, ...]) -> dict[str, Field]:
        """shape -> {name: Field}; every layout has `values`, whose elements are its slots."""

    @abstractmethod
    def positions(self, a: SparseArray) -> np.ndarray:
        """The decode rule: int64, one per slot: the row-major index of its entry in the dense array, -1 for padding."""

    @abstractmethod
    def encode(self, dense: np.ndarray, pattern: np.ndarray) -> dict[str, np.ndarray]:
        """The encode rule: dense [shape], pattern bool [shape] -> the canonical arrays.  Padding slots hold +0."""

    def validate(self, a: SparseArray) -> None:
        """Refuse arrays that break an invariant of the layout; names, dtypes and shapes are checked before."""

    def sparsifier(self) -> str:
        """The short string of the layout's own sparsifier, used when none is named: here, every entry that is not 0."""
        return "scalar-threshold"

    def transposed(self) -> Layout | None:
        """The layout that holds the transpose of a matrix in this layout; None: coo (TRANSPOSE-1)."""
        return None

    def bits(self, shape: tuple[int, ...], dtype: Any, **sizes: int) -> int:
        """Storage in bits of an array of this shape; `sizes` gives each free size, e.g. nnz=100 (CORE-B1)."""
        value = value_dtype(dtype)
        total = 0
        for field in self.fields(shape).values():
            sides = [sizes[side] if isinstance(side, str) else side for side in field.shape]
            total += math.prod(sides) * bits_of(field.dtype or value)
        return total


def whole_number(clause: str, what: str, value: object, low: int, high: int, fix: str = "") -> None:
    """Refuse anything but an int in low..high."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise SpecError(clause, f"{what} is out of its range.", wanted=f"a whole number, {low} <= {what} <= {high}",
                        given=f"{what} = {value!r}", fix=fix)


def matrix_only(clause: str, layout: Layout, shape: tuple[int, ...]) -> None:
    """Refuse a shape that is not a matrix."""
    if len(shape) != 2:
        raise SpecError(clause, f"{layout} describes matrices.", wanted="a shape (R, C)", given=f"shape = {shape}",
                        fix="reshape to a matrix first, or use coo, masked or dense, which take any shape")
