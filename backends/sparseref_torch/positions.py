"""The decode rule of every layout: which position of the dense array each slot holds."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from sparseref import BSR, COO, CSC, CSR, ELL, NM, NMG, VNM, Dense, Layout, Masked
from sparseref.layouts.blocks import split_sides

from .blocks import batch_offsets, strides_of
from .tensors import TorchSparse


def positions(a: TorchSparse) -> Tensor:
    """TorchSparse -> int64 [shape of `values`]: the row-major index of each slot's entry, -1 for padding."""
    return _RULES[type(a.layout)](a, a.layout)


def line_of_each_slot(indptr: Tensor) -> Tensor:
    """indptr [L + 1] -> int64 [nnz]: which line owns each slot."""
    lines = torch.arange(indptr.numel() - 1, device=indptr.device)
    return lines.repeat_interleave(indptr.long().diff())


def _count(a: TorchSparse, size: int) -> Tensor:
    return torch.arange(size, device=a.values.device)


def _inside(position: Tensor, inside: Tensor) -> Tensor:
    """-1 where a slot lies in the filling of a tail."""
    return torch.where(inside, position, -1)


def _dense(a: TorchSparse, layout: Dense) -> Tensor:
    return _count(a, math.prod(a.shape)).reshape(a.shape)                                  # DENSE-C1


def _masked(a: TorchSparse, layout: Masked) -> Tensor:
    return _inside(_count(a, math.prod(a.shape)).reshape(a.shape), a["mask"])              # MASKED-C1


def _coo(a: TorchSparse, layout: COO) -> Tensor:
    position = torch.zeros_like(a.values, dtype=torch.int64)
    for coordinate, side in zip(a["coords"], a.shape, strict=True):                        # COO-C1
        position = position * side + coordinate
    return position


def _csr(a: TorchSparse, layout: CSR) -> Tensor:
    return line_of_each_slot(a["indptr"]) * a.shape[1] + a["indices"]                      # CSR-C4


def _csc(a: TorchSparse, layout: CSC) -> Tensor:
    return a["indices"].long() * a.shape[1] + line_of_each_slot(a["indptr"])               # CSC-C4


def _bsr(a: TorchSparse, layout: BSR) -> Tensor:
    row = line_of_each_slot(a["indptr"])[:, None] * layout.r + _count(a, layout.r)         # [nnzb, r]
    column = a["indices"].long()[:, None] * layout.c + _count(a, layout.c)                 # [nnzb, c]
    row, column = row[:, :, None], column[:, None, :]
    return _inside(row * a.shape[1] + column, (row < a.shape[0]) & (column < a.shape[1]))  # BSR-C6


def _ell(a: TorchSparse, layout: ELL) -> Tensor:
    row = _count(a, a.shape[0])[:, None]
    return _inside(row * a.shape[1] + a["indices"], a["indices"] >= 0)                     # ELL-C2


def _nm(a: TorchSparse, layout: NM) -> Tensor:
    _, (side,) = split_sides(a.shape, layout.axis)
    batch = batch_offsets(a.shape, (layout.axis,), a.values.device)[:, None, None]
    place = _count(a, a.values.shape[1])[:, None] * layout.m + a["idx"].long()             # [B, KB, n], NM-C3
    return _inside(batch + place * strides_of(a.shape)[layout.axis], place < side)


def _nmg(a: TorchSparse, layout: NMG) -> Tensor:
    axes = (layout.sparse_axis, layout.group_axis)
    _, (rows, fibres) = split_sides(a.shape, *axes)
    stride, device = strides_of(a.shape), a.values.device
    batch = batch_offsets(a.shape, axes, device)[:, None, None, None]
    block = _count(a, a.values.shape[1])[:, None, None]
    places = torch.from_numpy(layout.slot_places(fibres)).to(device)                       # [S, n]
    starts = torch.from_numpy(layout.slot_chunk_start(fibres)).to(device)                  # [S]
    row = block * layout.m + places                                                        # [RB, S, n], NMG-C4
    fibre = (starts + a["idx"].long())[..., None]                                          # [B, RB, S, 1]
    position = batch + row * stride[layout.sparse_axis] + fibre * stride[layout.group_axis]
    return _inside(position, (row < rows) & (fibre < fibres))                              # NMG-C8: filling is padding


def _vnm(a: TorchSparse, layout: VNM) -> Tensor:
    axes = (layout.vector_axis, layout.sparse_axis)
    _, (rows, columns) = split_sides(a.shape, *axes)
    stride = strides_of(a.shape)
    batch = batch_offsets(a.shape, axes, a.values.device)[:, None, None, None, None]
    _, row_blocks, column_blocks, v, _ = a.values.shape
    row = (_count(a, row_blocks)[:, None] * v + _count(a, v))[:, None, :, None]            # [VB, 1, v, 1]
    tile = _count(a, column_blocks)[:, None, None]                                         # [KB, 1, 1]
    column = tile * layout.m + a["idx"].long()[..., None, :]                               # [B, VB, KB, 1, n], VNM-C3
    position = batch + row * stride[layout.vector_axis] + column * stride[layout.sparse_axis]
    return _inside(position, (row < rows) & (column < columns))                            # VNM-C6


_RULES: dict[type[Layout], Callable[..., Tensor]] = {
    Dense: _dense, Masked: _masked, COO: _coo, CSR: _csr, CSC: _csc, BSR: _bsr, ELL: _ell, NM: _nm, NMG: _nmg, VNM: _vnm}

LAYOUTS = tuple(layout.name for layout in _RULES)
"""The layouts that this backend knows, by name."""
