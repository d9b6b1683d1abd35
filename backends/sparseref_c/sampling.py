"""The gradient by the stored values of a weight (src/sampled.c), and where a prepared weight's values come from."""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseref import SparseArray

from .library import CMatrix, CPatches, CRuns, CSampled, Library, Where, counted, library, threads, where
from .multiplying import done, readable
from .preparing import Prepared, prepare


@dataclass(frozen=True, eq=False)
class PreparedPattern:
    """Where a sparse array stores, prepared once; values, which training changes at every step, are put in when there are some.

    shape: of the array's `values`; numbers: the array prepared with its slots' numbers, from 1, for values; 0 is filling.
    slots: int64, the same as indices.
    """

    shape: tuple[int, ...]
    numbers: Prepared
    slots: np.ndarray

    def holding(self, values: np.ndarray) -> Prepared:
        """values [shape] of float32 or float64 -> what `prepare` makes of the array with these values.  Errors: ValueError."""
        if values.shape != self.shape or values.dtype not in (np.float32, np.float64):
            raise ValueError(f"values {values.shape} in {values.dtype} for a pattern of {self.shape} in float32 or float64")
        arrays = (*self.numbers.arrays[:-1], np.append(np.zeros(1, values.dtype), values)[self.slots])
        runs = CRuns.from_buffer_copy(self.numbers.runs)
        runs.value = arrays[-1].ctypes.data
        return Prepared(self.numbers.shape, values.dtype, runs, arrays, later=self.numbers.later)

    def in_dtype(self, dtype: np.dtype[Any]) -> Prepared:
        """For `sampled`, to which values do not count."""
        return Prepared(self.numbers.shape, dtype, self.numbers.runs, self.numbers.arrays, later=self.numbers.later)

    def in_slots(self, by_value: np.ndarray) -> np.ndarray:
        """What belongs to each prepared value -> [shape], +0 in padding (GRAD-2)."""
        values = np.zeros(1 + math.prod(self.shape), by_value.dtype)
        values[self.slots] = by_value                          # what belongs to filling goes to place 0, which is cut off
        return values[1:].reshape(self.shape)


def prepare_pattern(a: SparseArray, transposed: bool = False) -> PreparedPattern:
    """As `prepare`, whatever the values of a are."""
    stored = a.layout.positions(a) >= 0
    numbered = np.where(stored, np.arange(1, stored.size + 1).reshape(stored.shape), 0).astype(np.float64)     # exact to 2**53
    numbers = prepare(a.with_values(numbered), transposed, abreast=False)
    return PreparedPattern(stored.shape, numbers, numbers.arrays[-1].astype(np.int64))


def sampled(weight: Prepared, grad: np.ndarray, x: np.ndarray, at_most: int | None = None,
            using: Library | None = None) -> np.ndarray:
    """weight [O, K], grad [T, O], x [T, K] -> the gradient by each of its values, in the order in which it holds them.

    All in the weight's dtype, in any strides; the weight's own values do not count.  at_most: as for `multiply`.
    Errors: LINEAR-2, CORE-D2, CLIB-2, MemoryError.
    """
    outputs, inputs = weight.shape
    x = readable("x", x, (len(x) if np.ndim(x) else 0, inputs), weight)
    grad = readable("grad", grad, (len(x), outputs), weight)
    by_value = np.zeros(weight.arrays[-1].shape, weight.dtype)
    sample(weight, where(grad), where(x), by_value, len(x), at_most, using)
    return by_value


def sample(weight: Prepared, grad: Where, x: Where, by_value: np.ndarray, tokens: int, at_most: int | None = None,
           using: Library | None = None, patches: CPatches | None = None) -> None:
    """As `sampled`, unchecked, of memory by its address, and added to by_value.  patches: instead of x, a convolution's."""
    using = using or library()
    what = CSampled(ctypes.pointer(weight.runs), CMatrix(*grad), CMatrix(*x), by_value.ctypes.data, tokens,
                    None if patches is None else ctypes.pointer(patches))
    count = threads() if at_most is None else counted(at_most, "at_most")
    status = using.functions.sparseref_sampled(ctypes.byref(what), using.number, weight.dtype.itemsize, count)
    done(status, f"a tile of {weight.shape[1]} columns")
