"""Operands as a caller may hand them over: any strides, read-only, and with canaries all round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..array import SparseArray

FORMS = ("contiguous", "fortran", "reversed", "strided", "read-only")
GUARD = 64
"""Bytes of canary before and after every array."""

CANARY = 0xA5


@dataclass(frozen=True)
class Guarded:
    """An operand in a memory form, the buffers it lies in, and what they held when it was made."""

    operand: Any
    buffers: tuple[np.ndarray, ...]
    snapshots: tuple[bytes, ...]

    def intact(self) -> bool:
        """True where neither the operand nor a canary has changed."""
        return all(buffer.tobytes() == snapshot for buffer, snapshot in zip(self.buffers, self.snapshots, strict=True))

    def shares_memory(self, result: Any) -> bool:
        """True where an array of the result lies in a buffer of the operand (CORE-M1)."""
        return any(np.may_share_memory(array, buffer) for array in arrays_of(result) for buffer in self.buffers)


def guarded(operand: Any, form: str) -> Guarded:
    """An array, sparse array, or anything else (left as it is) -> the same in a memory form, guarded."""
    if isinstance(operand, SparseArray):
        placed = {name: _place(array, form) for name, array in operand.arrays.items()}
        views = {name: view for name, (view, _) in placed.items()}
        copy: Any = SparseArray(operand.layout, operand.shape, operand.dtype, views)
        buffers = tuple(buffer for _, buffer in placed.values())
    elif isinstance(operand, np.ndarray):
        copy, buffer = _place(operand, form)
        buffers = (buffer,)
    else:
        copy, buffers = operand, ()
    return Guarded(copy, buffers, tuple(buffer.tobytes() for buffer in buffers))


def arrays_of(result: Any) -> list[np.ndarray]:
    """Every array in a result: itself, a sparse array's fields, or those of a tuple's members."""
    if isinstance(result, np.ndarray):
        return [result]
    if isinstance(result, SparseArray):
        return list(result.arrays.values())
    return [array for item in result for array in arrays_of(item)] if isinstance(result, tuple) else []


def _place(array: np.ndarray, form: str) -> tuple[np.ndarray, np.ndarray]:
    """array [shape] -> an equal view in a memory form, and the bytes [GUARD + ... + GUARD] that it lies in."""
    gap = 2 if form == "strided" and array.ndim else 1          # every second element along the last axis is a canary
    room = array.nbytes * gap
    buffer = np.full(GUARD + room + GUARD, CANARY, np.uint8)
    inner = buffer[GUARD:GUARD + room].view(array.dtype)
    if form == "fortran":
        view = inner.reshape(array.shape[::-1]).T
    elif form == "reversed":
        view = np.flip(inner).reshape(array.shape)
    elif gap == 2:
        view = inner.reshape(*array.shape[:-1], array.shape[-1] * 2)[..., ::2]
    else:
        view = inner.reshape(array.shape)
    view[...] = array
    view.flags.writeable = form != "read-only"
    return view, buffer
