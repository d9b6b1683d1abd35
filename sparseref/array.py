"""The sparse array: a layout, a shape, a dtype and named flat arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from .dtypes import bits_of, value_dtype
from .errors import SpecError

if TYPE_CHECKING:
    from .layouts.base import Layout


@dataclass(frozen=True, eq=False)
class SparseArray:
    """layout, shape, dtype, {field name: array}: what is stored and where it belongs, no behaviour hidden (CORE-A1).

    Building one checks that it has these parts, its shape and its dtype; `sparseref.validate` checks the arrays against
    the layout.  Errors: CORE-A1, CORE-S1, CORE-D1.  Source: binsparse's idea of named flat arrays under a descriptor.
    """

    layout: Layout
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    arrays: Mapping[str, np.ndarray]

    def __post_init__(self) -> None:
        from .layouts.base import Layout

        if not isinstance(self.layout, Layout):                                            # CORE-A1
            raise SpecError("CORE-A1", "a sparse array has a layout.", wanted="a Layout", given=repr(self.layout),
                            fix="parse_layout('csr') makes one of a short string")
        if not isinstance(self.arrays, Mapping) or not all(isinstance(array, np.ndarray) for array in self.arrays.values()):
            raise SpecError("CORE-A1", "a sparse array has named arrays.", wanted="a mapping of field names to NumPy arrays",
                            given=_kinds(self.arrays))
        object.__setattr__(self, "shape", checked_shape(self.shape))
        object.__setattr__(self, "dtype", value_dtype(self.dtype))
        object.__setattr__(self, "arrays", MappingProxyType(dict(self.arrays)))

    def __getitem__(self, field: str) -> np.ndarray:
        return self.arrays[field]

    @property
    def values(self) -> np.ndarray:
        """The value of every slot, padding slots included; shape as the layout says."""
        return self.arrays["values"]

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def pattern(self) -> np.ndarray:
        """bool [shape]: True where an entry is stored, whatever its value (CORE-P1)."""
        stored = np.zeros(math.prod(self.shape), bool)
        positions = self.layout.positions(self)
        stored[positions[positions >= 0]] = True
        return stored.reshape(self.shape)

    @property
    def nnz(self) -> int:
        """How many positions are stored; padding slots do not count, duplicates count once."""
        return int(self.pattern.sum())

    @property
    def bits(self) -> int:
        """Storage in bits: every array with its padding, values and indices alike (CORE-B1)."""
        return sum(array.size * bits_of(array.dtype) for array in self.arrays.values())

    def with_values(self, values: np.ndarray) -> SparseArray:
        """The same entries with other values [shape of `values`]: index arrays are shared."""
        return SparseArray(self.layout, self.shape, values.dtype, {**self.arrays, "values": values})

    def __reduce__(self) -> tuple[object, ...]:
        """Pickled and deeply copied as its parts; the view of the mapping cannot be."""
        return SparseArray, (self.layout, self.shape, self.dtype, dict(self.arrays))

    def __repr__(self) -> str:
        return f"SparseArray({self.layout}, shape={self.shape}, dtype={self.dtype.name}, bits={self.bits})"


def _kinds(arrays: Any) -> str:
    if not isinstance(arrays, Mapping):
        return type(arrays).__name__
    return ", ".join(f"{name}: {type(array).__name__}" for name, array in arrays.items())


def checked_sparse(a: Any) -> SparseArray:
    """Refuse what is no sparse array (CORE-A1)."""
    if not isinstance(a, SparseArray):
        raise SpecError("CORE-A1", "this is no sparse array.", wanted="a SparseArray", given=repr(a),
                        fix="sparsify(...) or encode(...) makes one of a dense array")
    return a


def checked_shape(shape: Any) -> tuple[int, ...]:
    """Sides are integers, 0 allowed, and their product fits an int64 (CORE-S1)."""
    try:
        sides = tuple(int(side) for side in shape)
        good = all(side == given and side >= 0 for side, given in zip(sides, shape, strict=True))
    except (TypeError, ValueError):
        sides, good = (), False
    if not good or math.prod(sides) >= 2**63:
        raise SpecError("CORE-S1", "this is no shape.", wanted="sides that are integers >= 0 with a product below 2**63",
                        given=shape, fix="give a tuple such as (768, 3072)")
    return sides


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal shape, dtype and bits; +0 and -0 differ, all NaNs are one NaN (CORE-D3)."""
    return a.shape == b.shape and a.dtype == b.dtype and not differing(a, b).any()


def differing(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """a, b [shape] -> bool [shape]: True where the bits differ; +0 and -0 do, all NaNs are one NaN (CORE-D3)."""
    if a.dtype.kind in "biu" and b.dtype.kind in "biu":
        return np.asarray(a != b)
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    equal = (wide_a == wide_b) & (np.signbit(wide_a) == np.signbit(wide_b))
    return np.asarray(~np.where(np.isnan(wide_a), np.isnan(wide_b), equal))


def same_array(a: SparseArray, b: SparseArray) -> bool:
    """The same layout, shape, dtype and, field by field, the same bits."""
    return (a.layout == b.layout and a.shape == b.shape and a.dtype == b.dtype and set(a.arrays) == set(b.arrays)
            and all(same_bits(a[name], b[name]) for name in a.arrays))
