"""The torch backend behind sparseref's protocol: NumPy arrays in, torch inside, NumPy arrays out."""

from __future__ import annotations

from typing import Any, ClassVar

import torch

from sparseref import Backend, Cell, SparseArray
from sparseref.backend import unknown_part
from sparseref.coding import check_fields, checked_to_encode
from sparseref.reference import check_operands
from sparseref.registry import get_operator, parse_sparsifier

from .decoding import decode
from .encoding import encode
from .gradients import gradient
from .operators import MEANING, forward
from .positions import LAYOUTS
from .selection import SPARSIFIERS, select
from .tensors import to_numpy, to_torch
from .validation import is_valid


class TorchBackend(Backend):
    """Every layout, sparsifier and operator of the specification; float16 and bfloat16 add up in float32 (BOUND-1)."""

    name: ClassVar[str] = "torch"
    version: str = str(torch.__version__)

    def declines(self, cell: Cell) -> str | None:
        return unknown_part(cell, "the torch backend", MEANING, LAYOUTS, SPARSIFIERS)

    def call(self, operation: str, *operands: Any, **parameters: Any) -> Any:
        self.cell_of(operation, operands, parameters)
        if operation == "validate":
            return _validate(*operands)
        if operation == "encode":
            return _encode(*operands, **parameters)
        for operand in operands:
            if isinstance(operand, SparseArray):
                _validate(operand)                                                         # CORE-A3
        tensors = tuple(map(to_torch, operands))
        if operation == "decode":
            return to_numpy(decode(*tensors), tensors)
        if operation == "select":
            return to_numpy(_select(*tensors, **parameters), tensors)
        name, _, is_gradient = operation.partition(".")
        check_operands(get_operator(name), operands[1:] if is_gradient else operands, parameters)
        run = gradient if is_gradient else forward
        return to_numpy(run(name, *tensors, **parameters), tensors)


def _validate(a: SparseArray) -> None:
    check_fields(a)
    if not is_valid(to_torch(a)):
        a.layout.validate(a)                                   # refuses, and says what is wrong (ERR-1)
        raise AssertionError(f"the torch backend refuses {a!r}, but {a.layout} takes it")


def _encode(dense: Any, pattern: Any, layout: Any) -> Any:
    dense, layout, pattern = checked_to_encode(dense, layout, pattern)
    tensors = (to_torch(dense), to_torch(pattern))
    return to_numpy(encode(tensors[0], layout, tensors[1]), tensors)


def _select(values: Any, scores: Any, draws: Any, sparsifier: Any) -> Any:
    return select(values, parse_sparsifier(sparsifier), scores, draws)
