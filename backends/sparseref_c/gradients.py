"""The gradients of a product by its dense operand and by the stored values of its sparse one.

Every product is y [T, O] = x [T, K] W^T with a sparse W [O, K], so there are two gradients: grad [T, O] times W, a product with
the weight prepared the other way round, and of grad^T x the entries that W stores.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from sparseref import COO, SparseArray, SpecError, decode
from sparseref.dtypes import round_to
from sparseref.operators.base import checked_operand
from sparseref.operators.conv2d import both

from .convolving import output_sides
from .library import NOWHERE, CPatches
from .multiplying import multiply
from .preparing import prepare
from .sampling import prepare_pattern, sample, sampled

Gradients = tuple["np.ndarray | None", ...]
"""Of each operand: dense [operand], of the sparse one the gradient in each of its slots, shaped as its `values`."""


def gradient(name: str, grad: Any, operands: tuple[Any, ...], parameters: dict[str, Any],
             dtype: np.dtype[Any]) -> tuple[np.ndarray | SparseArray | None, ...]:
    """grad [result], the operands, checked before, and their dtype -> of each its gradient, stored as it is (GRAD-1, GRAD-2).

    Errors: CORE-D1, GRAD-3.
    """
    check_grad(name, grad, operands, parameters, dtype)
    real = np.float64 if dtype == np.float64 else np.float32                               # BOUND-1
    wide = (operand if operand is None or _is_sparse(operand) else _dense(operand).astype(real) for operand in operands)
    found = GRADIENTS[name](grad.astype(real), *wide, **parameters)
    return tuple(None if operand is None else _as_given(round_to(value, dtype), operand)
                 for operand, value in zip(operands, found, strict=True))


def _is_sparse(operand: Any) -> bool:
    return isinstance(operand, SparseArray) and operand.layout.name != "dense"


def _dense(operand: np.ndarray | SparseArray) -> np.ndarray:
    return decode(operand) if isinstance(operand, SparseArray) else operand


def _as_given(value: np.ndarray, operand: np.ndarray | SparseArray) -> np.ndarray | SparseArray:
    """value [operand], or [slots] of a sparse one -> the same in the operand's form."""
    if isinstance(operand, np.ndarray):
        return np.ascontiguousarray(value)
    arrays = {field: array.copy() for field, array in operand.arrays.items()}              # CORE-M1: nothing is shared
    return SparseArray(operand.layout, operand.shape, value.dtype, {**arrays, "values": value.reshape(operand.values.shape)})


def linear(grad: np.ndarray, x: Any, w: Any, bias: np.ndarray | None = None) -> Gradients:
    """grad [..., O] -> grad W [..., K], grad^T x over all tokens [O, K], the sum of grad over all tokens [O] (LINEAR-3)."""
    flat = grad.reshape(math.prod(x.shape[:-1]), w.shape[0])                               # [T, O]
    if isinstance(w, SparseArray):
        grad_x, grad_w = of_product(w, flat, x.reshape(len(flat), x.shape[-1]))
        grad_x = grad_x.reshape(x.shape)
    else:
        grad_w, grad_x = of_product(x, flat.T, w)                                          # y^T = w x^T
    return grad_x, grad_w, None if bias is None else flat.sum(axis=0)


def matmul(grad: np.ndarray, a: Any, b: Any) -> Gradients:
    """grad [..., M, N] -> grad b^T, a^T grad, summed over the batch that an operand lacks (MATMUL-3)."""
    rows, columns = math.prod(a.shape[:-1]), math.prod(b.shape[:-2]) * b.shape[-1]
    flat = (np.moveaxis(grad, -2, 0) if len(b.shape) > 2 else grad).reshape(rows, columns)         # [... M, ... N]
    if isinstance(a, SparseArray):
        inner_first = np.moveaxis(b, -2, 0)                                                # [K, ..., N]
        grad_b, grad_a = of_product(a, flat.T, inner_first.reshape(len(inner_first), columns).T)
        return grad_a, np.moveaxis(grad_b.T.reshape(inner_first.shape), 0, -2)
    grad_a, grad_b = of_product(b, flat, a.reshape(rows, a.shape[-1]), transposed=True)
    return grad_a.reshape(a.shape), grad_b


def conv2d(grad: np.ndarray, x: np.ndarray, w: SparseArray, bias: np.ndarray | None = None, *, kernel: Any, stride: Any = 1,
           padding: Any = 0, dilation: Any = 1) -> Gradients:
    """grad [B, O, H', W'] -> linear's gradients on the patches, those of x added up where patches overlap (CONV2D-4)."""
    window = [both("CONV2D-2", "side", given, 0) for given in (kernel, stride, padding, dilation)]
    pattern, sides, places = prepare_pattern(w), grad.shape[2:], math.prod(grad.shape[2:])
    weight, turned = pattern.holding(w.values.astype(x.dtype)), prepare(w, transposed=True)
    x, grad = np.ascontiguousarray(x), np.ascontiguousarray(grad)
    grad_x, by_value = np.zeros(x.shape, x.dtype), np.zeros(len(pattern.slots), x.dtype)
    for image, of_image, one in zip(x, grad_x, grad, strict=True):
        strides = (step // x.itemsize for step in image.strides)
        patches = CPatches(image.ctypes.data, *image.shape, *strides, *(side for two in (*window, sides) for side in two))
        if len(image):                                         # no channels, no values
            sample(weight, (one.ctypes.data, 1, places), NOWHERE, by_value, places, patches=patches)
        pieces = multiply(turned, one.reshape(len(one), places).T)                         # [H' W', C kh kw]
        add_back(pieces.reshape(*sides, len(image), *window[0]), of_image, *window[1:])
    return grad_x, pattern.in_slots(by_value), None if bias is None else grad.sum(axis=(0, 2, 3))


def add_back(pieces: np.ndarray, image: np.ndarray, stride: tuple[int, int], padding: tuple[int, int],
             dilation: tuple[int, int]) -> None:
    """pieces [H', W', C, kh, kw] are added to image [C, H, W] where a patch took them from; what lay in the padding is lost."""
    (height, width, channels, kh, kw), (ph, pw) = pieces.shape, padding
    padded = np.zeros((channels, image.shape[1] + 2 * ph, image.shape[2] + 2 * pw), image.dtype)
    for i, j in np.ndindex(kh, kw):
        rows, columns = (slice(at * d, at * d + s * (side - 1) + 1, s)
                         for at, side, s, d in zip((i, j), (height, width), stride, dilation, strict=True))
        padded[:, rows, columns] += pieces[..., i, j].transpose(2, 0, 1)
    image += padded[:, ph:ph + image.shape[1], pw:pw + image.shape[2]]


def of_product(a: SparseArray, grad: np.ndarray, x: np.ndarray, transposed: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """W [O, K] = `prepare(a, transposed)`, grad [T, O], x [T, K] -> grad W [T, K], and grad^T x in the slots of a."""
    matrix, own = (a, None) if a.ndim == 2 else as_matrix(a, transposed)
    pattern = prepare_pattern(matrix, transposed)
    by_value = sampled(pattern.holding(matrix.values.astype(x.dtype)), grad, x)
    in_slots = pattern.in_slots(by_value)
    if own is not None:
        of_matrix, in_slots = in_slots, np.zeros(a.values.shape, x.dtype)
        in_slots.reshape(-1)[own] = of_matrix
    return multiply(prepare(matrix, not transposed), grad), in_slots


def as_matrix(a: SparseArray, transposed: bool) -> tuple[SparseArray, np.ndarray]:
    """a [..., R, C] -> coo [... R, C], transposed: [R, ... C], and for each of its slots the slot of a."""
    positions = a.layout.positions(a).reshape(-1)
    own = np.flatnonzero(positions >= 0)
    row, column = np.divmod(positions[own], a.shape[-1])
    shape = (math.prod(a.shape[:-1]), a.shape[-1])
    if transposed:
        batch, row = np.divmod(row, a.shape[-2])
        column, shape = batch * a.shape[-1] + column, (a.shape[-2], math.prod(a.shape[:-2]) * a.shape[-1])
    return SparseArray(COO(), shape, a.dtype, {"coords": np.stack([row, column]), "values": a.values.reshape(-1)[own]}), own


GRADIENTS: dict[str, Any] = {"linear": linear, "matmul": matmul, "conv2d": conv2d}

RESULT_SHAPE: dict[str, Any] = {
    "linear": lambda x, w, bias=None: (*x.shape[:-1], w.shape[0]),
    "matmul": lambda a, b: (*a.shape[:-2], *b.shape[:-2], a.shape[-2], b.shape[-1]),
    "conv2d": lambda x, w, bias=None, **window: (len(x), w.shape[0], *output_sides(x.shape[2:], **window)),
}


def check_grad(name: str, grad: Any, operands: tuple[Any, ...], parameters: dict[str, Any], dtype: np.dtype[Any]) -> None:
    """Refuse a grad that is not of the shape and the dtype of the operator's result.  Errors: CORE-D1, GRAD-3."""
    shape = RESULT_SHAPE[name](*operands, **parameters)
    checked_operand(grad)
    if grad.shape != shape or grad.dtype != dtype:                                         # GRAD-3
        raise SpecError("GRAD-3", f"the gradient does not fit the result of {name}.", wanted=f"{dtype.name} {shape}",
                        given=f"{grad.dtype.name} {grad.shape}")
