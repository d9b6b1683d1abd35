"""Convolution in one to three dimensions: what lies under the kernel is a column, one for each place; then one contraction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from typing import Any

import torch
from torch import Tensor
from torch._prims_common import suggest_memory_format
from torch.nn import functional

from . import kernels, opaque, trace
from .dispatch import computed, densely, implements
from .operands import all_dense, bits_of, dense, kept, layouts_of
from .products import contraction
from .sparse_tensor import SparseTensor

aten = torch.ops.aten


MOST_DENSE = 1 / 5
"""Above this density torch's own convolution is faster than columns and the kernel by lines; measured on the layers of a ResNet
with kernels of 3 x 3, one AVX2 core, float32: 0.20 for 14 x 14 places, 0.15 for 28 x 28.  1 x 1 has free columns."""

COLUMN_ENTRIES = 2 ** 21
"""Images are taken so many at a time that their columns have about as many entries: larger ones leave the cache."""


@implements(aten.convolution.default)
def convolution(func: Any, args: Any, kwargs: Any) -> Any:
    """x [B, C, *S], w [O, C, *k], bias [O] or None -> [B, O, *S'], S the one to three sides (CONV2D-1)."""
    x, w, bias, stride, padding, dilation, transposed, _, groups = args
    if not isinstance(w, SparseTensor):
        return NotImplemented
    if transposed or groups != 1:
        return densely(func, args, kwargs, f"{groups} groups" if groups != 1 else "it is a transposed convolution")
    image = dense(x)
    if image.dim() != w.dim() or image.shape[1] != w.shape[1] or image.dtype != w.dtype:
        return func(*all_dense(args))                          # torch says what is wrong
    at_once = len(image)
    spans = [d * (k - 1) + 1 for d, k in zip(dilation, w.shape[2:], strict=True)]
    sides = [(side + 2 * p - span) // s + 1 for side, p, span, s in zip(image.shape[2:], padding, spans, stride, strict=True)]
    if not opaque.tracing(image, w.sparse.values):
        kernel, reason = kernels.choose(w.sparse, image, False)
        why_own = _why_own(w, image, kernel, reason)
        if why_own is not None:                                # torch's own convolution needs no columns
            trace.note("convolution", layouts_of((x, w)), "dense", "decoded", reason=why_own, cost_bits=bits_of(w))
            return func(image, kept(w), dense(bias), *args[3:])
        whole = kernel.convolve(w.sparse, image, dense(bias), w.shape[2:], stride, padding, dilation, sides)
        if whole is not None:
            trace.note("convolution", layouts_of((x, w)), "exact", kernel.name, kernel.backend, reason)
            return whole.contiguous(memory_format=suggest_memory_format(image))
        at_once = max(1, COLUMN_ENTRIES // max(math.prod(w.shape[1:]) * math.prod(sides), 1))
    out = [_convolved(func, part, w, dense(bias), (stride, padding, dilation), sides)
           for part in image.split(max(at_once, 1))]
    whole = out[0] if len(out) == 1 else torch.cat(out)
    return whole.contiguous(memory_format=suggest_memory_format(image))                    # channels last, as torch does


def _why_own(w: SparseTensor, image: Tensor, kernel: kernels.Kernel, reason: str) -> str | None:
    """Why torch's own convolution of the decoded weight runs, and not the kernel that was chosen; None: it does not."""
    if kernel.name == "decoded":
        return reason
    density = 1 - w.sparsity
    if kernel.name == "lines" and math.prod(w.shape[2:]) > 1 and density > MOST_DENSE and kernels.finite(image):
        return f"torch lines: at density {density:.2f} torch's own convolution is faster"
    return None


def _convolved(func: Any, x: Tensor, w: SparseTensor, bias: Tensor | None, moves: Any, sides: list[int]) -> Tensor:
    """x [B, C, *S], w [O, C, *k], bias [O] or None -> [B, O, *S']."""
    tokens = columns(x, w.shape[2:], *moves, sides).T                                      # [B*L, C*K]: L places, K = k1*k2..
    out = contraction(func, SparseTensor(w.sparse), tokens, False, bias).T                 # [O, B*L]
    return out.reshape(w.shape[0], x.shape[0], *sides).transpose(0, 1).contiguous()


def columns(x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], dilation: Sequence[int],
            sides: Sequence[int]) -> Tensor:
    """x [B, C, *S] -> [C*K, B*L]: the K entries under the kernel at each of the L = S'1*S'2.. places.

    One copy for each entry of the kernel: on an AVX2 core 2 to 8 times as fast as torch's own im2col.
    """
    if any(padding):
        x = functional.pad(x, [p for side in reversed(padding) for p in (side, side)])
    x = x.transpose(0, 1)                                                                  # [C, B, *S]

    def under(entry: Sequence[int]) -> Tensor:
        """What lies under one entry of the kernel: [C, B, *S']."""
        return x[(..., *(slice(at * d, at * d + s * (side - 1) + 1, s)
                         for at, d, s, side in zip(entry, dilation, stride, sides, strict=True)))]

    K = math.prod(kernel)
    if K == 1:                                                 # 1 x 1: for a single image nothing is copied
        return under([0] * len(sides)).reshape(x.shape[0], -1)
    cut = x.new_empty(x.shape[0], K, x.shape[1], *sides)                                   # [C, K, B, *S']
    for i, entry in enumerate(product(*map(range, kernel))):
        cut[:, i] = under(entry)
    return cut.reshape(x.shape[0] * K, -1)


@implements(aten.convolution_backward.default)
def convolution_backward(func: Any, args: Any, kwargs: Any) -> Any:
    """Gradients of x, w and bias, all dense: torch's own kernel on the decoded weight."""
    computed(func, args, kwargs, "decoded")
    return func(*all_dense(args), **kwargs)
