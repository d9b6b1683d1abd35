"""A mutant: a good backend with one realistic bug.  The kit must tell it from the good one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...array import SparseArray
from ...backend import Backend, Cell
from ..wire import Call

Run = Callable[[Call], Any]
Bug = Callable[[Run, Call], Any]


@dataclass(frozen=True)
class Mutant:
    """name; what: the bug as its author would tell it; the clause that it breaks; operations it lives in; the bug itself.

    bug(run, call) -> the wrong answer, where run(call) gives the right one.
    """

    name: str
    what: str
    clause: str
    operations: tuple[str, ...]
    bug: Bug


CATALOGUE: list[Mutant] = []


def mutant(clause: str, *operations: str) -> Callable[[Bug], Bug]:
    """Enter a bug in the catalogue: its name is the function's, what it does the docstring's."""
    def enter(bug: Bug) -> Bug:
        CATALOGUE.append(Mutant(bug.__name__.replace("_", "-"), (bug.__doc__ or "").strip(), clause, operations, bug))
        return bug
    return enter


class Sick(Backend):
    """A good backend with the bug of a mutant."""

    name = "mutant"

    def __init__(self, good: Backend, sickness: Mutant) -> None:
        self._good, self._bug = good, sickness.bug

    def declines(self, cell: Cell) -> str | None:
        return self._good.declines(cell)

    def accumulator(self, dtype: str) -> str:
        return self._good.accumulator(dtype)

    def call(self, operation: str, *operands: Any, **parameters: Any) -> Any:
        def run(call: Call) -> Any:
            return self._good.call(call.operation, *call.operands, **call.parameters)

        return self._bug(run, Call(operation, operands, parameters))


def with_operand(call: Call, at: int, operand: Any) -> Call:
    """The same call with another operand at a place."""
    operands = list(call.operands)
    operands[at] = operand
    return replace(call, operands=tuple(operands))


def with_arrays(a: SparseArray, **arrays: np.ndarray) -> SparseArray:
    """The same sparse array with other fields."""
    return replace(a, arrays={**a.arrays, **arrays})


def layout_of(operand: Any) -> str:
    return operand.layout.name if isinstance(operand, SparseArray) else ""


def each_array(call: Call, change: Callable[[np.ndarray], np.ndarray]) -> Call:
    """The same call with every dense operand, and the values of every sparse one, changed."""
    def changed(operand: Any) -> Any:
        if isinstance(operand, SparseArray):
            return operand.with_values(change(operand.values))
        return change(operand) if isinstance(operand, np.ndarray) and operand.dtype != bool else operand
    return replace(call, operands=tuple(map(changed, call.operands)))


def on_values(result: Any, change: Callable[[np.ndarray], np.ndarray]) -> Any:
    """A result with its values changed: a dense array's, a sparse array's, or those of each member of a tuple."""
    if isinstance(result, SparseArray):
        return result.with_values(change(result.values))
    if isinstance(result, tuple):
        return tuple(on_values(item, change) for item in result)
    return change(result) if isinstance(result, np.ndarray) else result
