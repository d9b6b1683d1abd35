"""Products with a prepared weight: arrays of any strides in, a new array out."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from sparseref import SpecError

from .library import (
    ACTIVATIONS,
    NOWHERE,
    PRODUCT,
    CPatches,
    CProduct,
    Library,
    Where,
    address,
    counted,
    library,
    threads,
    where,
)
from .one_token import runs_for_one
from .segments import Prepared

DONE, NO_MEMORY = 0, 1
"""SPARSEREF_DONE and SPARSEREF_NO_MEMORY of src/sparseref.h."""


def multiply(weight: Prepared, x: np.ndarray, bias: np.ndarray | None = None, activation: str | None = None,
             added: np.ndarray | None = None, out: np.ndarray | None = None, at_most: int | None = None,
             using: Library | None = None) -> np.ndarray:
    """weight [O, K], x [T, K], bias [O], added [T, O] -> activation(x W^T + bias) + added, [T, O] in the weight's dtype.

    All in the weight's dtype, in any strides; `out` is written to if it is given, even where it is memory of the others.
    activation: None, relu, gelu or gelu_tanh.  at_most: threads, by default as many as `threads()` says; the result does not
    depend on them.  Errors: LINEAR-2, CORE-D2, CLIB-2, CLIB-3, TypeError, ValueError, MemoryError.
    """
    if not isinstance(weight, Prepared):
        raise TypeError(f"a {type(weight).__name__} is no weight as C reads it: multiply(prepare(a), x), a a sparse array")
    outputs, inputs = weight.shape
    x = readable("x", x, (len(x) if np.ndim(x) else 0, inputs), weight)
    shape = (len(x), outputs)
    bias = None if bias is None else np.ascontiguousarray(readable("bias", bias, (outputs,), weight))
    added = None if added is None else readable("added", added, shape, weight)
    y = np.empty(shape, weight.dtype) if out is None else writable(out, shape, weight)
    if out is not None and any(one is not None and np.may_share_memory(out, one) for one in (x, bias, added)):
        y = np.empty(shape, weight.dtype)                      # another thread may read what one has written
    run(product(weight, where(x), where(y), None if bias is None else address(bias), activation, where(added), len(x)),
        weight.dtype, at_most, using)
    if out is not None and y is not out:
        out[...] = y
    return y if out is None else out


def readable(what: str, array: np.ndarray, shape: tuple[int, ...], weight: Prepared) -> np.ndarray:
    """The array, where C can read it: copied only where it is not aligned.  Errors: LINEAR-2, CORE-D2, TypeError."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{what} is no NumPy array but a {type(array).__name__}: np.asarray makes one")
    if array.shape != shape:                                                               # LINEAR-2
        raise SpecError("LINEAR-2", f"the shape of {what} does not fit the weight.", given=f"{array.shape}",
                        wanted=f"{shape} for a weight {weight.shape}")
    if array.dtype != weight.dtype:                                                        # CORE-D2
        given = array.dtype.name + ("" if array.dtype.isnative else ", its bytes in reverse")
        raise SpecError("CORE-D2", f"{what} and the weight differ in dtype.", wanted=weight.dtype.name, given=given)
    flags = array.flags
    fits = flags.aligned and (flags.c_contiguous or all(stride % array.itemsize == 0 for stride in array.strides))
    return array if fits else array.copy()


def writable(out: np.ndarray, shape: tuple[int, ...], weight: Prepared) -> np.ndarray:
    """The array, if C can write to it.  Errors: LINEAR-2, CORE-D2, CLIB-3, TypeError."""
    aligned = readable("out", out, shape, weight) is out
    if not aligned or not out.flags.writeable or not _apart(out):                          # CLIB-3
        raise SpecError("CLIB-3", "the result cannot be written there.", fix="leave `out` out",
                        wanted="aligned memory that may be written to, a place for each element",
                        given=f"strides {out.strides}, writeable: {out.flags.writeable}")
    return out


def _apart(array: np.ndarray) -> bool:
    """Whether each element has a place of its own."""
    taken = array.itemsize
    for stride, side in sorted(zip(map(abs, array.strides), array.shape, strict=True)):
        if side > 1 and stride < taken:
            return not array.size
        taken += stride * (side - 1)
    return True


def product(weight: Prepared, x: Where, y: Where, bias: int | None, activation: str | None = None, added: Where = NOWHERE,
            tokens: int = 0, patches: CPatches | None = None, then: CProduct | None = None, beside: CProduct | None = None,
            added_first: bool = False) -> CProduct:
    """x [tokens, K], bias [O], added [tokens, O], y [tokens, O], or patches, the x of a convolution: memory by its address.

    The caller keeps that memory, but for the weight, which is held.  then: a product of this one's result, so that y is not
    written; beside: one more product of the same x; added_first: before the activation.  Errors: ValueError.
    """
    runs = runs_for_one(weight) if tokens == 1 else weight.runs_for(tokens)
    others = (0 if one is None else ctypes.addressof(one) for one in (patches, then, beside))
    what = CProduct.from_buffer_copy(PRODUCT.pack(ctypes.addressof(runs), *x, *y, *added, bias or 0, tokens,
                                                  number_of(activation), added_first, *others))
    what.held = weight, patches, then, beside                  # nobody else may keep its arrays
    return what


def run(what: CProduct, dtype: np.dtype[Any], at_most: int | None = None, using: Library | None = None) -> None:
    """Computes a product of weights of this dtype, unchecked.  Errors: CLIB-1, CLIB-2, MemoryError."""
    using = using or library()
    count = threads() if at_most is None else counted(at_most, "at_most")
    status = using.functions.sparseref_linear(ctypes.addressof(what), using.number, dtype.itemsize, count)
    done(status, "a tile of tokens")


def activated(values: np.ndarray, activation: str, at_most: int | None = None, using: Library | None = None) -> np.ndarray:
    """values of float32 or float64, any shape -> activation(values), a new array.

    Errors: CLIB-1, CLIB-2, TypeError, ValueError.
    """
    using = using or library()
    if np.asarray(values).dtype not in (np.float32, np.float64):
        raise TypeError(f"C computes activations in float32 and float64, not in {np.asarray(values).dtype}")
    result = np.array(values, order="C")
    status = using.functions.sparseref_activate(result.ctypes.data, result.size, number_of(activation), using.number,
                                                result.itemsize, threads() if at_most is None else counted(at_most, "at_most"))
    done(status, "an activation")
    return result


def number_of(activation: str | None) -> int:
    """As src/runs.h counts them.  Errors: ValueError."""
    if activation not in ACTIVATIONS:
        raise ValueError(f"no activation is called {activation!r}: None, {', '.join(name for name in ACTIVATIONS if name)}")
    return ACTIVATIONS[activation]


def done(status: int, what: str) -> None:
    """A status of the library -> nothing, where all went well.  Errors: MemoryError, RuntimeError."""
    if status == NO_MEMORY:
        raise MemoryError(f"no memory for {what}")
    if status != DONE:
        raise RuntimeError(f"the C library refuses {what}: status {status} of src/sparseref.h")
