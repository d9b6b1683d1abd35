"""Bugs in the gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...array import SparseArray
from ..wire import Call
from .mutant import Run, mutant, on_values, with_arrays, with_operand


def changed(results: tuple[Any, ...], at: int, result: Any) -> tuple[Any, ...]:
    """Results with another one at a place."""
    return (*results[:at], result, *results[at + 1:])


@mutant("GRAD-2", "linear.gradient", "relu.gradient", "multiply.gradient")
def padding_receives_gradient(run: Run, call: Call) -> Any:
    """The gradient is written into padding slots too."""
    found = run(call)
    return tuple(_filled(g) if isinstance(g, SparseArray) else g for g in found)


def _filled(g: SparseArray) -> SparseArray:
    return g.with_values(np.where(g.layout.positions(g) < 0, np.ones((), g.dtype), g.values))


@mutant("LINEAR-3", "linear.gradient")
def bias_gradient_averaged(run: Run, call: Call) -> Any:
    """The bias gets the mean over tokens, not the sum."""
    found = run(call)
    if found[2] is None:
        return found
    tokens = max(int(np.prod(call.operands[0].shape[:-1])), 1)
    return changed(found, 2, (found[2] / tokens).astype(found[2].dtype))


@mutant("LINEAR-3", "linear.gradient", "conv2d.gradient")
def bias_gradient_missing(run: Run, call: Call) -> Any:
    """The bias gets no gradient."""
    found = run(call)
    return changed(found, 2, None)


@mutant("LINEAR-3", "linear.gradient", "conv2d.gradient")
def weight_gradient_of_first_token(run: Run, call: Call) -> Any:
    """The weight's gradient is not summed over the batch."""
    if len(call.operands[0]) < 2 or call.operands[0].ndim < 2:
        return run(call)
    first = call.operands[0].copy()
    first[1:] = 0
    return changed(run(call), 1, run(with_operand(call, 0, first))[1])


@mutant("ADD-3", "linear.gradient", "matmul.gradient", "add.gradient", "scale.gradient")
def gradients_doubled(run: Run, call: Call) -> Any:
    """Every gradient is accumulated twice."""
    found = run(call)
    return on_values(found, lambda g: (g + g).astype(g.dtype))


@mutant("RELU-2", "relu.gradient")
def relu_gradient_at_zero(run: Run, call: Call) -> Any:
    """At x = 0 the gradient passes."""
    found = run(call)
    grad, a = call.operands
    zero = np.append(np.broadcast_to(grad, a.shape).reshape(-1), np.zeros((), grad.dtype))[a.layout.positions(a)]
    return (found[0].with_values(np.where(a.values == 0, zero, found[0].values)),)


@mutant("RELU-2", "relu.gradient")
def relu_gradient_of_nan_is_zero(run: Run, call: Call) -> Any:
    """At x = NaN the gradient is 0."""
    found = run(call)
    return (found[0].with_values(np.where(np.isnan(call.operands[1].values), np.zeros((), found[0].dtype), found[0].values)),)


@mutant("GELU-3", "gelu.gradient")
def gelu_gradient_without_density(run: Run, call: Call) -> Any:
    """The derivative of x * Phi(x) is taken for Phi(x)."""
    found = run(call)
    grad, a = call.operands
    flat = np.append(grad.reshape(-1).astype(np.float64), 0)[a.layout.positions(a)]
    x = a.values.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return (found[0].with_values((flat * 0.5 * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x**3)))).astype(a.dtype)),)


@mutant("MUL-3", "multiply.gradient")
def multiply_gradients_exchanged(run: Run, call: Call) -> Any:
    """The gradient of a is grad * a instead of grad * b."""
    found = run(call)
    grad, a, b = call.operands
    swapped = run(Call(call.operation, (grad, b, a)))
    if isinstance(found[0], SparseArray) and isinstance(found[1], SparseArray):
        flat = np.zeros(int(np.prod(a.shape)) + 1, a.dtype)
        wrong = swapped[0]
        flat[wrong.layout.positions(wrong)] = wrong.values
        flat[-1] = 0
        return changed(found, 0, found[0].with_values(flat[found[0].layout.positions(found[0])]))
    return found


@mutant("SCALE-3", "scale.gradient")
def factor_gradient_is_mean(run: Run, call: Call) -> Any:
    """The factor gets the mean of grad * a."""
    found = run(call)
    return changed(found, 1, (found[1] / max(call.operands[1].nnz, 1)).astype(found[1].dtype))


@mutant("SUM-3", "sum.gradient")
def sum_gradient_divided(run: Run, call: Call) -> Any:
    """The gradient of a sum is shared out, as a mean's is."""
    found = run(call)
    if call.operands[1].shape[-1] == 0:
        return found
    return on_values(found, lambda g: (g / call.operands[1].shape[-1]).astype(g.dtype))


@mutant("TRANSPOSE-3", "transpose.gradient")
def transpose_gradient_not_turned(run: Run, call: Call) -> Any:
    """The gradient of a square transpose is not transposed back."""
    if call.operands[0].shape[0] == call.operands[0].shape[1]:
        return run(with_operand(call, 0, np.ascontiguousarray(call.operands[0].T)))
    return run(call)


@mutant("TODENSE-2", "to_dense.gradient", "convert.gradient")
def stored_zeros_get_no_gradient(run: Run, call: Call) -> Any:
    """The pattern is taken from the values: a stored zero receives nothing."""
    found = run(call)
    zero = np.zeros((), found[0].dtype)
    return (found[0].with_values(np.where(call.operands[1].values == 0, zero, found[0].values)),)


@mutant("GRAD-1", "linear.gradient", "matmul.gradient", "to_dense.gradient")
def gradient_made_canonical(run: Run, call: Call) -> Any:
    """The gradient comes back sorted, not in the operand's own slots."""
    found = run(call)

    def sorted_slots(g: Any) -> Any:
        if isinstance(g, SparseArray) and g.layout.name == "coo":
            order = np.lexsort(g["coords"][::-1])
            return with_arrays(g, coords=g["coords"][:, order], values=g.values[order])
        return g
    return tuple(map(sorted_slots, found))


@mutant("CONV2D-4", "conv2d.gradient")
def overlapping_patches_overwrite(run: Run, call: Call) -> Any:
    """Where patches overlap, the last one's gradient wins."""
    found = run(call)
    if found[0].size == 0:
        return found
    grad = call.operands[0].copy()
    grad[..., ::2] = 0                                         # what a later patch overwrites
    return changed(found, 0, run(with_operand(call, 0, grad))[0])


@mutant("MATMUL-3", "matmul.gradient")
def batch_gradient_not_summed(run: Run, call: Call) -> Any:
    """The matrix that a batch shares gets the gradient of the first alone."""
    if call.operands[0].ndim != 3 or len(call.operands[0]) < 2:
        return run(call)
    first = call.operands[0].copy()
    first[1:] = 0
    found, of_first = run(call), run(with_operand(call, 0, first))
    shared = 0 if isinstance(call.operands[1], SparseArray) else 1
    return changed(found, shared, of_first[shared])


@mutant("CONVERT-3", "convert.gradient")
def convert_cuts_the_graph(run: Run, call: Call) -> Any:
    """convert detaches: its operand gets a gradient of zeros."""
    return on_values(run(call), np.zeros_like)
