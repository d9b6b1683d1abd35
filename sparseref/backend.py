"""The backend protocol: what is declared, and one call for everything."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Container
from dataclasses import dataclass
from typing import Any, ClassVar

from .array import SparseArray
from .errors import SpecError
from .operators.base import checked_operand
from .registry import get_operator, parse_layout, parse_sparsifier

ARRAY = "array"
"""In a cell, the layout of an operand that is a plain dense array."""

CODING = ("encode", "decode", "validate")


@dataclass(frozen=True)
class Cell:
    """One thing that a backend can or cannot do.

    operation: "encode", "decode", "validate", "select", an operator's name, or that with ".gradient" behind it;
    layouts: the layout's name of each operand that may be sparse ("array" for a plain one), for convert the target's
    too, for select the sparsifier's name; dtype: the values'.
    """

    operation: str
    layouts: tuple[str, ...]
    dtype: str

    def __str__(self) -> str:
        return f"{self.operation}[{' x '.join(self.layouts)}, {self.dtype}]"


class Backend(ABC):
    """Implements some cells and declares which.  Operands and results are NumPy arrays and SparseArrays.

    The calls, inputs and results being those of `sparseref.reference.Reference`:
      call("encode", dense, pattern, layout=...) -> SparseArray        call("decode", a) -> dense
      call("validate", a) -> None, or raises SpecError                 call("select", values, scores, draws, sparsifier=...)
      call("linear", x, w, bias) -> y, and so for every operator       call("linear.gradient", grad, x, w, bias) -> tuple
    """

    name: ClassVar[str]
    version: str = "0"

    @abstractmethod
    def declines(self, cell: Cell) -> str | None:
        """None where the backend implements the cell, else the reason why it does not."""

    def accumulator(self, dtype: str) -> str:
        """The float dtype in which sums over values of `dtype` are kept (BOUND-1)."""
        return "float64" if dtype == "float64" else "float32"

    def flushes(self, dtype: str) -> bool:
        """True where arithmetic on values of `dtype` reads and gives subnormal numbers of its accumulator as 0 (BOUND-5)."""
        return False

    def densifies(self, cell: Cell) -> bool:
        """True where the cell multiplies structural zeros, so that NaN may appear beside a non-finite operand (CORE-P4)."""
        return False

    def cell_of(self, operation: str, operands: tuple[Any, ...], parameters: dict[str, Any]) -> Cell:
        """The cell that a call falls into, where the backend implements it.  Errors: DSP-4."""
        cell = cell_of(operation, operands, parameters)
        why_not = self.declines(cell)
        if why_not is not None:                                                            # DSP-4
            raise SpecError("DSP-4", f"{self.name} cannot run {cell}.", wanted="a cell that the backend does not decline",
                            given=why_not, fix="use backend='reference'")
        return cell

    @abstractmethod
    def call(self, operation: str, *operands: Any, **parameters: Any) -> Any:
        """Run one operation; refuse bad input with the SpecError of its clause."""


def unknown_part(cell: Cell, who: str, operators: Container[str], layouts: Container[str],
                 sparsifiers: Container[str]) -> str | None:
    """Why a backend that knows these by name, and every combination of them, declines a cell; None where it knows all.

    who: the subject of the sentence, e.g. "the torch backend".
    """
    operation = cell.operation.partition(".")[0]
    if operation not in (*CODING, "select") and operation not in operators:
        return f"{who} has no operator {operation}"
    known, what = (sparsifiers, "sparsifier") if operation == "select" else (layouts, "layout")
    strange = [name for name in cell.layouts if name != ARRAY and name not in known]
    return f"{who} has no {what} {strange[0]}" if strange else None


def cell_of(operation: str, operands: tuple[Any, ...], parameters: dict[str, Any]) -> Cell:
    """The cell that a call falls into."""
    if operation == "encode":
        return Cell(operation, (parse_layout(parameters["layout"]).name,), _dtype(operands[0]))
    if operation == "select":
        return Cell(operation, (parse_sparsifier(parameters["sparsifier"]).name,), _dtype(operands[0]))
    if operation in CODING:
        return Cell(operation, (operands[0].layout.name,), _dtype(operands[0]))
    name, _, is_gradient = operation.partition(".")
    own = operands[1:] if is_gradient else operands
    layouts = [_layout_name(operand) for operand in own[:get_operator(name).sparse_operands]]
    if name == "convert":
        layouts.append(parse_layout(parameters["layout"]).name)
    return Cell(operation, tuple(layouts), _dtype(own[0]))


def _layout_name(operand: Any) -> str:
    return operand.layout.name if isinstance(operand, SparseArray) else ARRAY


def _dtype(operand: Any) -> str:
    return str(checked_operand(operand).dtype.name)
