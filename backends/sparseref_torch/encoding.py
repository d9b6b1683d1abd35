"""The encode rule of every layout: dense values and a pattern to the canonical arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn

import numpy as np
import torch
from torch import Tensor

from sparseref import BSR, COO, CSC, CSR, ELL, NM, NMG, VNM, Dense, Layout, Masked
from sparseref.dtypes import coordinate_dtype, slot_index_dtype
from sparseref.layouts.blocks import ceil_div

from .blocks import bring_last, fill_to
from .encoding_nmg import assign_fibres
from .tensors import TorchSparse


def encode(dense: Tensor, layout: Layout, pattern: Tensor) -> TorchSparse:
    """dense [shape], pattern bool [shape] -> TorchSparse in canonical form (CORE-C1).

    Errors: the layout's own, for a shape or a pattern that it cannot hold.
    """
    shape = tuple(dense.shape)
    layout.check(shape)
    return TorchSparse(layout, shape, _RULES[type(layout)](layout, dense, pattern))


def refuse(layout: Layout, pattern: Tensor) -> NoReturn:
    """The reference words the refusal, so that it reads the same everywhere (ERR-1)."""
    layout.encode(np.zeros(pattern.shape, np.int8), pattern.cpu().numpy())
    raise AssertionError(f"{layout} takes this pattern, but the torch backend does not")


def coordinates(shape: tuple[int, ...]) -> torch.dtype:
    return getattr(torch, coordinate_dtype(shape).name)


def slot_index(count: int) -> torch.dtype:
    return getattr(torch, slot_index_dtype(count).name)


def _pointers(counts: Tensor, dtype: torch.dtype) -> Tensor:
    """counts [L] -> indptr [L + 1]."""
    indptr = torch.zeros(len(counts) + 1, dtype=dtype, device=counts.device)
    indptr[1:] = counts.cumsum(0)
    return indptr


def _dense(layout: Dense, dense: Tensor, pattern: Tensor) -> dict[str, Tensor]:
    if not pattern.all():                                                                  # DENSE-C2
        refuse(layout, pattern)
    return {"values": dense.clone(memory_format=torch.contiguous_format)}


def _masked(layout: Masked, dense: Tensor, pattern: Tensor) -> dict[str, Tensor]:
    return {"values": torch.where(pattern, dense, 0),                                      # MASKED-C2: padding is +0
            "mask": pattern.clone(memory_format=torch.contiguous_format)}


def _coo(layout: COO, dense: Tensor, pattern: Tensor) -> dict[str, Tensor]:
    coords = pattern.nonzero().T.to(coordinates(dense.shape))                              # row-major order: COO-C5
    return {"coords": coords.contiguous(), "values": dense[pattern]}


def _csr(layout: CSR, dense: Tensor, pattern: Tensor) -> dict[str, Tensor]:
    index = coordinates(dense.shape)
    columns = pattern.nonzero()[:, 1]                                                      # rising in each row: CSR-C5
    return {"indptr": _pointers(pattern.sum(1), index), "indices": columns.to(index), "values": dense[pattern]}


def _csc(layout: CSC, dense: Tensor, pattern: Tensor) -> dict[str, Tensor]:
    return _csr(CSR(), dense.T, pattern.T)                                                 # CSC-C5


def _bsr(layout: BSR, dense: Tensor, pattern: Tensor) -> dict[str, Tensor]:
    def cut(array: Tensor) -> Tensor:
        """[R, C] -> [RB, CB, r, c]."""
        rows, columns = ceil_div(array.shape[0], layout.r), ceil_div(array.shape[1], layout.c)
        filled = fill_to(array, (rows * layout.r, columns * layout.c), 0)
        return filled.reshape(rows, layout.r, columns, layout.c).transpose(1, 2)

    kept, whole = cut(pattern), cut(torch.ones_like(pattern))
    stored = kept.any(3).any(2)                                                            # [RB, CB]
    if (stored[:, :, None, None] & whole & ~kept).any():                                   # BSR-C5
        refuse(layout, pattern)
    index = coordinates(dense.shape)
    return {"indptr": _pointers(stored.sum(1), index), "indices": stored.nonzero()[:, 1].to(index),   # BSR-C7
            "values": cut(dense)[stored]}


def _ell(layout: ELL, dense: Tensor, pattern: Tensor) -> dict[str, Tensor]:
    rows, counts = dense.shape[0], pattern.sum(1)
    most = int(counts.max()) if rows else 0                                                # ELL-C4: K
    room = torch.arange(most, device=dense.device) < counts[:, None]                       # [R, K]
    indices = torch.full((rows, most), -1, dtype=coordinates(dense.shape), device=dense.device)
    values = dense.new_zeros(rows, most)
    indices[room] = pattern.nonzero()[:, 1].to(indices.dtype)                              # rising: ELL-C4
    values[room] = dense[pattern]
    return {"indices": indices, "values": values}


def choose_filling(kept: Tensor, filling: Tensor, n: int) -> Tensor:
    """kept bool [..., m], filling bool [..., m] -> kept, with the lowest filling until there are n (NM-C6, VNM-C6)."""
    missing = n - kept.sum(-1, keepdim=True)
    return kept | (filling & (filling.cumsum(-1) <= missing))


def _nm(layout: NM, dense: Tensor, pattern: Tensor) -> dict[str, Tensor]:
    side = dense.shape[layout.axis]
    blocks, m = ceil_div(side, layout.m), layout.m

    def cut(array: Tensor) -> Tensor:
        """[shape] -> [B, KB, m]."""
        lines = bring_last(array, layout.axis)
        return fill_to(lines, (blocks * m,), 0).reshape(len(lines), blocks, m)

    filling = torch.arange(blocks * m, device=dense.device).reshape(blocks, m) >= side
    kept = choose_filling(cut(pattern), filling, layout.n)
    if (kept.sum(2) != layout.n).any():                                                    # NM-C5
        refuse(layout, pattern)
    idx = kept.nonzero()[:, 2].reshape(*kept.shape[:2], layout.n)                          # rising: NM-C4
    return {"values": cut(dense).gather(2, idx), "idx": idx.to(slot_index(m))}


def _nmg(layout: NMG, dense: Tensor, pattern: Tensor) -> dict[str, Tensor]:
    rows, fibres = dense.shape[layout.sparse_axis], dense.shape[layout.group_axis]
    blocks, m, slots = ceil_div(rows, layout.m), layout.m, layout.slots(fibres)

    def cut(array: Tensor) -> Tensor:
        """[shape] -> [B, RB, m, S], NMG-C8."""
        plane = bring_last(array, layout.sparse_axis, layout.group_axis)
        return fill_to(plane, (blocks * m, slots), 0).reshape(len(plane), blocks, m, slots)

    idx = assign_fibres(layout, cut(pattern), rows, fibres)                                # [B, RB, S]
    if idx is None:                                                                        # NMG-C6
        refuse(layout, pattern)
    starts = torch.from_numpy(layout.slot_chunk_start(fibres)).to(dense.device)            # [S]
    places = torch.from_numpy(layout.slot_places(fibres)).to(dense.device).T               # [n, S]
    fibre = (starts + idx)[:, :, None, :].expand(-1, -1, m, -1)                            # [B, RB, m, S]
    moved = cut(dense).gather(3, fibre)                                                    # each slot's own fibre
    values = moved.gather(2, places.expand(*moved.shape[:2], -1, -1))                      # [B, RB, n, S], NMG-C4
    return {"values": values.transpose(2, 3).contiguous(), "idx": idx.to(slot_index(layout.patterns * layout.g))}


def _vnm(layout: VNM, dense: Tensor, pattern: Tensor) -> dict[str, Tensor]:
    rows, columns = dense.shape[layout.vector_axis], dense.shape[layout.sparse_axis]
    row_blocks, column_blocks = ceil_div(rows, layout.v), ceil_div(columns, layout.m)

    def cut(array: Tensor) -> Tensor:
        """[shape] -> [B, VB, KB, v, m], VNM-C6."""
        plane = bring_last(array, layout.vector_axis, layout.sparse_axis)
        filled = fill_to(plane, (row_blocks * layout.v, column_blocks * layout.m), 0)
        return filled.reshape(len(plane), row_blocks, layout.v, column_blocks, layout.m).transpose(2, 3)

    kept, real = cut(pattern), cut(torch.ones_like(pattern))
    column = choose_filling(kept.any(3), ~real.any(3), layout.n)                           # [B, VB, KB, m]
    broken = column[..., None, :] & real & ~kept
    if (column.sum(3) != layout.n).any() or broken.any():                                  # VNM-C5
        refuse(layout, pattern)
    idx = column.nonzero()[:, 3].reshape(*column.shape[:3], layout.n)                      # rising: VNM-C4
    chosen = idx[..., None, :].expand(-1, -1, -1, layout.v, -1)
    return {"values": cut(dense).gather(4, chosen), "idx": idx.to(slot_index(layout.m))}


_RULES: dict[type[Layout], Callable[..., dict[str, Tensor]]] = {
    Dense: _dense, Masked: _masked, COO: _coo, CSR: _csr, CSC: _csc, BSR: _bsr, ELL: _ell, NM: _nm, NMG: _nmg, VNM: _vnm}
