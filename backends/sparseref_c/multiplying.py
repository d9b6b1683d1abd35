"""Products with a prepared weight: arrays of any strides in, a new array out."""

from __future__ import annotations

import ctypes

import numpy as np

from .library import ACTIVATIONS, CMatrix, CProduct, Library, library, threads
from .preparing import Prepared

DONE, NO_MEMORY = 0, 1
"""SPARSEREF_DONE and SPARSEREF_NO_MEMORY of src/sparseref.h."""


def multiply(weight: Prepared, x: np.ndarray, bias: np.ndarray | None = None, activation: str | None = None,
             added: np.ndarray | None = None, out: np.ndarray | None = None, at_most: int | None = None,
             using: Library | None = None) -> np.ndarray:
    """weight [O, K], x [T, K], bias [O], added [T, O] -> activation(x W^T + bias) + added, [T, O] in the weight's dtype.

    All in the weight's dtype, in any strides; `out` is written to if it is given.  at_most: threads, by default as many as
    `threads()` says; the result does not depend on them.
    """
    y = np.empty((len(x), weight.shape[0]), weight.dtype) if out is None else out
    bias = None if bias is None else np.ascontiguousarray(bias)
    run(weight, CMatrix.of(x), CMatrix.of(y), None if bias is None else bias.ctypes.data, activation, CMatrix.of(added), len(x),
        at_most, using)
    return y


def run(weight: Prepared, x: CMatrix, y: CMatrix, bias: int | None, activation: str | None = None, added: CMatrix | None = None,
        tokens: int = 0, at_most: int | None = None, using: Library | None = None) -> None:
    """As `multiply`, of memory by its address: x [tokens, K], bias [O], added [tokens, O] -> y [tokens, O]."""
    using = using or library()
    product = CProduct(ctypes.pointer(weight.runs), x, y, added or CMatrix(None, 0, 0), bias, tokens, ACTIVATIONS[activation])
    status = using.functions.sparseref_linear(ctypes.byref(product), using.number, weight.dtype.itemsize, at_most or threads())
    done(status, f"a tile of {weight.shape[1]} columns")


def done(status: int, what: str) -> None:
    """A status of the library -> nothing, where all went well.  Errors: MemoryError."""
    if status == NO_MEMORY:
        raise MemoryError(f"no memory for {what}")
    assert status == DONE, f"status {status}"                  # what was passed is of the shapes and dtypes that it says
