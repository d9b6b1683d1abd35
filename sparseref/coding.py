"""encode, decode and validate: between dense arrays and sparse arrays, for every layout alike."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .array import SparseArray, checked_sparse, same_array
from .dtypes import value_dtype
from .errors import SpecError
from .layouts.base import Layout
from .registry import parse_layout


def encode(dense: Any, layout: str | Layout, pattern: np.ndarray) -> SparseArray:
    """dense [shape], layout, pattern bool [shape] -> SparseArray in canonical form (CORE-C1).

    Exactly the entries of the pattern are stored, zeros too; the inputs are not modified and not shared.
    Errors: CORE-D1, CORE-E1, CORE-L1, and the layout's own for a pattern that it cannot hold.
    """
    dense, layout, pattern = checked_to_encode(dense, layout, pattern)
    return SparseArray(layout, dense.shape, dense.dtype, layout.encode(dense, pattern))


def checked_to_encode(dense: Any, layout: str | Layout, pattern: Any) -> tuple[np.ndarray, Layout, np.ndarray]:
    """What `encode` is given -> as arrays that fit each other.  Errors: CORE-D1, CORE-E1, CORE-L1."""
    layout, dense = parse_layout(layout), np.asarray(dense)
    value_dtype(dense.dtype)
    layout.check(dense.shape)
    pattern = np.asarray(pattern)
    if pattern.shape != dense.shape or pattern.dtype != bool:                              # CORE-E1
        raise SpecError("CORE-E1", "the pattern does not fit the array.", wanted=f"bool {dense.shape}",
                        given=f"{pattern.dtype} {pattern.shape}", fix="e.g. pattern = dense != 0")
    return dense, layout, pattern


def decode(a: SparseArray) -> np.ndarray:
    """SparseArray -> dense [shape]: the stored value at each stored position, +0 elsewhere; duplicates add up (CORE-V1).

    Errors: those of `validate`, for an array that breaks its layout (CORE-A3).
    """
    validate(a)
    dense = np.zeros(math.prod(checked_sparse(a).shape), a.dtype)
    positions = a.layout.positions(a).reshape(-1)
    stored = positions >= 0                                                                # CORE-P5: padding is not read
    positions, values = positions[stored], a.values.reshape(-1)[stored]
    dense[positions] = values
    if np.bincount(positions, minlength=1).max() > 1:                                      # CORE-V2: in slot order
        seen = np.zeros(dense.shape, bool)
        with np.errstate(over="ignore", invalid="ignore"):
            for position, value in zip(positions, values, strict=True):
                dense[position] = dense[position] + value if seen[position] else value
                seen[position] = True
    return dense.reshape(a.shape)


def validate(a: SparseArray) -> None:
    """Refuse a sparse array that breaks its layout: field names, dtypes, shapes, then the layout's invariants.

    Errors: CORE-A1, CORE-A2, and the layout's own.
    """
    check_fields(checked_sparse(a))
    a.layout.validate(a)


def check_fields(a: SparseArray) -> None:
    """Refuse field names, dtypes and shapes that the layout does not list; the elements are not looked at."""
    a.layout.check(a.shape)
    fields = a.layout.fields(a.shape)
    if set(fields) != set(a.arrays):                                                       # CORE-A1
        raise SpecError("CORE-A1", f"{a.layout} has other fields.", wanted=", ".join(sorted(fields)),
                        given=", ".join(sorted(a.arrays)) or "none")
    sizes: dict[str, int] = {}
    for name, field in fields.items():
        array = a[name]
        if array.dtype != (field.dtype or a.dtype):                                        # CORE-A2
            raise SpecError("CORE-A2", f"field {name!r} has the wrong dtype.", wanted=(field.dtype or a.dtype).name,
                            given=array.dtype.name)
        sides = tuple(sizes.setdefault(want, have) if isinstance(want, str) else want
                      for want, have in zip(field.shape, array.shape, strict=False))
        if len(field.shape) != array.ndim or sides != array.shape:                         # CORE-A2
            raise SpecError("CORE-A2", f"field {name!r} has the wrong shape.",
                            wanted=f"{tuple(sizes.get(s, s) if isinstance(s, str) else s for s in field.shape)}",
                            given=f"{array.shape}")


def is_canonical(a: SparseArray) -> bool:
    """True where `a` is, bit for bit, what encoding its own values and pattern gives (CORE-C1); others do as well (CORE-C2)."""
    return same_array(a, encode(decode(a), a.layout, a.pattern))
