"""From a sparse array to its dense values and its pattern."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from sparseref import COO, CSC, CSR, Dense, Masked

from .positions import positions
from .tensors import ACCUMULATOR, Operand, Pair, TorchSparse


def pair_of(a: TorchSparse) -> Pair:
    """TorchSparse -> value [shape], +0 where nothing is stored, and pattern [shape] (CORE-V1, CORE-P1)."""
    if isinstance(a.layout, Dense):
        return Pair(a.values)
    if isinstance(a.layout, Masked):
        return Pair(torch.where(a["mask"], a.values, 0), a["mask"])
    size = math.prod(a.shape)
    position, values = positions(a).reshape(-1), a.values.reshape(-1)
    place = torch.where(position < 0, size, position)          # CORE-P5: padding goes to a spare place that is cut off
    dense, pattern = values.new_zeros(size + 1), torch.zeros(size + 1, dtype=torch.bool, device=values.device)
    pattern[place] = True
    if isinstance(a.layout, COO | CSR | CSC):                  # the others hold each position once at most
        _add_up(dense, place, values)
    else:
        dense[place] = values
    return Pair(dense[:size].reshape(a.shape), pattern[:size].reshape(a.shape))


def decode(a: TorchSparse) -> Tensor:
    """TorchSparse -> dense [shape]."""
    return pair_of(a).value


def pattern_of(a: TorchSparse) -> Tensor:
    """TorchSparse -> bool [shape]: True where an entry is stored."""
    return pair_of(a).stored


def wide_pair(operand: Operand) -> Pair | None:
    """Any operand -> its pair in the dtype that sums are kept in."""
    if operand is None:
        return None
    pair = pair_of(operand) if isinstance(operand, TorchSparse) else Pair(operand)
    return Pair(pair.value.to(ACCUMULATOR.get(pair.value.dtype, pair.value.dtype)), pair.pattern)


def _add_up(dense: Tensor, place: Tensor, values: Tensor) -> None:
    """Write values [nnz] to places [nnz] of dense; duplicates add up in slot order, each sum rounded (CORE-V2)."""
    if bool((place[1:] > place[:-1]).all()):                   # rising, as in canonical csr and coo: no duplicates
        dense[place] = values
        return
    ordered, slots = place.sort(stable=True)                   # equal places side by side, in slot order
    number = torch.arange(len(place), device=place.device)
    new = torch.ones_like(ordered, dtype=torch.bool)
    new[1:] = ordered[1:] != ordered[:-1]
    turn = number - torch.where(new, number, 0).cummax(0).values                           # 0: first at its place, 1: second
    for k in range(int(turn.max()) + 1):
        at, value = ordered[turn == k], values[slots[turn == k]]
        dense[at] = value if k == 0 else dense[at] + value
