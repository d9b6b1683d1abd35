"""Products with some rows of a sparse matrix: nn.MultiheadAttention fuses its projections in one weight and takes it apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from . import kernels, opaque, slots, trace
from .operands import bits_of, kept, layouts_of
from .slots import Lines, wide
from .sparse_tensor import SparseTensor

aten = torch.ops.aten


WEIGHT = {aten.mm.default: 1, aten.addmm.default: 2, aten.linear.default: 1}
"""operator -> which of its operands is a part of a weight."""


def product(func: Any, args: Any, base: SparseTensor) -> Tensor | None:
    """x [T, K], part [K, N] of a base, and for addmm c before them -> (c +) x part [T, N]; None: it is no range of rows.

    linear, which arrives whole in inference mode: x [..., K], part [N, K], bias [N] or none -> [..., N].
    """
    if func is aten.linear.default:
        x, part, bias = (*args, None)[:3]
        flat = x.reshape(-1, x.shape[-1]), part.t()
        out = product(aten.mm.default, flat, base) if bias is None else product(aten.addmm.default, (bias, *flat), base)
        return None if out is None else out.reshape(*x.shape[:-1], part.shape[0])
    *plus, x, part = args
    found = rows(part, base)
    if found is None or opaque.tracing(x, base.sparse.values) or x.dtype != base.dtype or x.shape[1] != part.shape[0]:
        return None
    first, last, turned = found
    kernel, reason = kernels.first_of(kernels.KERNELS, base.sparse, x, False)
    if turned and kernel.name == "lines":
        trace.note(func.overloadpacket.__name__, layouts_of((x, base)), "exact", "lines", reason="rows of a fused weight")
        lines, values = _between(slots.lines_of(base.sparse, False), base.sparse.values.reshape(-1), first, last)
        out = lines.times(wide(values), wide(x).T.contiguous()).T
        return (out.add_(plus[0]) if plus else out).to(x.dtype).contiguous()
    if not kernels.finite(x):
        return None
    trace.note(func.overloadpacket.__name__, layouts_of((x, base)), "dense", "decoded", cost_bits=bits_of(base),
               reason=reason or "torch lines: there are none of the columns of some rows")
    weight = kept(base)[first:last]
    return func(*plus, x, weight.T if turned else weight)


def rows(part: Tensor, base: SparseTensor) -> tuple[int, int, bool] | None:
    """A view of a base -> (first, last, turned), if it is base[first:last], turned: its transpose; else None.

    Views of a matrix that lies row by row are told by their strides.
    """
    if base.dim() != 2 or base.turned or tuple(base.shape) != base.matrix or part.dim() != 2 or not part.numel():
        return None
    width = base.shape[1]
    for turned in (False, True):
        view = part.mT if turned else part
        first, left = divmod(view.storage_offset(), width)
        if left == 0 and view.shape[1] == width and view.stride(1) == 1 and (view.stride(0) == width or view.shape[0] == 1):
            return first, first + view.shape[0], turned
    return None


def _between(lines: Lines, values: Tensor, first: int, last: int) -> tuple[Lines, Tensor]:
    """The lines from first up to last, and the values that belong to them."""
    offsets = lines.offsets[first:last + 1]
    start, stop = int(offsets[0]), int(offsets[-1])
    if lines.slots is None:
        return Lines(offsets - start, lines.across[start:stop], None), values[start:stop]
    return Lines(offsets - start, lines.across[start:stop], lines.slots[start:stop]), values
