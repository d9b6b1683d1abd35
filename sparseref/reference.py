"""The reference as a backend: what the clauses say, one call for everything."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from .array import SparseArray
from .backend import Backend, Cell
from .coding import decode, encode, validate
from .dtypes import round_to
from .errors import SpecError
from .layouts import COO, Masked
from .layouts.base import Layout
from .operators.base import Operand, Operator, Pair, Result, as_pair, checked_operand, common_dtype
from .registry import get_operator, parse_layout
from .selecting import select


class Reference(Backend):
    """Decode, compute the meaning in float64 (integers: int64), round once, place (OPS-1).

    NumPy reads any strides alike (CORE-M2), and no call keeps a state that another could see (OPS-6).
    """

    name: ClassVar[str] = "reference"

    def declines(self, cell: Cell) -> str | None:
        return None

    def accumulator(self, dtype: str) -> str:
        return "float64"

    def call(self, operation: str, *operands: Any, **parameters: Any) -> Any:
        if operation == "encode":
            dense, pattern = operands
            return encode(dense, parameters["layout"], pattern)
        if operation == "decode":
            return decode(*operands)
        if operation == "validate":
            return validate(*operands)
        if operation == "select":
            values, scores, draws = operands
            return select(values, parameters["sparsifier"], scores, draws=draws)
        name, _, is_gradient = operation.partition(".")
        if is_gradient:
            return gradient(get_operator(name), *operands, **parameters)
        return forward(get_operator(name), *operands, **parameters)


def forward(operator: Operator, *operands: Operand, **parameters: Any) -> np.ndarray | SparseArray:
    """Operands, dense or sparse -> the result, a dense array or a SparseArray as the operator says (OPS-1, OPS-4)."""
    dtype, pairs = checked(operator, operands, parameters)
    with np.errstate(invalid="ignore", over="ignore"):         # NaN and inf are results here, not accidents
        meaning = operator.meaning(*pairs, **parameters)
    return place(Pair(round_to(meaning.value, dtype), meaning.pattern), operator, operands, parameters)


def gradient(operator: Operator, grad: np.ndarray, *operands: Operand, **parameters: Any) -> tuple[Operand, ...]:
    """grad [result] and the operands -> for each operand its gradient: dense for a dense one, in the operand's own slots
    for a sparse one (GRAD-1, GRAD-2), None for one that is missing.  Errors: GRAD-3, and those of `forward`."""
    dtype, pairs = checked(operator, operands, parameters)
    with np.errstate(invalid="ignore", over="ignore"):
        shape = operator.meaning(*pairs, **parameters).shape
        checked_operand(grad)
        if grad.shape != shape or grad.dtype != dtype or dtype.kind == "i":                # GRAD-3
            raise SpecError("GRAD-3", f"the gradient does not fit the result of {operator.name}.",
                            wanted=f"{dtype.name} {shape}, a float dtype", given=f"{grad.dtype.name} {grad.shape}")
        wide = operator.gradient(grad.astype(np.float64), *pairs, **parameters)
    return tuple(None if operand is None or value is None else in_slots(round_to(value, dtype), operand)
                 for value, operand in zip(wide, operands, strict=True))


def checked(operator: Operator, operands: tuple[Operand, ...], parameters: dict[str, Any]) -> tuple[Any, list[Pair | None]]:
    """Refuse what the operator does not take; operands -> their common dtype and their pairs."""
    dtype = check_operands(operator, operands, parameters)
    return dtype, [None if operand is None else as_pair(operand) for operand in operands]


def check_operands(operator: Operator, operands: tuple[Operand, ...], parameters: dict[str, Any]) -> np.dtype[Any]:
    """Refuse what the operator does not take, by dtypes and shapes alone; operands -> their common dtype."""
    dtype = common_dtype(operator, operands)
    for extra in operands[operator.sparse_operands:]:
        if isinstance(extra, SparseArray):                                                 # OPS-5
            raise SpecError("OPS-5", f"{operator.name} takes its bias or factor as a plain array.", wanted="an ndarray",
                            given=repr(extra), fix="use sparseref.decode(...)")
    operator.check(*operands, **parameters)
    return dtype


def in_slots(value: np.ndarray, operand: np.ndarray | SparseArray) -> np.ndarray | SparseArray:
    """value [shape] -> as it is, or for a sparse operand each slot's entry of it, +0 in padding (GRAD-1, GRAD-2)."""
    if not isinstance(operand, SparseArray):
        return np.array(value, order="C")
    positions = operand.layout.positions(operand)
    flat = np.append(value.reshape(-1), np.zeros(1, value.dtype))                          # position -1 reads this zero
    own = {name: array.copy() for name, array in operand.arrays.items()}                   # CORE-M1: nothing is shared
    return SparseArray(operand.layout, operand.shape, value.dtype, {**own, "values": np.asarray(flat[positions])})


def place(result: Pair, operator: Operator, operands: tuple[Operand, ...],
          parameters: dict[str, Any]) -> np.ndarray | SparseArray:
    """result [shape], rounded -> stored as the operator says when no output format is named (OPS-4)."""
    first = next((operand for operand in operands if isinstance(operand, SparseArray)), None)
    if operator.result is Result.DENSE or (first is None and operator.result is not Result.CONVERTED):
        return np.array(result.value, order="C")
    if operator.result is Result.CONVERTED:
        return encode(result.value, parse_layout(parameters["layout"]), result.pattern)    # CONVERT-1
    assert first is not None
    dense_partner = any(isinstance(operand, np.ndarray) for operand in operands[:operator.sparse_operands])
    if operator.result is Result.UNION and dense_partner:                                  # OPS-4: sparse + dense is dense
        return np.array(result.value, order="C")
    layout: Layout | None = first.layout.transposed() if operator.result is Result.TRANSPOSED else first.layout
    if layout is not None and admits(layout, result.pattern):
        return encode(result.value, layout, result.pattern)
    return encode(result.value, COO() if result.shape else Masked(), result.pattern)       # a 0-d array has no coordinates


def admits(layout: Layout, pattern: np.ndarray) -> bool:
    """True where the layout can hold the pattern."""
    try:
        layout.check(pattern.shape)
        layout.encode(np.zeros(pattern.shape, np.int8), pattern)
    except SpecError:
        return False
    return True


