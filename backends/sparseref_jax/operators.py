"""The operators: what they mean on pairs, computed with XLA, and where their results lie.

Gradients are JAX's own; where its rules would leave the specification (relu at 0, gelu at infinity), a rule stands here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from sparseref import BSR, COO, CSC, CSR, ELL, Dense, Layout, Masked
from sparseref.operators.base import Operator, Result
from sparseref.operators.gelu import TANH_CUBIC, TANH_SLOPE
from sparseref.reference import admits
from sparseref.registry import get_operator, parse_layout

from .arrays import JaxSparse, Operand, Pair, is_traced
from .contraction import by_rows, pays, product, rows_of
from .decoding import wide_pair
from .encoding import encode, encode_and_tell
from .numbers import is_positive
from .patches import patches


def forward(name: str, *operands: Operand, slots: int | None = None, **parameters: Any) -> Array | JaxSparse:
    """The operands of an operator, checked before -> its result, stored as the operator says (OPS-1, OPS-4).

    slots: how many the result gets, inside jit, where they do not follow from the operands.
    """
    operator = get_operator(name)
    result = _meaning(name, operands, tuple(sorted(parameters.items())))
    return _place(result, operator, operands, parameters, slots)


def dense_forward(name: str, *operands: Operand, **parameters: Any) -> Array:
    """The same -> the value of the result alone, [shape]."""
    return _meaning(name, operands, tuple(sorted(parameters.items()))).value


@partial(jax.jit, static_argnames=("name", "parameters"))
def _meaning(name: str, operands: tuple[Operand, ...], parameters: tuple[tuple[str, Any], ...]) -> Pair:
    """-> the result [shape], rounded, and its pattern."""
    dtype = next(operand.dtype for operand in operands if operand is not None)
    if name in ("linear", "conv2d") and isinstance(operands[1], JaxSparse) and not isinstance(operands[0], JaxSparse):
        result = MEANING[name](wide_pair(operands[0]), operands[1], *map(wide_pair, operands[2:]), **dict(parameters))
    else:
        result = MEANING[name](*map(wide_pair, operands), **dict(parameters))
    return Pair(result.value.astype(dtype), result.pattern)


def _place(result: Pair, operator: Operator, operands: tuple[Operand, ...], parameters: dict[str, Any],
           slots: int | None) -> Array | JaxSparse:
    """result [shape] -> in the layout that the operator gives back where none is named (OPS-4)."""
    sparse = [operand for operand in operands if isinstance(operand, JaxSparse)]
    if operator.result is Result.CONVERTED:
        layout: Layout | None = parse_layout(parameters["layout"])
    else:
        dense_partner = any(not isinstance(operand, JaxSparse) for operand in operands[:operator.sparse_operands])
        if not sparse or operator.result is Result.DENSE or (operator.result is Result.UNION and dense_partner):
            return result.value
        layout = sparse[0].layout.transposed() if operator.result is Result.TRANSPOSED else sparse[0].layout
    if is_traced(result):
        return _place_traced(result, layout or COO(), operator, sparse, slots)
    if operator.result is not Result.CONVERTED and (layout is None or not admits(layout, np.asarray(result.stored))):
        layout = COO() if result.shape else Masked()           # the result's pattern does not fit
    return encode(result.value, layout, result.stored, slots)


def _place_traced(result: Pair, layout: Layout, operator: Operator, sparse: list[JaxSparse], slots: int | None) -> JaxSparse:
    """Inside jit the layout cannot be another one than foreseen; a pattern that is certain to fit is not looked at."""
    if slots is None:
        slots = _slots(result, layout, operator, sparse)
        if _fits(layout, operator, sparse):
            return encode_and_tell(result.value, layout, result.stored, slots)[0]
    return encode(result.value, layout, result.stored, slots)


def _slots(result: Pair, layout: Layout, operator: Operator, sparse: list[JaxSparse]) -> int | None:
    """As many slots as a result may need at most; None: not known, or the layout has its own number."""
    size, of_operands = math.prod(result.shape), [a.values.size for a in sparse]
    if isinstance(layout, COO | CSR | CSC):
        most = min(of_operands) if _is_intersection(operator, sparse) else sum(of_operands)
        return min(most, size) if sparse else size
    if isinstance(layout, ELL) and all(isinstance(a.layout, ELL) for a in sparse):
        return min(sum(a.values.shape[1] for a in sparse), result.shape[1]) if sparse else result.shape[1]
    if isinstance(layout, BSR) and len(sparse) == 1 and sparse[0].layout in (layout, layout.transposed()):
        return len(sparse[0].values)
    return None


def _fits(layout: Layout, operator: Operator, sparse: list[JaxSparse]) -> bool:
    """True where the result is sure to have a pattern that the layout holds in as many slots as `_slots` says.

    Surplus slots of coo, csr and csc repeat an entry, so that there has to be one: every slot of theirs is an entry, others
    have padding, and two patterns may have none in common.
    """
    if isinstance(layout, COO | CSR | CSC):
        return all(isinstance(a.layout, COO | CSR | CSC) for a in sparse) and not _is_intersection(operator, sparse)
    if operator.result is Result.CONVERTED:                                                # CONVERT-2: dense stores all
        return isinstance(layout, Dense | Masked) or all(a.layout == layout for a in sparse)
    return len(sparse) == 1 or isinstance(layout, ELL | Masked)                            # the pattern of its operand


def _is_intersection(operator: Operator, sparse: list[JaxSparse]) -> bool:
    """multiply: the only one of two sparse operands whose result lies as the first."""
    return operator.result is Result.LIKE_FIRST and len(sparse) > 1


def on_pattern(value: Array, pattern: Array | None) -> Pair:
    """value [shape] -> Pair with +0 off the pattern."""
    return Pair(value if pattern is None else jnp.where(pattern, value, jnp.zeros((), value.dtype)), pattern)


def intersection(a: Pair, b: Pair) -> Array | None:
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
    value = jnp.where(only_a, a.value, jnp.where(only_b, b.value, a.value + b.value))      # ADD-1: -0 alone stays -0
    return Pair(value, a.stored | b.stored)


def multiply(a: Pair, b: Pair) -> Pair:
    return on_pattern(a.value * b.value, intersection(a, b))                               # MUL-1


def scale(a: Pair, factor: Pair) -> Pair:
    return on_pattern(a.value * factor.value, a.pattern)                                   # SCALE-1


def relu(a: Pair) -> Pair:
    return Pair(_relu(a.value), a.pattern)


@jax.custom_jvp
def _relu(x: Array) -> Array:
    return jnp.where(is_positive(x), x, jnp.zeros((), x.dtype))                            # RELU-1: NaN stays, -0 becomes +0


@_relu.defjvp
def _relu_jvp(primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    return _relu(primals[0]), jnp.where(is_positive(primals[0]), tangents[0], jnp.zeros_like(tangents[0]))     # RELU-2


def gelu(a: Pair, approximate: str = "none") -> Pair:
    return on_pattern(_gelu(a.value, approximate), a.pattern)


@partial(jax.custom_jvp, nondiff_argnums=(1,))
def _gelu(x: Array, approximate: str) -> Array:
    return times(x, gelu_cdf(x, approximate))                                              # GELU-1


@_gelu.defjvp
def _gelu_jvp(approximate: str, primals: tuple[Array], tangents: tuple[Array]) -> tuple[Array, Array]:
    x, cdf = primals[0], gelu_cdf(primals[0], approximate)
    return times(x, cdf), tangents[0] * (cdf + times(x, gelu_density(x, approximate)))     # GELU-3


def gelu_cdf(x: Array, approximate: str) -> Array:
    """x [shape] -> the chance that a standard normal is below x, or its tanh form."""
    if approximate == "none":
        return jax.scipy.special.ndtr(x)
    return 0.5 * (1 + jnp.tanh(TANH_SLOPE * (x + TANH_CUBIC * x**3)))


def gelu_density(x: Array, approximate: str) -> Array:
    """x [shape] -> the slope of `gelu_cdf` at x."""
    if approximate == "none":
        return jnp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    t = jnp.tanh(TANH_SLOPE * (x + TANH_CUBIC * x**3))
    return times(1 + 3 * TANH_CUBIC * x * x, 0.5 * (1 - t * t) * TANH_SLOPE)


def times(x: Array, factor: Array) -> Array:
    """x * factor with 0 for inf * 0, which is the limit where gelu needs it (GELU-1, GELU-3)."""
    return jnp.where(factor == 0, 0, x * factor)


def transpose(a: Pair) -> Pair:
    return a.changed(jnp.transpose)                                                        # TRANSPOSE-1


def reduce_sum(a: Pair, axis: int | None = None) -> Pair:
    return Pair(jnp.sum(a.value, axis=axis, dtype=a.value.dtype))                          # SUM-1


def matmul(a: Pair, b: Pair) -> Pair:
    """a [..., M, K], b [K, N] or a [M, K], b [..., K, N] -> [..., M, N] (MATMUL-1)."""
    if len(b.shape) > 2:                                       # the batch joins the side that is not contracted
        right = jnp.moveaxis(b.value, -2, 0)                                               # [K, ..., N]
        out = product(a, Pair(right.reshape(right.shape[0], math.prod(right.shape[1:]))))
        return Pair(jnp.moveaxis(out.reshape(a.shape[0], *right.shape[1:]), 0, -2))
    return Pair(product(tokens(a), b).reshape(*a.shape[:-1], b.shape[1]))


def tokens(x: Pair) -> Pair:
    """x [..., K] -> [N, K]."""
    return x.changed(lambda array: array.reshape(math.prod(x.shape[:-1]), x.shape[-1]))


def linear(x: Pair, w: Pair | JaxSparse, bias: Pair | None = None) -> Pair:
    """x [..., K], w [O, K], bias [O] or None -> y [..., O] (LINEAR-1)."""
    flat = tokens(x)
    if isinstance(w, JaxSparse) and pays(w) and rows_of(w) is not None:
        out = by_rows(w, flat.value)
    else:
        pair = wide_pair(w) if isinstance(w, JaxSparse) else w
        out = product(flat, pair.changed(jnp.transpose))                                   # [N, O]
    if bias is not None:
        out = out + bias.value
    return Pair(out.reshape(*x.shape[:-1], w.shape[0]))


def conv2d(x: Pair, w: Pair | JaxSparse, bias: Pair | None = None, **window: Any) -> Pair:
    """x [B, C, H, W], w [O, C*kh*kw], bias [O] or None -> [B, O, H', W'] (CONV2D-1)."""
    return Pair(jnp.moveaxis(linear(patches(x, **window), w, bias).value, -1, 1))


MEANING: dict[str, Callable[..., Pair]] = {
    "to_dense": to_dense, "convert": convert, "matmul": matmul, "linear": linear, "add": add, "multiply": multiply,
    "scale": scale, "relu": relu, "gelu": gelu, "transpose": transpose, "sum": reduce_sum, "conv2d": conv2d}
