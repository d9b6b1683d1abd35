"""Bugs in the operators."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...array import SparseArray
from ...coding import decode, encode
from ...layouts import COO
from ...operators.conv2d import both
from ..wire import Call
from .mutant import Run, each_array, layout_of, mutant, on_values, with_arrays, with_operand


@mutant("LINEAR-1", "linear")
def bias_added_twice(run: Run, call: Call) -> Any:
    """The bias is added by the kernel and once more behind it."""
    y = run(call)
    return y if call.operands[2] is None else (y + call.operands[2]).astype(y.dtype)


@mutant("LINEAR-1", "linear")
def bias_forgotten(run: Run, call: Call) -> Any:
    """The bias is not added."""
    return run(with_operand(call, 2, None))


@mutant("LINEAR-1", "linear")
def bias_along_tokens(run: Run, call: Call) -> Any:
    """The bias is spread over tokens instead of outputs."""
    bias = call.operands[2]
    y = run(with_operand(call, 2, None))
    if bias is None:
        return y
    return (y + np.resize(bias, y.shape[:-1])[..., None]).astype(y.dtype) if bias.size else y


@mutant("BOUND-1", "linear", "conv2d")
def rounded_before_bias(run: Run, call: Call) -> Any:
    """The sum is rounded to bfloat16 before the bias is added."""
    import ml_dtypes
    bias = call.operands[2]
    if bias is None or bias.dtype != np.float32:
        return run(call)
    y = run(with_operand(call, 2, None))
    spread = bias if call.operation == "linear" else bias[:, None, None]
    return (y.astype(ml_dtypes.bfloat16).astype(np.float32) + spread).astype(np.float32)


@mutant("LINEAR-1", "linear", "matmul")
def last_term_dropped(run: Run, call: Call) -> Any:
    """The loop over the contracted axis breaks one early."""
    a = call.operands[0]
    if isinstance(a, np.ndarray) and a.shape[-1]:
        short = a.copy()
        short[..., -1] = 0
        return run(with_operand(call, 0, short))
    return run(call)


@mutant("BOUND-1", "linear", "matmul", "sum")
def float16_accumulator(run: Run, call: Call) -> Any:
    """Sums are kept in float16."""
    def halved(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float16).astype(values.dtype) if values.dtype == np.float32 else values
    return on_values(run(each_array(call, halved)), halved)


@mutant("BOUND-1", "linear", "matmul")
def float32_for_float64(run: Run, call: Call) -> Any:
    """float64 is computed in float32."""
    def single(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32).astype(values.dtype) if values.dtype == np.float64 else values
    return run(each_array(call, single))


@mutant("CORE-P2", "linear", "matmul", "multiply", "conv2d")
def structural_zeros_multiplied(run: Run, call: Call) -> Any:
    """The sparse operand is densified without a word, so a structural zero times NaN is NaN."""
    if call.operation == "multiply":
        a, b = (decode(x) if isinstance(x, SparseArray) else x for x in call.operands)
        result = run(call)
        with np.errstate(invalid="ignore", over="ignore"):
            return result if isinstance(result, np.ndarray) else encode(a * b, result.layout, result.pattern | np.isnan(a * b))
    return run(replace(call, operands=tuple(decode(x) if isinstance(x, SparseArray) else x for x in call.operands)))


@mutant("CORE-P3", "linear", "matmul")
def stored_zeros_skipped(run: Run, call: Call) -> Any:
    """`if value == 0: continue`, so a stored zero hides a NaN."""
    def pruned(a: Any) -> Any:
        if not isinstance(a, SparseArray):
            return a
        dense = decode(a)
        return encode(dense, COO(), a.pattern & (dense != 0))
    return run(replace(call, operands=tuple(map(pruned, call.operands))))


@mutant("BOUND-4", "linear", "matmul", "add", "scale")
def nan_swallowed(run: Run, call: Call) -> Any:
    """NaN in an operand is taken for 0."""
    def clean(values: np.ndarray) -> np.ndarray:
        return np.where(np.isnan(values), np.zeros((), values.dtype), values) if values.dtype.kind not in "iu" else values
    return run(each_array(call, clean))


@mutant("MATMUL-1", "matmul")
def rows_without_entries_uninitialised(run: Run, call: Call) -> Any:
    """A row of which nothing is stored is never written."""
    a, y = call.operands[0], run(call)
    if isinstance(a, SparseArray) and y.dtype.kind != "i":
        y[..., ~a.pattern.any(axis=1), :] = 3.0
    return y


@mutant("CORE-P5", "linear", "matmul", "conv2d", "sum", "multiply")
def padding_read(run: Run, call: Call) -> Any:
    """Padding slots take part, at the first entry."""
    read = any(np.isnan(x.values[x.layout.positions(x) < 0].astype(np.float64)).any()
               for x in call.operands if isinstance(x, SparseArray))
    return on_values(run(call), lambda values: (values * np.nan).astype(values.dtype) if read else values)


@mutant("LINEAR-1", "linear")
def square_weight_not_transposed(run: Run, call: Call) -> Any:
    """x W instead of x W^T where the weight is square."""
    w = call.operands[1]
    if w.shape[0] != w.shape[1] or isinstance(w, np.ndarray):
        return run(call)
    turned = encode(np.ascontiguousarray(decode(w).T), COO(), np.ascontiguousarray(w.pattern.T))
    return run(with_operand(call, 1, turned))


@mutant("LINEAR-1", "linear")
def one_token_loses_its_axis(run: Run, call: Call) -> Any:
    """A single token comes back as a batch of one."""
    y = run(call)
    return y[None] if y.ndim == 1 else y


@mutant("MATMUL-1", "matmul")
def only_first_of_batch(run: Run, call: Call) -> Any:
    """Every matrix of a batch is multiplied as the first."""
    y = run(call)
    return np.broadcast_to(y[:1], y.shape).copy() if y.ndim == 3 and len(y) else y


@mutant("MATMUL-1", "matmul")
def product_of_transposes(run: Run, call: Call) -> Any:
    """A square product comes out transposed."""
    y = run(call)
    return np.ascontiguousarray(y.T) if y.ndim == 2 and y.shape[0] == y.shape[1] else y


@mutant("BOUND-4", "matmul", "scale")
def saturates_instead_of_inf(run: Run, call: Call) -> Any:
    """What is too large becomes the largest finite number."""
    def saturated(values: np.ndarray) -> np.ndarray:
        if values.dtype.name not in ("float16", "float32", "float64"):
            return values
        most = np.finfo(values.dtype).max
        return np.where(np.isinf(values), np.sign(values) * most, values)
    return on_values(run(call), saturated)


@mutant("OPS-1", "linear", "gelu", "sum", "scale")
def result_in_float32(run: Run, call: Call) -> Any:
    """Half precision goes in, float32 comes out."""
    return on_values(run(call), lambda v: v.astype(np.float32) if v.dtype.name in ("float16", "bfloat16") else v)


@mutant("OPS-4", "relu", "scale", "gelu")
def result_always_coo(run: Run, call: Call) -> Any:
    """The result is coo whatever layout came in."""
    result = run(call)
    return encode(decode(result), COO(), result.pattern) if isinstance(result, SparseArray) else result


@mutant("RELU-1", "relu", "scale")
def zeros_pruned(run: Run, call: Call) -> Any:
    """Entries that became zero are no longer stored."""
    result = run(call)
    if not isinstance(result, SparseArray) or not result.layout.any_pattern:
        return result
    dense = decode(result)
    return encode(dense, result.layout, result.pattern & (dense != 0))


@mutant("RELU-1", "relu")
def relu_keeps_minus_zero(run: Run, call: Call) -> Any:
    """max(x, -0) is -0."""
    a = call.operands[0]
    result = run(call)
    if result.dtype.kind == "i":
        return result
    minus = encode(decode(a), result.layout, result.pattern).values
    return result.with_values(np.where((minus == 0) & np.signbit(minus), minus, result.values))


@mutant("RELU-1", "relu")
def relu_drops_nan(run: Run, call: Call) -> Any:
    """NaN compares false and becomes 0."""
    return on_values(run(call), lambda v: np.where(np.isnan(v), np.zeros((), v.dtype), v) if v.dtype.kind != "i" else v)


@mutant("GELU-1", "gelu")
def gelu_always_tanh(run: Run, call: Call) -> Any:
    """The tanh form is used where the exact one is asked for."""
    return run(replace(call, parameters={"approximate": "tanh"}))


@mutant("GELU-1", "gelu")
def gelu_by_sigmoid(run: Run, call: Call) -> Any:
    """x * sigmoid(1.702 x), another approximation."""
    a, result = call.operands[0], run(call)
    if not isinstance(result, SparseArray):
        return result
    x = encode(decode(a), result.layout, result.pattern).values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        return result.with_values((x / (1 + np.exp(-1.702 * x))).astype(a.dtype))


@mutant("GELU-1", "gelu")
def gelu_of_minus_inf_is_nan(run: Run, call: Call) -> Any:
    """-inf * 0 is NaN."""
    result = run(call)
    if not isinstance(result, SparseArray):
        return result
    x = encode(decode(call.operands[0]), result.layout, result.pattern).values.astype(np.float64)
    return result.with_values(np.where(np.isneginf(x), np.nan, result.values).astype(result.dtype))


@mutant("ADD-1", "add")
def add_intersects(run: Run, call: Call) -> Any:
    """The sum is stored where both operands are, not where either is."""
    a, b = call.operands
    result = run(call)
    if isinstance(b, np.ndarray) or not result.layout.any_pattern:
        return result
    return encode(decode(result), result.layout, a.pattern & b.pattern)


@mutant("MUL-1", "multiply")
def multiply_unites(run: Run, call: Call) -> Any:
    """The product is stored where either operand is."""
    a, b = call.operands
    result = run(call)
    if isinstance(b, np.ndarray) or isinstance(result, np.ndarray) or not result.layout.any_pattern:
        return result
    return encode(decode(result), result.layout, a.pattern | b.pattern)


@mutant("OPS-1", "add", "multiply", "scale")
def integers_saturate(run: Run, call: Call) -> Any:
    """int8 stops at 127 instead of wrapping round."""
    def clipped(operand: Any) -> Any:
        dense = decode(operand) if isinstance(operand, SparseArray) else operand
        return dense.astype(np.int64)
    result = run(call)
    if result.dtype != np.int8:
        return result
    a, b = map(clipped, call.operands)
    exact = a + b if call.operation == "add" else a * b
    limited = np.clip(exact, -128, 127).astype(np.int8)
    if isinstance(result, np.ndarray):
        return limited
    return encode(np.where(result.pattern, limited, 0).astype(np.int8), result.layout, result.pattern)


@mutant("SUM-1", "sum")
def negative_axis_is_first(run: Run, call: Call) -> Any:
    """axis = -1 is clamped to 0."""
    return run(replace(call, parameters={"axis": 0 if call.parameters["axis"] == -1 else call.parameters["axis"]}))


@mutant("SUM-1", "sum")
def sum_keeps_axis(run: Run, call: Call) -> Any:
    """The summed axis stays, with length 1."""
    axis = call.parameters["axis"]
    return run(call) if axis is None else np.expand_dims(run(call), axis)


@mutant("TRANSPOSE-1", "transpose")
def only_shape_transposed(run: Run, call: Call) -> Any:
    """The shape is turned, the fields stay as they are."""
    a, result = call.operands[0], run(call)
    if layout_of(a) in ("csr", "csc") and a.shape[0] == a.shape[1]:
        return replace(a.with_values(a.values.copy()), shape=a.shape[::-1])
    if layout_of(a) == "coo":
        return with_arrays(result, coords=result["coords"][::-1])
    return result


@mutant("CORE-M1", "transpose", "to_dense")
def view_given_back(run: Run, call: Call) -> Any:
    """The result is a view of the operand."""
    a, result = call.operands[0], run(call)
    if layout_of(a) == "dense":
        return result.with_values(a.values.T) if call.operation == "transpose" else a.values
    return result


@mutant("CONV2D-1", "conv2d")
def kernel_flipped(run: Run, call: Call) -> Any:
    """The kernel is turned round, as in a mathematical convolution."""
    w = call.operands[1]
    kh, kw = both("", "kernel", call.parameters["kernel"], 1)
    def flip(array: np.ndarray) -> np.ndarray:
        cut = array.reshape(array.shape[0], array.shape[1] // (kh * kw), kh, kw)
        return np.ascontiguousarray(cut[:, :, ::-1, ::-1]).reshape(array.shape)
    return run(with_operand(call, 1, encode(flip(decode(w)), COO(), flip(w.pattern))))


def _with_window(run: Run, call: Call, **window: Any) -> Any:
    """The convolution with another window; where the result's shape would differ, it is cut or filled to the right one."""
    wanted = run(call)
    got = run(replace(call, parameters={**call.parameters, **window}))
    result = np.zeros_like(wanted)
    here = tuple(slice(0, min(a, b)) for a, b in zip(got.shape, wanted.shape, strict=True))
    result[here] = got[here]
    return result


@mutant("CONV2D-1", "conv2d")
def stride_ignored(run: Run, call: Call) -> Any:
    """The window moves by one, and the result is cut to size."""
    return _with_window(run, call, stride=1)


@mutant("CONV2D-1", "conv2d")
def padding_on_one_side_only(run: Run, call: Call) -> Any:
    """Rows and columns of padding are exchanged."""
    ph, pw = both("", "padding", call.parameters["padding"], 0)
    return _with_window(run, call, padding=(pw, ph))


@mutant("CONV2D-1", "conv2d")
def dilation_ignored(run: Run, call: Call) -> Any:
    """The kernel is applied without its gaps."""
    return _with_window(run, call, dilation=1)


@mutant("CONV2D-1", "conv2d")
def channels_last(run: Run, call: Call) -> Any:
    """The patch is laid out kernel first, channel last."""
    w = call.operands[1]
    kh, kw = both("", "kernel", call.parameters["kernel"], 1)
    def turn(array: np.ndarray) -> np.ndarray:
        cut = array.reshape(array.shape[0], kh * kw, array.shape[1] // (kh * kw))
        return np.ascontiguousarray(cut.transpose(0, 2, 1)).reshape(array.shape)
    return run(with_operand(call, 1, encode(turn(decode(w)), COO(), turn(w.pattern))))


@mutant("CONV2D-1", "conv2d")
def conv_bias_forgotten(run: Run, call: Call) -> Any:
    """The convolution's bias is not added."""
    return run(with_operand(call, 2, None))


@mutant("SCALE-1", "scale")
def factor_applied_twice(run: Run, call: Call) -> Any:
    """The factor is multiplied in twice."""
    once = run(call)
    return run(with_operand(call, 0, once)) if isinstance(once, SparseArray) else once


@mutant("OPS-2", "linear")
def one_layout_counts_from_the_end(run: Run, call: Call) -> Any:
    """With a coo weight the outputs come in reverse."""
    y = run(call)
    return np.flip(y, -1).copy() if layout_of(call.operands[1]) == "coo" else y
