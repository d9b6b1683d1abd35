"""What is called by name: sparsify, and the operators on JAX arrays and JaxSparse."""

from __future__ import annotations

from typing import Any

import numpy as np
from jax import Array

from sparseref import SparseArray
from sparseref.formats import parse_format
from sparseref.layouts.base import Layout
from sparseref.reference import check_operands
from sparseref.registry import get_operator, parse_layout, parse_sparsifier
from sparseref.sparsifiers import own_sparsifier
from sparseref.sparsifiers.base import Sparsifier

from .arrays import JaxSparse, Operand
from .decoding import decode
from .encoding import SIZED, encode, encode_and_tell
from .operators import forward
from .selection import select


def sparsify(values: Array | JaxSparse, layout: str | Layout, sparsifier: str | Sparsifier | None = None,
             scores: Array | None = None, draws: Array | None = None, slots: int | None = None) -> JaxSparse:
    """values [shape], dense or sparse -> JaxSparse: the sparsifier chooses, the layout places (SPF-1, SPF-10).

    As `sparseref.sparsify`, "csr:0.9" included; inside jit, layouts whose size the pattern decides need `slots` (encode).
    """
    if sparsifier is None and isinstance(layout, str):
        sparsifier, layout = parse_format(layout)
    layout = parse_layout(layout)
    own = own_sparsifier(layout)
    chooser = own if sparsifier is None else parse_sparsifier(sparsifier)
    pattern = select(values, chooser, scores, draws)
    dense = decode(values) if isinstance(values, JaxSparse) else values
    if chooser == own and own.structured and not isinstance(layout, SIZED):                # its choice fits
        return encode_and_tell(dense, layout, pattern)[0]
    return encode(dense, layout, pattern, slots)


def run(name: str, *operands: Operand, slots: int | None = None, **parameters: Any) -> Array | JaxSparse:
    """The operator of this name; its clauses say what it takes and gives.  Errors: CORE-D2, OPS-3, OPS-5, its own.

    slots: of a sparse result, inside jit; needed for bsr and ell alone, where they do not follow from the operands.
    """
    check_operands(get_operator(name), tuple(map(_outline, operands)), parameters)
    return forward(name, *operands, slots=slots, **parameters)


def _outline(operand: Any) -> Any:
    """An operand, traced or not -> one of NumPy with its layout, shape and dtype, and without memory: all that is checked."""
    if operand is None:
        return None
    dtype = np.dtype(operand.dtype)
    if isinstance(operand, JaxSparse):
        return SparseArray(operand.layout, operand.shape, dtype, {})
    return np.broadcast_to(np.zeros((), dtype), operand.shape)


def linear(x: Array | JaxSparse, w: Array | JaxSparse, bias: Array | None = None) -> Array:
    """x [..., K], w [O, K], bias [O] -> y [..., O] (LINEAR-1)."""
    result: Array = run("linear", x, w, bias)
    return result


def matmul(a: Array | JaxSparse, b: Array | JaxSparse) -> Array:
    """a [..., M, K], b [K, N] or a [M, K], b [..., K, N] -> [..., M, N] (MATMUL-1)."""
    result: Array = run("matmul", a, b)
    return result


def convert(a: Array | JaxSparse, layout: str | Layout, slots: int | None = None) -> JaxSparse:
    """a [shape] -> the same entries in another layout (CONVERT-1); `slots` as for `run`."""
    result: JaxSparse = run("convert", a, layout=parse_layout(layout), slots=slots)
    return result
