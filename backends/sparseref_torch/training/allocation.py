"""Allocation: how many of its entries each tensor drops, so that all together reach one sparsity."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from sparseref import SpecError
from sparseref.sparsifiers.base import dropped_count

from ..selection import keep_largest, without_nan

Shape = tuple[int, ...]


def uniform(shapes: Sequence[Shape], sparsity: float, most: Sequence[int] | None = None) -> list[int]:
    """shapes, sparsity -> dropped entries of each tensor: the same share of every one, each rounded (SFRAC-S1)."""
    return [dropped_count(sparsity, math.prod(shape)) for shape in shapes]


def erk(shapes: Sequence[Shape], sparsity: float, most: Sequence[int] | None = None) -> list[int]:
    """shapes, sparsity -> dropped entries of each tensor: Erdos-Renyi-Kernel, exact in total.

    A tensor's density is in proportion to sum(shape) / prod(shape), so that small layers stay denser.  No tensor keeps more
    than `most` of its entries, all of them by default; what it leaves is shared out to the others.
    Source: Evci et al. 2020, arXiv 1911.11134, section 3.
    """
    sizes, sums = [math.prod(shape) for shape in shapes], [sum(shape) for shape in shapes]
    most = sizes if most is None else most
    total = sum(sizes) - dropped_count(sparsity, sum(sizes))
    wanted, free = [float(count) for count in most], {i for i, count in enumerate(most) if count}
    while free:
        scale = (total - sum(most[i] for i in range(len(sizes)) if i not in free)) / sum(sums[i] for i in free)
        full = {i for i in free if scale * sums[i] >= most[i]}
        free -= full
        if not full:
            for i in free:
                wanted[i] = scale * sums[i]
            break
    return [size - kept for size, kept in zip(sizes, whole_numbers(wanted, total), strict=True)]


def at_threshold(scores: Sequence[Tensor], sparsity: float) -> list[int]:
    """scores [shape] of each tensor -> dropped entries of each: one threshold for all, exact in total.

    Ties go to the earlier tensor, then to the lower index (SPF-4), as if all were one long tensor.
    """
    flat = [without_nan(tensor.reshape(-1).double().cpu()) for tensor in scores]
    whole = torch.cat(flat)
    kept = keep_largest(whole, len(whole) - dropped_count(sparsity, len(whole)))
    return [len(part) - int(mine.sum()) for part, mine in zip(flat, kept.split([len(part) for part in flat]), strict=True)]


def whole_numbers(wanted: Sequence[float], total: int) -> list[int]:
    """Real numbers that add up to `total` -> whole numbers that do: the largest remainders are rounded up, first ones first."""
    floors = [math.floor(number) for number in wanted]
    by_remainder = sorted(range(len(wanted)), key=lambda i: floors[i] - wanted[i])
    for i in by_remainder[:total - sum(floors)]:
        floors[i] += 1
    return floors


BY_SHAPE: dict[str, Callable[..., list[int]]] = {"uniform": uniform, "erk": erk}
"""Allocations that need to know the shapes alone."""

ALLOCATIONS = (*BY_SHAPE, "global")


def checked_allocation(name: str) -> str:
    """Refuse a name that is no allocation (TRAIN-2)."""
    if name not in ALLOCATIONS:                                                            # TRAIN-2
        raise SpecError("TRAIN-2", "this is no allocation.", wanted=" or ".join(ALLOCATIONS), given=repr(name))
    return name
