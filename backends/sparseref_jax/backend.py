"""The JAX backend behind sparseref's protocol: NumPy arrays in, XLA inside, NumPy arrays out."""

from __future__ import annotations

from threading import Lock
from typing import Any, ClassVar

import jax
import numpy as np

from sparseref import Backend, Cell, SparseArray
from sparseref.backend import unknown_part
from sparseref.coding import check_fields, checked_to_encode
from sparseref.reference import check_operands
from sparseref.registry import get_operator, parse_sparsifier

from .arrays import to_jax, to_numpy
from .decoding import decode
from .encoding import encode
from .gradients import gradient
from .operators import MEANING, forward
from .positions import LAYOUTS
from .selection import SPARSIFIERS, select
from .validation import is_valid

CONTRACTIONS = ("matmul", "linear", "conv2d")
MOST_PROGRAMS = 100
"""Different calls whose programs are kept at a time: some ten megabytes each, and the kit repeats few."""
_SHAPES: set[str] = set()
_LOCK = Lock()
_decode = jax.jit(decode)


class JaxBackend(Backend):
    """Every layout, sparsifier and operator of the specification; float16 and bfloat16 add up in float32 (BOUND-1).

    Calls run with JAX's 64-bit types, whatever the caller's own setting is.
    """

    name: ClassVar[str] = "jax"
    version: str = str(jax.__version__)

    def declines(self, cell: Cell) -> str | None:
        return unknown_part(cell, "the JAX backend", MEANING, LAYOUTS, SPARSIFIERS)

    def densifies(self, cell: Cell) -> bool:
        """Contractions multiply structural zeros."""
        return cell.operation.partition(".")[0] in CONTRACTIONS

    def flushes(self, dtype: str) -> bool:
        """XLA's arithmetic on a CPU, which is in float32 for the narrower floats, reads and gives subnormal numbers as 0."""
        return True

    def call(self, operation: str, *operands: Any, **parameters: Any) -> Any:
        self.cell_of(operation, operands, parameters)
        _forget_old_programs(operation, operands, parameters)
        with jax.enable_x64(True):
            return self._call(operation, operands, parameters)

    def _call(self, operation: str, operands: tuple[Any, ...], parameters: dict[str, Any]) -> Any:
        if operation == "validate":
            return _validate(*operands)
        if operation == "encode":
            return _encode(*operands, **parameters)
        for operand in operands:
            if isinstance(operand, SparseArray):
                _validate(operand)                                                         # CORE-A3
        arrays = tuple(map(to_jax, operands))
        if operation == "decode":
            return to_numpy(_decode(*arrays))
        if operation == "select":
            values, scores, draws = arrays
            return to_numpy(select(values, parse_sparsifier(parameters["sparsifier"]), scores, draws))
        name, _, is_gradient = operation.partition(".")
        check_operands(get_operator(name), operands[1:] if is_gradient else operands, parameters)
        run = gradient if is_gradient else forward
        return to_numpy(run(name, *arrays, **parameters))


def _forget_old_programs(*call: Any) -> None:
    """JAX keeps every program that it ever compiled, some megabytes for each new shape: after so many they all go."""
    key = str(jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype) if isinstance(leaf, np.ndarray) else
                           (leaf.layout, leaf.shape, {name: array.shape for name, array in leaf.arrays.items()}, leaf.dtype)
                           if isinstance(leaf, SparseArray) else leaf, call))
    with _LOCK:
        _SHAPES.add(key)
        if len(_SHAPES) > MOST_PROGRAMS:
            _SHAPES.clear()
            jax.clear_caches()


def _validate(a: SparseArray) -> None:
    check_fields(a)
    if not is_valid(to_jax(a)):
        a.layout.validate(a)                                   # refuses, and says what is wrong (ERR-1)
        raise AssertionError(f"the JAX backend refuses {a!r}, but {a.layout} takes it")


def _encode(dense: Any, pattern: Any, layout: Any) -> SparseArray:
    dense, layout, pattern = checked_to_encode(dense, layout, pattern)
    encoded: SparseArray = to_numpy(encode(to_jax(dense), layout, to_jax(pattern)))
    return encoded
