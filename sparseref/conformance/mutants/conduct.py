"""Bugs in how a backend treats what it is handed: operands, memory, threads, errors."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import numpy as np

from ...array import SparseArray
from ...errors import SpecError
from ..wire import Call
from .mutant import Bug, Mutant, Run, mutant, on_values


def first_array(call: Call) -> np.ndarray | None:
    """The first operand's values, if they can be written to."""
    operand = call.operands[0]
    array = operand.values if isinstance(operand, SparseArray) else operand
    return array if isinstance(array, np.ndarray) and array.size and array.flags.writeable else None


@mutant("CORE-M1", "relu", "decode", "linear")
def operand_overwritten(run: Run, call: Call) -> Any:
    """The operator works in place on its operand."""
    result, array = run(call), first_array(call)
    if array is not None:
        array[...] = np.zeros((), array.dtype)
    return result


@mutant("CORE-M1", "matmul", "add")
def one_past_the_end(run: Run, call: Call) -> Any:
    """A vector loop writes one element past the operand's end."""
    result, array = run(call), first_array(call)
    if array is not None and array.flags.c_contiguous:
        np.lib.stride_tricks.as_strided(array.reshape(-1), (array.size + 1,))[array.size] = 0
    return result


@mutant("CORE-M1", "decode", "linear")
def callers_padding_cleared(run: Run, call: Call) -> Any:
    """Padding in the caller's own array is set to zero before use."""
    for operand in call.operands:
        if isinstance(operand, SparseArray) and operand.values.flags.writeable:
            operand.values[operand.layout.positions(operand) < 0] = 0
    return run(call)


@mutant("CORE-M1", "scale", "add")
def operand_given_back(run: Run, call: Call) -> Any:
    """The result is computed into the operand's memory."""
    result, array = run(call), first_array(call)
    if isinstance(result, SparseArray) and array is not None and array.shape == result.values.shape:
        array[...] = result.values
        return result.with_values(array)
    return result


_COUNTER = [0]


@mutant("OPS-6", "linear", "matmul", "sum", "conv2d")
def order_of_sums_varies(run: Run, call: Call) -> Any:
    """The last bit depends on how often the operator has run: within the bound, and not deterministic."""
    _COUNTER[0] += 1
    odd = _COUNTER[0] % 2

    def nudged(values: np.ndarray) -> np.ndarray:
        return np.nextafter(values, np.inf, dtype=values.dtype) if odd and values.dtype == np.float32 else values
    return on_values(run(call), nudged)


_SCRATCH: dict[str, Any] = {}


@mutant("OPS-6", "linear", "conv2d", "matmul")
def shared_scratch_buffer(run: Run, call: Call) -> Any:
    """Threads share one scratch buffer: a race."""
    if threading.current_thread() is threading.main_thread():
        return run(call)
    _SCRATCH["y"] = run(call)
    time.sleep(0.002)                                          # another thread may write before this one reads
    return _SCRATCH["y"]


@mutant("LINEAR-2", "linear", "matmul", "add", "sum", "gelu", "transpose", "conv2d", "scale")
def bad_shapes_accepted(run: Run, call: Call) -> Any:
    """Operands that do not fit are cut until they do."""
    try:
        return run(call)
    except SpecError:
        return np.zeros((), np.float32)


@mutant("CORE-D2", "linear", "add", "multiply", "matmul")
def dtypes_promoted(run: Run, call: Call) -> Any:
    """Mixed dtypes are promoted in silence, as NumPy would."""
    dtypes = {operand.dtype for operand in call.operands if operand is not None}
    if len(dtypes) < 2:
        return run(call)
    most = max(dtypes, key=lambda dtype: dtype.itemsize)

    def promoted(operand: Any) -> Any:
        if isinstance(operand, SparseArray):
            return operand.with_values(operand.values.astype(most))
        return operand if operand is None else operand.astype(most)
    return run(replace(call, operands=tuple(map(promoted, call.operands))))


def without_check(clause: str) -> Bug:
    """A bug that accepts what one clause refuses."""
    def bug(run: Run, call: Call) -> Any:
        try:
            return run(call)
        except SpecError as refusal:
            if refusal.clause != clause:
                raise
            return None
    return bug


def missing_checks(refusals: dict[str, tuple[str, ...]]) -> list[Mutant]:
    """One mutant for every clause by which a backend's operation refuses input: {clause: operations}."""
    return [Mutant(f"no-check-of-{clause.lower()}", f"Accepts what {clause} refuses.", clause, names, without_check(clause))
            for clause, names in sorted(refusals.items())]
