"""Elementwise operators: in place they keep the slots; out of place they do where zero stays zero."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor

from sparseref.dtypes import DTYPES

from .. import operators
from ..tensors import TorchSparse
from . import opaque
from .dispatch import computed, general, implements, sparse_of
from .operands import check_divisor, dense, in_slots, share_slots
from .sparse_tensor import SparseTensor

aten = torch.ops.aten

ZERO = object()
"""Stands for a sparse operand where it is asked what an operator makes of zeros."""

FILLS = {aten.fill_, aten.zero_, aten.normal_, aten.uniform_, aten.bernoulli_, aten.exponential_, aten.random_,
         aten.log_normal_, aten.cauchy_, aten.geometric_}
"""In-place operators that need no other tensor; in a sparse tensor they fill the slots."""

ANNIHILATING = {aten.threshold_backward, aten.gelu_backward, aten.silu_backward, aten.tanh_backward, aten.sigmoid_backward,
                aten.hardswish_backward, aten.hardtanh_backward, aten.leaky_relu_backward, aten.elu_backward,
                aten.native_dropout_backward, aten.masked_fill}
"""Gradients of elementwise operators: they live in the slots of the sparse operand (GRAD-2), and so are zero elsewhere."""


@general
def in_place(func: Any, args: Any, kwargs: Any) -> Any:
    """self [shape] sparse, others [shape] or broadcast -> self: its values change, its pattern does not."""
    if func.overloadpacket in FILLS or (torch.Tag.pointwise in func.tags and _writes_first(func)):
        a = args[0]
        if not isinstance(a, SparseTensor):
            return NotImplemented
        if func.overloadpacket is aten.div_:
            check_divisor(a, args[1])
        sparse = a.sparse
        func(sparse.values, *(in_slots(a, other) for other in args[1:]), **{k: in_slots(a, v) for k, v in kwargs.items()})
        opaque.written(sparse)
        computed(func, args, kwargs, "slots")
        return a
    return NotImplemented


@implements(aten.masked_fill_, aten.lerp_, aten.addcmul_, aten.addcdiv_)
def in_place_of_several(func: Any, args: Any, kwargs: Any) -> Any:
    """As `in_place`, for operators that torch does not tag as elementwise or that write dense tensors from sparse ones."""
    if isinstance(args[0], SparseTensor):
        a = args[0]
        if func.overloadpacket is aten.addcdiv_:
            check_divisor(a, args[2])
        func(a.sparse.values, *(in_slots(a, other) for other in args[1:]), **kwargs)
        opaque.written(a.sparse)
        computed(func, args, kwargs, "slots")
        return a
    return NotImplemented


@implements(aten.mul.Tensor, aten.mul.Scalar)
def mul(func: Any, args: Any, kwargs: Any) -> Any:
    """a, b [shape] or broadcast -> stored where both are (MUL-1), a number counts as stored everywhere (SCALE-1)."""
    a, b = args if isinstance(args[0], SparseTensor) else args[::-1]
    if isinstance(b, SparseTensor) and not share_slots(a, b):
        return _specified("multiply", a, b, func, args, kwargs)
    return _in_slots_of(a, func, (a, b), args, kwargs)


@implements(aten.div.Tensor, aten.div.Scalar)
def div(func: Any, args: Any, kwargs: Any) -> Any:
    """a [shape] sparse, b [shape] or broadcast -> stored where a is."""
    if not isinstance(args[0], SparseTensor) or (isinstance(args[1], SparseTensor) and not share_slots(*args)):
        return NotImplemented
    return _in_slots_of(args[0], func, args, args, kwargs)


@implements(aten.add.Tensor, aten.sub.Tensor)
def add(func: Any, args: Any, kwargs: Any) -> Any:
    """a, b [shape] -> stored where either is, so dense as soon as one of them is dense (ADD-1)."""
    a, b = args[0], args[1]
    if isinstance(a, SparseTensor) and isinstance(b, SparseTensor) and a.shape == b.shape:
        if share_slots(a, b):
            return _in_slots_of(a, func, args, args, kwargs)
        factor = kwargs.get("alpha", 1) * (-1 if func is aten.sub.Tensor else 1)
        scaled = b if factor == 1 else b * factor
        return _specified("add", a, scaled, func, args, kwargs)
    if not isinstance(a, Tensor) or not isinstance(b, Tensor):
        return NotImplemented
    computed(func, args, kwargs, "decode")
    return func(dense(a), dense(b), **kwargs)


@general
def zero_preserving(func: Any, args: Any, kwargs: Any) -> Any:
    """a, b ... [shape] in the same slots -> f(a, b ...) [shape] in them, for elementwise f with f(0, 0 ...) = 0."""
    if torch.Tag.pointwise not in func.tags or not isinstance(args[0], SparseTensor):
        return NotImplemented
    a = args[0]
    if any(isinstance(other, Tensor | list | tuple) and not (isinstance(other, SparseTensor) and share_slots(a, other))
           for other in args[1:]) or any(isinstance(other, Tensor) for other in kwargs.values()):
        return NotImplemented
    zeros = [ZERO if isinstance(operand, Tensor) else operand for operand in args]
    if not _keeps_zero(func, tuple(zeros), tuple(kwargs.items()), a.dtype):
        return NotImplemented
    return _in_slots_of(a, func, args, args, kwargs)


@general
def gradient(func: Any, args: Any, kwargs: Any) -> Any:
    """grad [shape], operand [shape], one of them sparse -> the gradient in its slots."""
    if func.overloadpacket not in ANNIHILATING:
        return NotImplemented
    sparse = sparse_of(args)
    return _in_slots_of(sparse, func, args, args, kwargs)


def _in_slots_of(a: SparseTensor, func: Any, operands: Any, args: Any, kwargs: Any) -> SparseTensor:
    """Combine the operands slot by slot: [shape] each -> [shape] with a's slots."""
    values = func(*(in_slots(a, operand) for operand in operands), **kwargs)
    computed(func, args, kwargs, "slots")
    return a.with_values(opaque.cleared(values, a.sparse))


def _specified(name: str, a: SparseTensor, b: SparseTensor, func: Any, args: Any, kwargs: Any) -> Any:
    """Two sparse tensors whose slots differ -> as the specification's operator has it, on the stored matrices."""
    if a.matrix != b.matrix or a.turned != b.turned or opaque.tracing(a.sparse.values):
        return NotImplemented
    result = operators.forward(name, a.sparse, b.sparse)
    computed(func, args, kwargs, f"pairs ({name})")
    return SparseTensor(result, a.shape, a.turned) if isinstance(result, TorchSparse) else a.shaped(result)


@cache
def _keeps_zero(func: Any, operands: tuple[Any, ...], named: tuple[Any, ...], dtype: torch.dtype) -> bool:
    zero = torch.zeros(1, dtype=dtype)
    try:
        image = func(*(zero if operand is ZERO else operand for operand in operands), **dict(named))
    except (RuntimeError, TypeError, NotImplementedError):     # what is wrong with the call is said by the call itself
        return False
    return isinstance(image, Tensor) and str(image.dtype).removeprefix("torch.") in DTYPES and bool(image == 0)


def _writes_first(func: Any) -> bool:
    first = func._schema.arguments[0]
    return first.alias_info is not None and first.alias_info.is_write
