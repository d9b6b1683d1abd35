"""Bugs in to_dense and convert."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...coding import decode, encode
from ..wire import Call
from .decoding import by_position
from .mutant import Run, layout_of, mutant


@mutant("CORE-V2", "to_dense", "convert", "linear")
def duplicates_lost_on_the_way(run: Run, call: Call) -> Any:
    """An operator sees the last of several duplicates only."""
    def once(operand: Any) -> Any:
        if layout_of(operand) not in ("coo", "csr", "csc"):
            return operand
        return encode(by_position(operand, operand.layout.positions(operand)), operand.layout, operand.pattern)
    return run(replace(call, operands=tuple(map(once, call.operands))))


@mutant("CONVERT-1", "convert")
def stored_zeros_lost_in_conversion(run: Run, call: Call) -> Any:
    """convert takes the pattern from the values, so that stored zeros vanish."""
    a = run(call)
    dense = decode(a)
    return encode(dense, a.layout, a.pattern & (dense != 0)) if a.layout.any_pattern else a


@mutant("CONVERT-2", "convert")
def dense_of_minus_zeros(run: Run, call: Call) -> Any:
    """convert to dense stores -0 where nothing was stored."""
    a, result = call.operands[0], run(call)
    if layout_of(result) != "dense" or result.dtype.kind == "i":
        return result
    return result.with_values(np.where(a.pattern, result.values, -np.zeros((), result.dtype)))


@mutant("TODENSE-1", "to_dense")
def last_column_missing(run: Run, call: Call) -> Any:
    """to_dense leaves out the last column."""
    dense = run(call)
    if dense.ndim and dense.shape[-1]:
        dense[..., -1] = 0
    return dense
