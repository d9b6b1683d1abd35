"""The one contraction behind matmul, linear and conv2d: only pairs of stored entries take part.

Two routes give the same sums.  Dense: a structural zero is +0, and a product with it adds nothing as long as it meets
neither NaN nor infinity.  By rows: each row of the result is the weighted sum of those rows of the right operand that the
left one stores; embedding_bag is torch's kernel for just that.  Measured on an AVX2 core, 768 x 768 times 768 x 512 in
float32, with the time to find the stored entries, the second wins from a density of one in ten down; with `Rows` kept from an
earlier call, already below one in three, and from 128 columns on.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .tensors import Pair

SPARSE_DENSITY = 1 / 10
SPARSE_COLUMNS = 512
"""Below this density, and from so many columns on, the route by rows pays for finding the stored entries."""

STRANGE_AT_ONCE = 4096
"""So many NaN or infinite entries are multiplied at a time, which bounds the memory that they need."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The stored entries of a matrix [M, K] row by row: row i owns the entries offsets[i] up to offsets[i + 1]."""

    offsets: Tensor
    columns: Tensor
    values: Tensor
    count: int

    def times(self, b: Tensor) -> Tensor:
        """b [K, N] -> [M, N]."""
        if not self.columns.numel() or not b.shape[1]:         # embedding_bag takes no empty operands
            return b.new_zeros(self.count, b.shape[1])
        return functional.embedding_bag(self.columns, b.contiguous(), self.offsets, mode="sum", per_sample_weights=self.values,
                               include_last_offset=True)


def rows_of(a: Pair) -> Rows:
    """a [M, K] -> its stored entries, row by row."""
    offsets = functional.pad(a.stored.sum(1).cumsum(0), (1, 0))
    return Rows(offsets, a.stored.nonzero()[:, 1], a.value[a.stored], a.shape[0])


def product(a: Pair, b: Pair) -> Tensor:
    """a [M, K], b [K, N] in one dtype -> [M, N] in it (MATMUL-1, CORE-P2, CORE-P3)."""
    a_meets_all = a.pattern is None or _finite(b.value)        # a structural zero of a meets nothing that it must annihilate
    b_meets_all = b.pattern is None or _finite(a.value)
    if not b_meets_all:
        return _by_rows(a, b) if a.pattern is not None else _by_rows(transposed(b), transposed(a)).T
    if not a_meets_all or _pays(a, b.shape[1]):
        return rows_of(a).times(b.value)
    if _pays(b, a.shape[0]):
        return rows_of(transposed(b)).times(a.value.T).T
    return a.value @ b.value


def transposed(a: Pair) -> Pair:
    """a [M, K] -> [K, M]."""
    return a.movedim(0, 1)


def _by_rows(a: Pair, b: Pair) -> Tensor:
    """Row by row, where structural zeros of both operands meet NaN or infinity."""
    strange = a.stored & ~a.value.isfinite()
    out = rows_of(Pair(a.value, a.stored & ~strange)).times(b.value)                       # finite times +0 adds nothing
    i, k = strange.nonzero(as_tuple=True)
    for rows, inner in zip(i.split(STRANGE_AT_ONCE), k.split(STRANGE_AT_ONCE), strict=True):
        terms = a.value[rows, inner][:, None] * b.value[inner]                             # [strange entries, N]
        out.index_add_(0, rows, torch.where(b.stored[inner], terms, 0))                    # CORE-P2
    return out


def _finite(value: Tensor) -> bool:
    """False where a value is NaN or infinite, or where the sum overflows, which only costs the faster route."""
    return not value.is_floating_point() or bool(value.sum().isfinite())


def _pays(a: Pair, columns: int) -> bool:
    if a.pattern is None or columns < SPARSE_COLUMNS or not a.value.is_floating_point():
        return False
    return int(a.pattern.sum()) <= SPARSE_DENSITY * a.pattern.numel()
