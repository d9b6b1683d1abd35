"""The matmul family: every call becomes the one contraction of kernels.py."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from .. import operators
from . import kernels, opaque, trace
from .dispatch import computed, implements, name_of
from .operands import dense, layouts_of
from .sparse_tensor import DISPATCH, SparseTensor

aten = torch.ops.aten


@implements(aten.mm.default)
def mm(func: Any, args: Any, kwargs: Any) -> Any:
    """a [M, K], b [K, N] -> [M, N] (MATMUL-1)."""
    return _product(func, *args)


@implements(aten.addmm.default)
def addmm(func: Any, args: Any, kwargs: Any) -> Any:
    """c, a [M, K], b [K, N] -> beta c + alpha a b [M, N]."""
    c, a, b = args
    alpha, beta = kwargs.get("alpha", 1), kwargs.get("beta", 1)
    if alpha == beta == 1:
        return _product(func, a, b, dense(c))
    product = _product(func, a, b)
    if product is NotImplemented:
        return NotImplemented
    product = product if alpha == 1 else product * alpha
    return product if beta == 0 else product.add_(dense(c), alpha=beta)


@implements(aten.bmm.default)
def bmm(func: Any, args: Any, kwargs: Any) -> Any:
    """a [1, M, K], b [1, K, N] -> [1, M, N]: what einsum makes of two matrices."""
    if any(operand.shape[0] != 1 for operand in args):
        return NotImplemented
    a, b = (SparseTensor(operand.sparse, operand.shape[1:], operand.turned) if isinstance(operand, SparseTensor) else operand[0]
            for operand in args)
    product = _product(func, a, b)
    return product if product is NotImplemented else product[None]


@implements(aten.mv.default)
def mv(func: Any, args: Any, kwargs: Any) -> Any:
    """a [M, K], x [K] -> [M]."""
    a, x = args
    product = _product(func, a, dense(x)[:, None]) if isinstance(a, SparseTensor) else NotImplemented
    return product if product is NotImplemented else product[:, 0]


@implements(aten.linear.default)
def linear(func: Any, args: Any, kwargs: Any) -> Any:
    """x [..., K], w [O, K], bias [O] or None -> [..., O] (LINEAR-1); arrives whole in inference mode."""
    x, w, bias = (*args, None)[:3]
    if w.dim() != 2:
        return NotImplemented
    product = _product(func, x.reshape(-1, x.shape[-1]), w.t(), dense(bias))
    return product if product is NotImplemented else product.reshape(*x.shape[:-1], w.shape[0])


def linear_at_once(x: Tensor, w: SparseTensor, bias: Tensor | None = None) -> Tensor:
    """As `linear`, called before torch's dispatcher where no gradient is wanted."""
    if w.dim() == 2 and _is_matrix(w) and x.dim() and x.shape[-1] == w.shape[1] and x.dtype == w.dtype and _adds(bias, w):
        func = aten.mm.default if bias is None else aten.addmm.default                     # what it is called with gradients
        product = contraction(func, w, x.reshape(-1, x.shape[-1]), w.turned, bias)
        return product.contiguous().reshape(*x.shape[:-1], w.shape[0])
    return functional.linear(x, w, bias)                       # the long way says what is wrong


def _adds(bias: Tensor | None, w: SparseTensor) -> bool:
    return bias is None or (bias.dim() == 1 and len(bias) == w.shape[0] and bias.dtype == w.dtype)


DISPATCH.append(linear_at_once)


def _product(func: Any, a: Any, b: Any, plus: Tensor | None = None) -> Any:
    """a [M, K], b [K, N], one of them sparse at least, plus (fits [M, N]) or None -> plus + a b, dense [M, N]."""
    if not all(_is_matrix(operand) for operand in (a, b)):
        return NotImplemented
    if a.shape[1] != b.shape[0]:                               # a kernel that looks entries up would not notice
        one, two = ("x".join(map(str, operand.shape)) for operand in (a, b))
        raise RuntimeError(f"mat1 and mat2 shapes cannot be multiplied ({one} and {two})")
    if a.dtype != b.dtype:
        raise RuntimeError(f"expected m1 and m2 to have the same dtype, but got: {a.dtype} != {b.dtype}")
    if isinstance(a, SparseTensor) and isinstance(b, SparseTensor):
        return _both(func, a, b) if plus is None else _both(func, a, b).add_(plus)
    if isinstance(b, SparseTensor):                            # a b = a (b.T).T: b.T lies as it is stored where b is turned
        return contraction(func, b, a, not b.turned, plus).contiguous()
    plus = None if plus is None else plus.expand(a.shape[0], b.shape[1]).T
    return contraction(func, a, b.T, a.turned, plus).T.contiguous()    # a b = ((b.T) a.T).T


def _is_matrix(operand: Any) -> bool:
    """True for dense matrices and for sparse ones whose shape is that of the stored matrix."""
    if not isinstance(operand, SparseTensor):
        return operand.dim() == 2
    return tuple(operand.shape) == (operand.matrix[::-1] if operand.turned else operand.matrix) and len(operand.matrix) == 2


def contraction(func: Any, a: SparseTensor, x: Tensor, turned: bool, plus: Tensor | None = None) -> Tensor:
    """x [T, C], stored a [R, C] -> [T, R]; turned: x [T, R] -> [T, C]; the result may lie in memory as its transpose.

    plus: what is added to the result, [T, R] or [R], before it is rounded.
    """
    sparse = a.sparse
    if trace.is_recording() and not opaque.tracing(x):
        kernel, reason = kernels.choose(sparse, x, turned)
        kind, cost = ("dense", a.bits + a.numel() * 8 * x.element_size()) if kernel.name == "decoded" else ("exact", 0)
        trace.note(name_of(func), layouts_of((x, a)), kind, kernel.name, kernel.backend, reason, cost)
    return opaque.contract(sparse, x, turned, plus)


def _both(func: Any, a: SparseTensor, b: SparseTensor) -> Any:
    """Two sparse matrices: only pairs of stored entries take part (CORE-P2, CORE-P3)."""
    if opaque.tracing(a.sparse.values):
        return dense(a) @ dense(b)
    left, right = (operators.wide_pair(operand.sparse) for operand in (a, b))
    left, right = (operators.transpose(pair) if operand.turned else pair for pair, operand in ((left, a), (right, b)))
    computed(func, (a, b), {}, "pairs (matmul)")
    return operators.matmul(left, right).value.to(a.dtype)
