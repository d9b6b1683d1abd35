"""Bugs that show only from some size on, with a third axis, or where a parameter takes its limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...array import SparseArray
from ..wire import Call
from .mutant import Run, layout_of, mutant, on_values, with_arrays, with_operand


def _emptied(values: np.ndarray) -> np.ndarray:
    return np.zeros_like(values)


@mutant("LINEAR-1", "linear")
def contracted_axis_cut_at_64(run: Run, call: Call) -> Any:
    """A blocked loop runs over one block of 64 terms and never goes round again."""
    x = call.operands[1 if ".gradient" in call.operation else 0]
    if ".gradient" in call.operation or x.shape[-1:] <= (64,):
        return run(call)
    short = x.copy()
    short[..., 64:] = 0
    return run(with_operand(call, 0, short))


@mutant("MATMUL-3", "matmul")
def gradient_rows_cut_at_64(run: Run, call: Call) -> Any:
    """The gradient of a dense operand is written for 64 of its rows."""
    result = run(call)
    if ".gradient" in call.operation:
        for gradient in result:
            if isinstance(gradient, np.ndarray) and gradient.ndim == 2:
                gradient[64:] = 0
    return result


@mutant("CSR-C4", "decode")
def slots_counted_in_a_byte(run: Run, call: Call) -> Any:
    """csr's slots are counted in a uint8, so that those from 256 on are never read."""
    a = call.operands[0]
    if layout_of(a) != "csr" or a.values.size <= 256:
        return run(call)
    values = a.values.copy()
    values[256:] = 0
    return run(with_operand(call, 0, a.with_values(values)))


@mutant("NMG-C4", "decode")
def wide_idx_read_as_a_byte(run: Run, call: Call) -> Any:
    """Of a uint16 idx the low byte is read."""
    a = call.operands[0]
    if layout_of(a) != "nmg" or a["idx"].dtype != np.uint16:
        return run(call)
    return run(with_operand(call, 0, with_arrays(a, idx=a["idx"] & np.uint16(255))))


@mutant("CORE-I2", "encode")
def idx_always_a_byte(run: Run, call: Call) -> Any:
    """idx is uint8 where C*g needs uint16: fibre 256 becomes fibre 0."""
    a = run(call)
    return with_arrays(a, idx=a["idx"].astype(np.uint8)) if layout_of(a) == "nmg" else a


@mutant("NM-C3", "decode")
def nothing_dropped_is_nothing_kept(run: Run, call: Call) -> Any:
    """n = m is taken for a block without entries."""
    a = call.operands[0]
    return on_values(run(call), _emptied) if layout_of(a) == "nm" and a.layout.n == a.layout.m else run(call)


@mutant("RELU-1", "relu")
def relu_of_the_first_matrix_only(run: Run, call: Call) -> Any:
    """Of an array with three axes the first matrix is computed, the others stay as they were."""
    result, a = run(call), call.operands[0]
    if ".gradient" in call.operation or a.ndim != 3 or not isinstance(a, SparseArray) or result.layout != a.layout:
        return result
    beyond = a.layout.positions(a) >= a.shape[1] * a.shape[2]
    return result.with_values(np.where(beyond, a.values, result.values))


@mutant("SUM-1", "sum")
def last_axis_is_axis_one(run: Run, call: Call) -> Any:
    """Axis -1 is read as axis 1, as it is in a matrix."""
    a = call.operands[1 if ".gradient" in call.operation else 0]
    if a.ndim != 3 or call.parameters.get("axis") != -1:
        return run(call)
    return run(replace(call, parameters={"axis": 1}))


@mutant("SPF-2", "select")
def scores_ranked_in_float32(run: Run, call: Call) -> Any:
    """Scores are cast to float32 before they are compared, so that close ones tie."""
    scores = call.operands[1]
    return run(call) if scores is None else run(with_operand(call, 1, scores.astype(np.float32).astype(np.float64)))
