"""The operators: what they mean on pairs, computed with torch, and where their results lie."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sparseref import COO, SpecError
from sparseref.layouts.base import Layout
from sparseref.operators.base import Operator, Result
from sparseref.operators.gelu import TANH_CUBIC, TANH_SLOPE
from sparseref.registry import get_operator, parse_layout

from .contraction import product, transposed
from .decoding import wide_pair
from .encoding import encode
from .patches import patches
from .tensors import Operand, Pair, TorchSparse


def forward(name: str, *operands: Operand, **parameters: Any) -> Tensor | TorchSparse:
    """The operands of an operator, checked before -> its result, stored as the operator says (OPS-1, OPS-4)."""
    result = MEANING[name](*map(wide_pair, operands), **parameters)
    dtype = next(operand.dtype for operand in operands if operand is not None)
    return _place(Pair(result.value.to(dtype), result.pattern), get_operator(name), operands, parameters)


def _place(result: Pair, operator: Operator, operands: tuple[Operand, ...], parameters: dict[str, Any]) -> Tensor | TorchSparse:
    """result [shape], rounded -> in the layout that the operator gives back where none is named (OPS-4)."""
    first = next((operand for operand in operands if isinstance(operand, TorchSparse)), None)
    if operator.result is Result.CONVERTED:
        return encode(result.value, parse_layout(parameters["layout"]), result.stored)     # CONVERT-1
    dense_partner = any(isinstance(operand, Tensor) for operand in operands[:operator.sparse_operands])
    if first is None or operator.result is Result.DENSE or (operator.result is Result.UNION and dense_partner):
        return result.value
    layout: Layout | None = first.layout.transposed() if operator.result is Result.TRANSPOSED else first.layout
    if layout is not None:
        try:
            return encode(result.value, layout, result.stored)
        except SpecError:                                      # the layout cannot hold the result's pattern
            pass
    return encode(result.value, COO(), result.stored)


def on_pattern(value: Tensor, pattern: Tensor | None) -> Pair:
    """value [shape] -> Pair with +0 off the pattern."""
    return Pair(value if pattern is None else torch.where(pattern, value, 0), pattern)


def intersection(a: Pair, b: Pair) -> Tensor | None:
    """Where both are stored; None: everywhere."""
    if a.pattern is None or b.pattern is None:
        return b.pattern if a.pattern is None else a.pattern
    return a.pattern & b.pattern


def to_dense(a: Pair) -> Pair:
    return a                                                                               # TODENSE-1


def convert(a: Pair, layout: Any) -> Pair:
    return Pair(a.value) if parse_layout(layout).name == "dense" else a                    # CONVERT-1, CONVERT-2


def add(a: Pair, b: Pair) -> Pair:
    """a, b [shape] -> [shape], stored where either is (ADD-1)."""
    only_a, only_b = a.stored & ~b.stored, b.stored & ~a.stored
    value = torch.where(only_a, a.value, torch.where(only_b, b.value, a.value + b.value))  # ADD-1: -0 alone stays -0
    return Pair(value, a.stored | b.stored)


def multiply(a: Pair, b: Pair) -> Pair:
    return on_pattern(a.value * b.value, intersection(a, b))                               # MUL-1


def scale(a: Pair, factor: Pair) -> Pair:
    return on_pattern(a.value * factor.value, a.pattern)                                   # SCALE-1


def relu(a: Pair) -> Pair:
    return Pair(torch.where(a.value <= 0, 0, a.value), a.pattern)                          # RELU-1: NaN stays, -0 becomes +0


def gelu(a: Pair, approximate: str = "none") -> Pair:
    return on_pattern(times(a.value, gelu_cdf(a.value, approximate)), a.pattern)           # GELU-1


def gelu_cdf(x: Tensor, approximate: str) -> Tensor:
    """x [shape] -> the chance that a standard normal is below x, or its tanh form."""
    if approximate == "none":
        return torch.special.ndtr(x)
    return 0.5 * (1 + torch.tanh(TANH_SLOPE * (x + TANH_CUBIC * x**3)))


def gelu_density(x: Tensor, approximate: str) -> Tensor:
    """x [shape] -> the slope of `gelu_cdf` at x."""
    if approximate == "none":
        return torch.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    t = torch.tanh(TANH_SLOPE * (x + TANH_CUBIC * x**3))
    return times(1 + 3 * TANH_CUBIC * x * x, 0.5 * (1 - t * t) * TANH_SLOPE)


def times(x: Tensor, factor: Tensor) -> Tensor:
    """x * factor with 0 for inf * 0, which is the limit where gelu needs it (GELU-1, GELU-3)."""
    return torch.where(factor == 0, 0, x * factor)


def transpose(a: Pair) -> Pair:
    return transposed(a)                                                                   # TRANSPOSE-1


def reduce_sum(a: Pair, axis: int | None = None) -> Pair:
    return Pair(a.value.sum() if axis is None else a.value.sum(int(axis)))                 # SUM-1


def matmul(a: Pair, b: Pair) -> Pair:
    """a [..., M, K], b [K, N] or a [M, K], b [..., K, N] -> [..., M, N] (MATMUL-1)."""
    left, right = as_matrices(a, b)
    out = product(left, right)
    if len(b.shape) > 2:
        return Pair(out.reshape(a.shape[0], *b.shape[:-2], b.shape[-1]).movedim(0, -2))
    return Pair(out.reshape(*a.shape[:-1], b.shape[1]))


def as_matrices(a: Pair, b: Pair) -> tuple[Pair, Pair]:
    """Operands of matmul, at most one with a batch -> [M', K], [K, N']: the batch joins the side that is not contracted."""
    K = a.shape[-1]
    if len(b.shape) > 2:
        return a, b.movedim(-2, 0).reshape(K, math.prod(b.shape[:-2]) * b.shape[-1])
    return tokens(a), b


def tokens(x: Pair) -> Pair:
    """x [..., K] -> [N, K]."""
    return x.reshape(math.prod(x.shape[:-1]), x.shape[-1])


def linear(x: Pair, w: Pair, bias: Pair | None = None) -> Pair:
    """x [..., K], w [O, K], bias [O] or None -> y [..., O] (LINEAR-1)."""
    out = product(tokens(x), transposed(w))                                                # [N, O]
    if bias is not None:
        out = out + bias.value
    return Pair(out.reshape(*x.shape[:-1], w.shape[0]))


def conv2d(x: Pair, w: Pair, bias: Pair | None = None, **window: Any) -> Pair:
    """x [B, C, H, W], w [O, C*kh*kw], bias [O] or None -> [B, O, H', W'] (CONV2D-1)."""
    return linear(patches(x, **window), w, bias).movedim(-1, 1)


MEANING: dict[str, Callable[..., Pair]] = {
    "to_dense": to_dense, "convert": convert, "matmul": matmul, "linear": linear, "add": add, "multiply": multiply,
    "scale": scale, "relu": relu, "gelu": gelu, "transpose": transpose, "sum": reduce_sum, "conv2d": conv2d}
