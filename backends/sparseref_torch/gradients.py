"""The gradient of every operator, for dense operands and for the slots of sparse ones."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sparseref import SpecError

from .contraction import product, transposed
from .decoding import wide_pair
from .operators import as_matrices, gelu_cdf, gelu_density, intersection, on_pattern, times, tokens
from .patches import add_back, patches, window_of
from .positions import positions
from .tensors import ACCUMULATOR, Operand, Pair, TorchSparse

Gradients = tuple[Tensor | None, ...]


def gradient(name: str, grad: Tensor, *operands: Operand, **parameters: Any) -> tuple[Operand, ...]:
    """grad [result] and the operands, checked before -> for each operand its gradient: dense for a dense one, in the
    operand's own slots for a sparse one (GRAD-1, GRAD-2), None for a missing one.  Errors: GRAD-3."""
    dtype = next(operand.dtype for operand in operands if operand is not None)
    shape = RESULT_SHAPE.get(name, _shape_of_first)(*operands, **parameters)
    if tuple(grad.shape) != shape or grad.dtype != dtype or not dtype.is_floating_point:   # GRAD-3
        raise SpecError("GRAD-3", f"the gradient does not fit the result of {name}.",
                        wanted=f"{dtype} {shape}, a float dtype", given=f"{grad.dtype} {tuple(grad.shape)}")
    wide = RULES[name](grad.to(ACCUMULATOR.get(dtype, dtype)), *map(wide_pair, operands), **parameters)
    return tuple(None if operand is None or value is None else _in_slots(value.to(dtype), operand)
                 for value, operand in zip(wide, operands, strict=True))


def _in_slots(value: Tensor, operand: Tensor | TorchSparse) -> Tensor | TorchSparse:
    """value [shape] -> as it is, or for a sparse operand each slot's entry of it, +0 in padding (GRAD-1, GRAD-2)."""
    if isinstance(operand, Tensor):
        return value
    flat = torch.cat([value.reshape(-1), value.new_zeros(1)])                              # position -1 reads this zero
    return operand.with_values(flat[positions(operand)])


def _shape_of_first(a: Any, *others: Any, **parameters: Any) -> tuple[int, ...]:
    return tuple(a.shape)


def _matmul_shape(a: Any, b: Any) -> tuple[int, ...]:
    batch = tuple(b.shape[:-2]) if len(b.shape) > 2 else tuple(a.shape[:-2])
    return (*batch, a.shape[-2], b.shape[-1])


def _conv2d_shape(x: Any, w: Any, bias: Any = None, **parameters: Any) -> tuple[int, ...]:
    return (x.shape[0], w.shape[0], *window_of(**parameters).sides(x.shape))


def _sum_shape(a: Any, axis: int | None = None) -> tuple[int, ...]:
    return () if axis is None else tuple(side for i, side in enumerate(a.shape) if i != axis % len(a.shape))


RESULT_SHAPE: dict[str, Callable[..., tuple[int, ...]]] = {
    "matmul": _matmul_shape, "linear": lambda x, w, bias=None: (*x.shape[:-1], w.shape[0]), "conv2d": _conv2d_shape,
    "transpose": lambda a: tuple(a.shape[::-1]), "sum": _sum_shape}


def _same(grad: Tensor, a: Pair, *others: Pair, **parameters: Any) -> Gradients:
    """What only moves entries hands its gradient on to each operand (TODENSE-2, CONVERT-3, ADD-3)."""
    return (grad,) * (1 + len(others))


def _multiply(grad: Tensor, a: Pair, b: Pair) -> Gradients:
    both = intersection(a, b)
    return on_pattern(grad * b.value, both).value, on_pattern(grad * a.value, both).value  # MUL-3


def _scale(grad: Tensor, a: Pair, factor: Pair) -> Gradients:
    return (on_pattern(grad * factor.value, a.pattern).value,
            on_pattern(grad * a.value, a.pattern).value.sum())                             # SCALE-3


def _relu(grad: Tensor, a: Pair) -> Gradients:
    return (torch.where(a.value <= 0, 0, grad),)                                           # RELU-2


def _gelu(grad: Tensor, a: Pair, approximate: str = "none") -> Gradients:
    x = a.value
    return (grad * (gelu_cdf(x, approximate) + times(x, gelu_density(x, approximate))),)   # GELU-3


def _transpose(grad: Tensor, a: Pair) -> Gradients:
    return (grad.T,)                                                                       # TRANSPOSE-3


def _sum(grad: Tensor, a: Pair, axis: int | None = None) -> Gradients:
    return ((grad if axis is None else grad.unsqueeze(int(axis))).expand(a.shape),)        # SUM-3


def _matmul(grad: Tensor, a: Pair, b: Pair) -> Gradients:
    """grad [..., M, N] -> grad_a = grad B^T, grad_b = A^T grad, summed over the batch that an operand lacks (MATMUL-3)."""
    left, right = as_matrices(a, b)                                                        # [M', K], [K, N']
    batched = len(b.shape) > 2
    flat = Pair((grad.movedim(-2, 0) if batched else grad).reshape(left.shape[0], right.shape[1]))
    grad_a, grad_b = product(flat, transposed(right)), product(transposed(left), flat)
    if batched:
        grad_b = grad_b.reshape(a.shape[1], *b.shape[:-2], b.shape[-1]).movedim(0, -2)
    return grad_a.reshape(a.shape), grad_b


def _linear(grad: Tensor, x: Pair, w: Pair, bias: Pair | None = None) -> Gradients:
    """grad [..., O] -> grad_x = grad W, grad_w = grad^T x, grad_bias = sum of grad over tokens (LINEAR-3)."""
    flat = Pair(grad.reshape(math.prod(x.shape[:-1]), w.shape[0]))                         # [N, O]
    grad_w = product(transposed(flat), tokens(x))
    return product(flat, w).reshape(x.shape), grad_w, None if bias is None else flat.value.sum(0)


def _conv2d(grad: Tensor, x: Pair, w: Pair, bias: Pair | None = None, **parameters: Any) -> Gradients:
    """grad [B, O, H', W'] -> the linear layer's gradients, the patches' added back where they were cut (CONV2D-4)."""
    grad_patches, grad_w, grad_bias = _linear(grad.movedim(1, -1), patches(x, **parameters), w, bias)
    assert grad_patches is not None
    return add_back(grad_patches, tuple(x.shape), window_of(**parameters)), grad_w, grad_bias


RULES: dict[str, Callable[..., Gradients]] = {
    "to_dense": _same, "convert": _same, "matmul": _matmul, "linear": _linear, "add": _same, "multiply": _multiply,
    "scale": _scale, "relu": _relu, "gelu": _gelu, "transpose": _transpose, "sum": _sum, "conv2d": _conv2d}
