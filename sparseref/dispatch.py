"""Dispatch: exact implementation, else the cheapest lossless conversion, else dense with a warning."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from .array import SparseArray
from .backend import ARRAY, Backend, Cell, cell_of
from .coding import decode, encode
from .dtypes import bits_of
from .errors import FallbackWarning, SpecError
from .operators.base import Pair, Result
from .output import OutputFormat, output_format
from .reference import Reference, check_operands, in_slots, place
from .registry import get_backend, get_operator, layouts


@dataclass(frozen=True)
class Conversion:
    """One operand that must change its layout: which, from what, to what, and the bits read and written."""

    operand: int
    source: str
    target: str
    bits: int


@dataclass(frozen=True)
class Route:
    """How a call will run: `kind` is "exact", "converted" or "dense"; `cost_bits` what conversions move (DSP-5)."""

    operation: str
    backend: str
    kind: str
    cell: Cell
    conversions: tuple[Conversion, ...]
    reason: str

    @property
    def cost_bits(self) -> int:
        return sum(conversion.bits for conversion in self.conversions)

    def __str__(self) -> str:
        moves = "".join(f"\n  operand {c.operand}: {c.source} -> {c.target}, {c.bits:,} bits moved" for c in self.conversions)
        return f"{self.operation} on {self.backend}: {self.kind}, as {self.cell}\n  because {self.reason}{moves}"


def explain(operation: str, *operands: Any, backend: str | Backend = "reference", strict: bool = False,
            **parameters: Any) -> Route:
    """A call -> the route it takes, why, and at what cost; nothing is computed (DSP-5).  Errors: those of `run`."""
    return _plan(operation, operands, parameters, get_backend(backend), strict)[0]


def run(operation: str, *operands: Any, backend: str | Backend = "reference", strict: bool = False,
        out: OutputFormat | str | None = None, rng: np.random.Generator | None = None, **parameters: Any) -> Any:
    """Run an operator or its gradient on a backend (DSP-1 to DSP-4), then store the result as `out` says (FMT-1).

    out: an OutputFormat, or a format string such as "csr:0.9" for its short form (FMT-3).
    Errors: DSP-4 (strict, or nothing is left to fall back on), DSP-6, CORE-L1 (no output format), and the operator's.
    """
    chosen, form = get_backend(backend), None if out is None else output_format(out)
    if not isinstance(chosen, Reference):                      # refuse bad input alike, whatever the backend
        _check(operation, operands, parameters)
    route, converted = _plan(operation, operands, parameters, chosen, strict)
    if route.kind == "dense":                                                              # DSP-3
        warnings.warn(f"{operation} fell back to dense: {route.reason}", FallbackWarning, stacklevel=3)
    result = chosen.call(operation, *converted, **parameters)
    if route.kind == "converted":
        result = _as_if_exact(result, operation, operands, parameters)
    return result if form is None else form.apply(result, rng)


def _as_if_exact(result: Any, operation: str, operands: tuple[Any, ...], parameters: dict[str, Any]) -> Any:
    """The result of converted operands -> stored as that of the operands that were given: their slots, their layout (DSP-2)."""
    name, _, is_gradient = operation.partition(".")
    if is_gradient:
        return tuple(in_slots(decode(got), operand) if isinstance(got, SparseArray) else got
                     for got, operand in zip(result, operands[1:], strict=True))
    if not isinstance(result, SparseArray):
        return result
    return place(Pair(decode(result), result.pattern), get_operator(name), operands, parameters)


def _check(operation: str, operands: tuple[Any, ...], parameters: dict[str, Any]) -> None:
    name, _, is_gradient = operation.partition(".")
    check_operands(get_operator(name), operands[1:] if is_gradient else operands, parameters)


def _plan(operation: str, operands: tuple[Any, ...], parameters: dict[str, Any], backend: Backend,
          strict: bool) -> tuple[Route, tuple[Any, ...]]:
    cell = cell_of(operation, operands, parameters)
    why_not = backend.declines(cell)
    if why_not is None:                                                                    # DSP-1
        return Route(operation, backend.name, "exact", cell, (), f"{backend.name} implements this cell"), operands
    options = sorted(_lossless(operands, lambda cell: backend.declines(cell) is None, operation, parameters),
                     key=lambda option: (sum(c.bits for c in option[0]), str(option[1])))
    if options:                                                                            # DSP-2
        conversions, cell, converted = options[0]
        return Route(operation, backend.name, "converted", cell, conversions, why_not), converted
    lossy = get_operator(operation.partition(".")[0]).result is Result.CONVERTED and "." not in operation
    dense = tuple(decode(operand) if isinstance(operand, SparseArray) else operand for operand in operands)
    dense_cell = cell_of(operation, dense, parameters)
    why_not_dense = backend.declines(dense_cell)
    if strict or lossy or why_not_dense is not None:                                       # DSP-4
        refusal = "a dense operand has lost the pattern" if lossy else why_not_dense
        raise SpecError("DSP-4", f"{backend.name} cannot run {cell}.", wanted="an implementation, or a lossless way to one",
                        given=why_not if strict else f"{why_not}; dense: {refusal}",
                        fix="use strict=False, or backend='reference'" if strict else "use backend='reference'")
    moves = tuple(Conversion(i, operand.layout.name, ARRAY, operand.bits + dense[i].size * bits_of(dense[i].dtype))
                  for i, operand in enumerate(operands) if isinstance(operand, SparseArray))
    return Route(operation, backend.name, "dense", dense_cell, moves, why_not), dense


def _lossless(operands: tuple[Any, ...], implements: Any, operation: str,
              parameters: dict[str, Any]) -> list[tuple[tuple[Conversion, ...], Cell, tuple[Any, ...]]]:
    """Every way to store the operands in layouts that take any pattern and that the backend implements (DSP-2)."""
    choices = [[operand, *_stored_otherwise(operand)] if isinstance(operand, SparseArray) else [operand]
               for operand in operands]
    found = []
    for converted in product(*choices):
        cell = cell_of(operation, converted, parameters)
        if implements(cell):
            moves = tuple(Conversion(i, old.layout.name, new.layout.name, old.bits + new.bits)
                          for i, (old, new) in enumerate(zip(operands, converted, strict=True)) if old is not new)
            found.append((moves, cell, converted))
    return found


def _stored_otherwise(a: SparseArray) -> list[SparseArray]:
    others = []
    for name in layouts.names():
        kind = layouts.get(name)
        if kind.any_pattern and name != a.layout.name:
            try:
                kind().check(a.shape)
            except SpecError:                                  # e.g. csr of an array that is no matrix
                continue
            others.append(encode(decode(a), kind(), a.pattern))
    return others
