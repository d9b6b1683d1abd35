"""Products with a prepared weight: arrays of any strides in, a new array out."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from sparseref import SpecError

from .library import ACTIVATIONS, CMatrix, CPatches, CProduct, Library, address, library, threads
from .one_token import runs_for_one
from .preparing import Prepared

NOWHERE = CMatrix(None, 0, 0)
DONE, NO_MEMORY = 0, 1
"""SPARSEREF_DONE and SPARSEREF_NO_MEMORY of src/sparseref.h."""


def multiply(weight: Prepared, x: np.ndarray, bias: np.ndarray | None = None, activation: str | None = None,
             added: np.ndarray | None = None, out: np.ndarray | None = None, at_most: int | None = None,
             using: Library | None = None) -> np.ndarray:
    """weight [O, K], x [T, K], bias [O], added [T, O] -> activation(x W^T + bias) + added, [T, O] in the weight's dtype.

    All in the weight's dtype, in any strides; `out` is written to if it is given.  at_most: threads, by default as many as
    `threads()` says; the result does not depend on them.  Errors: LINEAR-2, CORE-D2, CLIB-2, MemoryError.
    """
    outputs, inputs = weight.shape
    x = readable("x", x, (len(x) if np.ndim(x) else 0, inputs), weight)
    shape = (len(x), outputs)
    bias = None if bias is None else np.ascontiguousarray(readable("bias", bias, (outputs,), weight))
    added = None if added is None else readable("added", added, shape, weight)
    y = np.empty(shape, weight.dtype) if out is None else out
    if readable("out", y, shape, weight) is not y or not y.flags.writeable:               # CLIB-3
        raise SpecError("CLIB-3", "the result cannot be written there.", wanted="aligned memory that may be written to",
                        given=f"strides {y.strides}, writeable: {y.flags.writeable}", fix="leave `out` out")
    run(product(weight, CMatrix.of(x), CMatrix.of(y), None if bias is None else address(bias), activation, CMatrix.of(added),
                len(x)), weight.dtype, at_most, using)
    return y


def readable(what: str, array: np.ndarray, shape: tuple[int, ...], weight: Prepared) -> np.ndarray:
    """The array, where C can read it: copied only where it is not aligned.  Errors: LINEAR-2, CORE-D2."""
    if np.shape(array) != shape:                                                           # LINEAR-2
        raise SpecError("LINEAR-2", f"the shape of {what} does not fit the weight.", given=f"{np.shape(array)}",
                        wanted=f"{shape} for a weight {weight.shape}")
    if array.dtype != weight.dtype:                                                        # CORE-D2
        raise SpecError("CORE-D2", f"{what} and the weight differ in dtype.", wanted=weight.dtype.name, given=array.dtype.name)
    flags = array.flags
    fits = flags.aligned and (flags.c_contiguous or all(stride % array.itemsize == 0 for stride in array.strides))
    return array if fits else array.copy()


def product(weight: Prepared, x: CMatrix, y: CMatrix, bias: int | None, activation: str | None = None,
            added: CMatrix | None = None, tokens: int = 0, patches: CPatches | None = None, then: CProduct | None = None,
            beside: CProduct | None = None, added_first: bool = False) -> CProduct:
    """x [tokens, K], bias [O], added [tokens, O], y [tokens, O], or patches, the x of a convolution: memory by its address.

    The caller keeps that memory, but for the weight, which is held.  then: a product of this one's result, so that y is not
    written; beside: one more product of the same x; added_first: before the activation.
    """
    runs = ctypes.pointer(runs_for_one(weight) if tokens == 1 else weight.runs_for(tokens))
    what = CProduct(runs, x, y, added or NOWHERE, bias, tokens, ACTIVATIONS[activation], added_first,
                    *(one and ctypes.pointer(one) for one in (patches, then, beside)))
    what.held = weight                                         # nobody else may keep its arrays
    return what


def run(what: CProduct, dtype: np.dtype[Any], at_most: int | None = None, using: Library | None = None) -> None:
    """Computes a product of weights of this dtype, unchecked.  Errors: CLIB-1, CLIB-2, MemoryError."""
    using = using or library()
    status = using.functions.sparseref_linear(ctypes.byref(what), using.number, dtype.itemsize, at_most or threads())
    done(status, "a tile of tokens")


def activated(values: np.ndarray, activation: str, at_most: int | None = None, using: Library | None = None) -> np.ndarray:
    """values of float32 or float64, any shape -> activation(values), a new array.  Errors: CLIB-1, CLIB-2."""
    using = using or library()
    result = np.array(values, order="C")
    status = using.functions.sparseref_activate(result.ctypes.data, result.size, ACTIVATIONS[activation], using.number,
                                                result.itemsize, at_most or threads())
    done(status, "an activation")
    return result


def done(status: int, what: str) -> None:
    """A status of the library -> nothing, where all went well.  Errors: MemoryError."""
    if status == NO_MEMORY:
        raise MemoryError(f"no memory for {what}")
    assert status == DONE, f"status {status}"                  # what was passed is of the shapes and dtypes that it says
