"""What an operator is: its meaning on (value, pattern) pairs, its shape rule, its gradient, its rounding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

import numpy as np

from ..array import SparseArray
from ..coding import decode
from ..dtypes import DTYPES, FLOATS, value_dtype, wide
from ..errors import SpecError

Gradients = tuple["np.ndarray | None", ...]


@dataclass(frozen=True)
class Pair:
    """An operand as its meaning sees it: value [shape] float64 or int64, +0 off the pattern; pattern bool [shape]."""

    value: np.ndarray
    pattern: np.ndarray

    @property
    def shape(self) -> tuple[int, ...]:
        return self.value.shape

    @property
    def ndim(self) -> int:
        return self.value.ndim


def full(value: np.ndarray) -> Pair:
    """value [shape] -> Pair in which every entry is stored."""
    return Pair(value, np.ones(value.shape, bool))


def on_pattern(value: np.ndarray, pattern: np.ndarray) -> Pair:
    """value, pattern [shape] -> Pair with +0 off the pattern."""
    return Pair(np.where(pattern, value, np.zeros((), value.dtype)), pattern)


def as_pair(operand: np.ndarray | SparseArray) -> Pair:
    """A dense or sparse operand -> Pair in the wide dtype; of a dense one every entry is stored (CORE-P1).

    An operator sees pairs only, so its result cannot depend on a layout (OPS-2).
    """
    if isinstance(operand, SparseArray):
        return Pair(decode(operand).astype(wide(operand.dtype)), operand.pattern)
    return full(operand.astype(wide(operand.dtype)))


class Result(Enum):
    """What an operator gives back when no output format is named (OPS-4)."""

    DENSE = "a dense array"
    LIKE_FIRST = "the first sparse operand's layout, coo where that cannot hold the result's pattern"
    UNION = "as LIKE_FIRST; a dense array where one operand is dense"
    TRANSPOSED = "the transposed layout"
    CONVERTED = "the layout that was asked for"


class Rounding(Enum):
    """How a computed result may differ from its meaning (BOUND-1 to BOUND-3)."""

    NONE = "none: every bit is decided"
    SUMS = "sums of products: gamma_k"
    GELU = "elementary functions"


@dataclass(frozen=True)
class Operator:
    """name, meaning(*Pairs, **parameters) -> Pair, check(*Pairs, **parameters) raising SpecError, gradient.

    gradient(grad float64 [result], *Pairs, **parameters) -> one float64 array [operand] an operand, None for a missing
    one; entries off an operand's pattern do not count (GRAD-1).
    """

    name: str
    meaning: Callable[..., Pair]
    check: Callable[..., None]
    gradient: Callable[..., Gradients]
    result: Result = Result.DENSE
    rounding: Rounding = Rounding.SUMS
    dtypes: tuple[str, ...] = DTYPES
    sparse_operands: int = 1       # the first so many operands may be sparse, the rest (bias, factor) are dense: OPS-5


Operand = np.ndarray | SparseArray | None


def checked_operand(operand: Any) -> Any:
    """Refuse an operand that is no array and so has no value dtype (CORE-D1)."""
    if not isinstance(operand, np.ndarray | np.generic | SparseArray):
        raise SpecError("CORE-D1", "an operand is no array.", wanted="a NumPy array or a SparseArray", given=repr(operand),
                        fix="convert it first, e.g. np.asarray(operand, np.float32)")
    return operand


def common_dtype(operator: Operator, operands: tuple[Operand, ...]) -> np.dtype[Any]:
    """The one dtype of all operands; mixed ones are refused (CORE-D2), and those the operator does not take (OPS-3)."""
    for operand in (*operands[:operator.sparse_operands], *(other for other in operands if other is not None)):
        checked_operand(operand)
    dtypes = [value_dtype(operand.dtype) for operand in operands if operand is not None]
    if len(set(dtypes)) != 1:                                                              # CORE-D2
        raise SpecError("CORE-D2", f"the operands of {operator.name} have different dtypes.", wanted="one dtype",
                        given=", ".join(dtype.name for dtype in dtypes), fix="convert with astype first")
    if dtypes[0].name not in operator.dtypes:                                              # OPS-3
        raise SpecError("OPS-3", f"{operator.name} does not take {dtypes[0].name}.", wanted=", ".join(operator.dtypes),
                        given=dtypes[0].name, fix="convert with astype first")
    return dtypes[0]


def same_shape(clause: str, name: str, a: Pair, b: Pair) -> None:
    """Refuse two operands of different shapes."""
    if a.shape != b.shape:
        raise SpecError(clause, f"{name} takes two arrays of one shape.", wanted=f"{a.shape}", given=f"{b.shape}",
                        fix="spread the smaller one with np.broadcast_to(...).copy() first")


def nothing_to_check(*operands: Pair | None, **parameters: Any) -> None:
    """For operators that take every shape."""


CONTRACTION_DTYPES = (*FLOATS, "int32")
"""int8 products leave int8 at once, so operators that sum them take int32 (OPS-3)."""
