"""What a graph runs in place of a convolution and what follows it (fusing.py): one product for each image; and of max pooling.

Batch norm is y = scale * sums + shift for each row of the weight, so that it is folded into a copy of the weight.
"""

from __future__ import annotations

from typing import Any

import torch
from sparseref_torch import SparseTensor
from sparseref_torch.tensor import kernels
from sparseref_torch.tensor.slots import Derived
from sparseref_torch.tensors import TorchSparse, to_numpy
from torch import Tensor
from torch.nn import functional

from .convolution_plans import Call, Norm, plan_for, remember, same_numbers
from .plainness import plain
from .torch_kernel import REAL, CKernel


def convolution(x: Tensor, weight: Tensor, bias: Tensor | None, window: tuple[Any, ...], norm: tuple[Any, ...] | None,
                added: Tensor | None, relu: bool) -> Tensor:
    """As `Call` -> [B, O, H', W'].

    In one product for each image where the weight is sparse, C takes it and no gradient is wanted; else step by step.
    """
    call = Call(x, weight, bias, window, None if norm is None else Norm(*norm), added, relu)
    if (plan := plan_for(call)) is not None:
        return plan.run(x, added)
    if (whole := _at_once(call)) is not None:
        return whole
    y = functional.conv2d(x, weight, bias, *window)
    if norm is not None:
        mean, variance, scale, shift, epsilon = norm
        y = functional.batch_norm(y, mean, variance, scale, shift, False, 0.0, epsilon)
    y = y if added is None else y + added
    return functional.relu(y) if relu else y


def _at_once(call: Call) -> Tensor | None:
    """None: something is not as plain as C takes it."""
    x, weight, added, window = call.x, call.weight, call.added, call.window
    given = [x, *call.constants, *([] if added is None else [added])]
    if not isinstance(weight, SparseTensor) or not plain(*given) or torch.is_autocast_enabled(x.device.type):
        return None
    a, shape = weight.sparse, tuple(weight.shape)              # asked once: a subclass of torch's tensors answers slowly
    dtype = a.values.dtype
    stride, padding, dilation = (_both(one) for one in window[:3])
    if (x.dim() != 4 or len(shape) != 4 or x.shape[1] != shape[1] or window[3] != 1 or padding is None
            or dtype not in REAL or any(tensor.dtype != dtype for tensor in given)
            or (torch.is_grad_enabled() and any(tensor.requires_grad for tensor in (weight, *given)))):
        return None
    kernel, _ = kernels.choose(a, x, False)
    if not isinstance(kernel, CKernel):
        return None
    sides = [(side + 2 * p - d * (k - 1) - 1) // s + 1
             for side, p, d, k, s in zip(x.shape[2:], padding, dilation, shape[2:], stride, strict=True)]
    if min(sides) < 1 or (added is not None and added.shape != (len(x), shape[0], *sides)):
        return None
    folded, shift = (a, call.bias) if call.norm is None else _folded(a, call.bias, call.norm)
    if folded is None:
        return None
    shift = None if shift is None else shift.contiguous()
    y = kernel.convolve(folded, x, shift, shape[2:], stride, padding, dilation, sides, "relu" if call.relu else None, added)
    if y is not None:
        remember(call, kernel.prepared(folded), shift, (*shape[2:], *stride, *padding, *dilation, *sides), tuple(y.shape))
    return y


def max_pool(*args: Any, **kwargs: Any) -> Any:
    """As functional.max_pool2d, of which torch has vectors where channels lie side by side: the largest is the same.

    Measured of [1, 64, 112, 112], two threads: 2.6 ms as it lies, 0.8 turned and back.
    """
    x, *rest = args if args else (kwargs.pop("input"),)
    turned = (plain(x) and x.dim() == 4 and x.is_contiguous() and x.shape[1] >= LEAST_CHANNELS
              and not (torch.is_grad_enabled() and x.requires_grad))
    if not turned:
        return functional.max_pool2d(x, *rest, **kwargs)
    found = functional.max_pool2d(x.contiguous(memory_format=torch.channels_last), *rest, **kwargs)
    return tuple(one.contiguous() for one in found) if isinstance(found, tuple) else found.contiguous()


LEAST_CHANNELS = 16
"""A vector of them."""
_FOLDED = Derived()


def _both(one: Any) -> tuple[int, int] | None:
    """A number, or one for each side; None: a word, such as "same"."""
    if isinstance(one, str):
        return None
    return (one, one) if isinstance(one, int) else tuple(one) * (2 // len(one))  # torch takes (3,) for both, too


def _folded(a: TorchSparse, bias: Tensor | None, norm: Norm) -> tuple[TorchSparse | None, Tensor | None]:
    """a [O, C * k1 * k2] -> the same times the scale of each row, and what is added to its sums, [O]; kept while all stay.

    None: something is infinite, and infinity times 0 is no number where only the steps one by one say so.
    """
    tensors = [tensor for tensor in (bias, *norm[:4]) if tensor is not None]
    kept: dict[str, Any] = _FOLDED.of(a, lambda a: {})
    if kept and same_numbers(kept["tensors"], tensors) and kept["epsilon"] == norm.epsilon:
        known: tuple[TorchSparse | None, Tensor | None] = kept["made"]
        return known
    scale = torch.rsqrt(norm.variance + norm.epsilon) * (1 if norm.weight is None else norm.weight)
    shift = (0 if norm.bias is None else norm.bias) + ((0 if bias is None else bias) - norm.mean) * scale
    made: tuple[TorchSparse | None, Tensor | None] = (None, None)
    if bool(torch.isfinite(scale).all()) and bool(torch.isfinite(shift).all()):
        row = torch.from_numpy(a.layout.positions(to_numpy(a, []))).clamp_min(0) // a.shape[1]     # padding: any
        made = a.with_values((a.values * scale[row]).detach()), shift.detach()
    kept.update(tensors=[(tensor, tensor.clone()) for tensor in tensors], epsilon=norm.epsilon, made=made)
    return made
