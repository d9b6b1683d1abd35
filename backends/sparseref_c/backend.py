"""The C backend behind sparseref's protocol: products of a sparse matrix, in NumPy arrays."""

from __future__ import annotations

import math
from functools import cache
from typing import Any, ClassVar

import numpy as np

from sparseref import NMG, Backend, Cell, SparseArray, decode, validate
from sparseref.backend import ARRAY, CODING
from sparseref.coding import checked_to_encode
from sparseref.dtypes import round_to
from sparseref.operators.base import Pair
from sparseref.reference import check_operands, place
from sparseref.registry import get_operator, parse_sparsifier
from sparseref.selecting import select
from sparseref.sparsifiers.nmg import GreedyNMG

from . import placing
from .choosing import CGreedyNMG
from .compiling import NotBuilt
from .convolving import convolve
from .gradients import gradient
from .library import library
from .multiplying import activated, multiply
from .preparing import Prepared, prepare

OPERATORS = ("linear", "matmul", "conv2d", "gelu")
DTYPES = ("float64", "float32", "float16", "bfloat16")


class CBackend(Backend):
    """nmg encoded, decoded and chosen; linear, matmul and conv2d of one sparse array in any layout, and their gradients; gelu.

    float16 and bfloat16 add up in float32 (BOUND-1).
    """

    name: ClassVar[str] = "c"

    def declines(self, cell: Cell) -> str | None:
        why_not = not_built()
        if why_not is not None:
            return why_not
        if cell.operation in CODING:
            return None if cell.layouts == (NMG.name,) else f"the C backend encodes and decodes {NMG.name} alone"
        if cell.operation == "select":
            return None if cell.layouts == (GreedyNMG.name,) else f"the C backend selects by {GreedyNMG.name} alone"
        name, _, is_gradient = cell.operation.partition(".")
        if name not in OPERATORS:
            return f"the C backend has no operator {name}"
        if is_gradient and name not in PRODUCTS:
            return f"the C backend has no gradient of {name}"
        if cell.dtype not in DTYPES:
            return f"the C backend computes in floating point, not in {cell.dtype}"
        if cell.operation == "gelu":
            return None
        if sum(layout in (ARRAY, "dense") for layout in cell.layouts) != 1:
            return "the C backend multiplies one sparse matrix and one dense array"
        if name == "conv2d" and cell.layouts[0] not in (ARRAY, "dense"):
            return "the C backend convolves dense images"
        return None

    def torch_kernel(self) -> Any:
        """The kernel that takes torch's tensors as they are, for `sparseref_torch.use_backend("c")`."""
        from .torch_kernel import CKernel  # only who has torch asks for it

        return CKernel(training_too=True)

    def call(self, operation: str, *operands: Any, **parameters: Any) -> Any:
        self.cell_of(operation, operands, parameters)
        if operation == "encode":
            return placing.encode(*checked_to_encode(operands[0], parameters["layout"], operands[1]))
        if operation in CODING:
            return placing.decode(*operands) if operation == "decode" else placing.validate(*operands)
        if operation == "select":
            values, scores, draws = operands
            return select(values, CGreedyNMG.like(parse_sparsifier(parameters["sparsifier"])), scores, draws=draws)
        name, _, is_gradient = operation.partition(".")
        grad, operands = (operands[0], operands[1:]) if is_gradient else (None, operands)
        dtype = check_operands(get_operator(name), operands, parameters)
        for operand in operands:
            if isinstance(operand, SparseArray):
                validate(operand)                                                          # CORE-A3
        if operation == "gelu":
            return gelu(operands[0], **parameters)
        with np.errstate(over="ignore", invalid="ignore"):     # rounding to float16 may overflow, which is a result
            if is_gradient:
                return gradient(name, grad, operands, parameters, dtype)
            operands = tuple(decode(operand) if isinstance(operand, SparseArray) and operand.layout.name == "dense" else operand
                             for operand in operands)
            return round_to(PRODUCTS[operation](*operands, **parameters), dtype)


def gelu(a: Any, approximate: str = "none") -> Any:
    """a [shape] -> [shape], stored where a is (GELU-1)."""
    dense = decode(a) if isinstance(a, SparseArray) else a
    found = activated(dense.astype(np.float64 if dense.dtype == np.float64 else np.float32),
                      "gelu" if approximate == "none" else "gelu_tanh")
    pattern = a.pattern if isinstance(a, SparseArray) else np.ones(dense.shape, bool)
    return place(Pair(round_to(found, dense.dtype), pattern), get_operator("gelu"), (a,), {})


def linear(x: Any, w: Any, bias: np.ndarray | None = None) -> np.ndarray:
    """x [..., K], w [O, K], one of them sparse, bias [O] or None -> x W^T + b, [..., O] (LINEAR-1), float32 or float64."""
    if isinstance(w, SparseArray):
        weight = prepare(w, once=True)
        y = multiply(weight, matrix(x, weight), None if bias is None else np.asarray(bias, weight.dtype))
    else:
        y = times(x, np.asarray(w).T)
        y = y if bias is None else y + bias.astype(y.dtype)
    return y.reshape(*x.shape[:-1], w.shape[0])


def matmul(a: Any, b: Any) -> np.ndarray:
    """a [..., M, K], b [K, N], or a [M, K], b [..., K, N], one of them sparse -> [..., M, N] (MATMUL-1)."""
    if isinstance(a, SparseArray):
        if b.ndim == 2:
            return times(a, b).reshape(*a.shape[:-1], b.shape[1])
        columns = np.moveaxis(b, -2, 0)                                                    # [K, ..., N]
        y = times(a, columns.reshape(len(columns), math.prod(columns.shape[1:])))          # [M, ... N]
        return np.moveaxis(y.reshape(len(y), *columns.shape[1:]), 0, -2)
    weight = prepare(b, transposed=True, once=True)                                        # [... N, K]
    y = multiply(weight, matrix(a, weight))                                                # [... M, ... N]
    if b.ndim == 2:
        return y.reshape(*a.shape[:-1], b.shape[1])
    return np.moveaxis(y.reshape(len(y), *b.shape[:-2], b.shape[-1]), 0, -2)               # [M, ..., N] -> [..., M, N]


def conv2d(x: np.ndarray, w: SparseArray, bias: np.ndarray | None = None, **window: Any) -> np.ndarray:
    """x [B, C, H, W], w [O, C*kh*kw], bias [O] or None -> [B, O, H', W'] (CONV2D-1)."""
    weight = prepare(w)
    image = np.asarray(x, weight.dtype)
    return convolve(weight, image, None if bias is None else np.asarray(bias, weight.dtype), **window)


PRODUCTS: dict[str, Any] = {"linear": linear, "matmul": matmul, "conv2d": conv2d}


def times(a: SparseArray, b: np.ndarray) -> np.ndarray:
    """a [..., K] sparse, b [K, N] -> [..., N] with the first sides of a in one."""
    weight = prepare(a, once=True)
    y = np.empty((weight.shape[0], b.shape[1]), weight.dtype)
    multiply(weight, np.asarray(b, weight.dtype).T, out=y.T)
    return y


def matrix(x: np.ndarray, weight: Prepared) -> np.ndarray:
    """x [..., K] -> [T, K] for the weight [O, K]."""
    return np.asarray(x, weight.dtype).reshape(math.prod(x.shape[:-1]), x.shape[-1])


@cache
def not_built() -> str | None:
    """Why there is no library; None: there is."""
    try:
        library()
    except NotBuilt as error:
        return f"the C library is not built: {error}"
    return None
