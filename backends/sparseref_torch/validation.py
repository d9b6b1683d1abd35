"""The invariants of every layout, looked at with torch; where one is broken the reference says which and why."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from sparseref import BSR, COO, CSC, CSR, ELL, NM, NMG, VNM, Layout
from sparseref.layouts.blocks import ceil_div

from .positions import line_of_each_slot
from .tensors import TorchSparse


def is_valid(a: TorchSparse) -> bool:
    """True where the elements keep the layout's invariants; names, dtypes and shapes of the tensors are checked before."""
    rule = _RULES.get(type(a.layout))                          # dense and masked have none
    return rule is None or rule(a, a.layout)


def _between(index: Tensor, least: int, side: int) -> bool:
    index = index.long()
    return bool(((index >= least) & (index < side)).all())


def _pointers(indptr: Tensor, slots: int) -> bool:
    return bool(indptr[0] == 0) and bool(indptr[-1] == slots) and bool((indptr[1:] >= indptr[:-1]).all())


def _rising(index: Tensor) -> bool:
    return bool((index.long().diff(dim=-1) > 0).all())


def _coo(a: TorchSparse, layout: COO) -> bool:
    return all(_between(coordinate, 0, side) for coordinate, side in zip(a["coords"], a.shape, strict=True))      # COO-C2


def _csr(a: TorchSparse, layout: CSR) -> bool:
    return _pointers(a["indptr"], len(a.values)) and _between(a["indices"], 0, a.shape[1])         # CSR-C2, CSR-C3


def _csc(a: TorchSparse, layout: CSC) -> bool:
    return _pointers(a["indptr"], len(a.values)) and _between(a["indices"], 0, a.shape[0])         # CSC-C2, CSC-C3


def _bsr(a: TorchSparse, layout: BSR) -> bool:
    columns = ceil_div(a.shape[1], layout.c)
    if not _pointers(a["indptr"], len(a.values)) or not _between(a["indices"], 0, columns):        # BSR-C3, BSR-C4
        return False
    return _rising(line_of_each_slot(a["indptr"]) * columns + a["indices"])                        # BSR-C4


def _ell(a: TorchSparse, layout: ELL) -> bool:
    indices, side = a["indices"].long(), a.shape[1]
    if not _between(indices, -1, side):
        return False
    as_last = torch.where(indices == -1, side, indices)        # padding sorts last
    return bool(((as_last.diff(dim=1) > 0) | (as_last[:, 1:] == side)).all())                      # ELL-C3


def _small_index(a: TorchSparse, layout: NM | VNM) -> bool:
    return _between(a["idx"], 0, layout.m) and _rising(a["idx"])                                   # NM-C4, VNM-C4


def _nmg(a: TorchSparse, layout: NMG) -> bool:
    for chunk in layout.chunks(a.shape[layout.group_axis]):                                        # NMG-C5
        owners = a["idx"][:, :, chunk.fibres].long().sort(2).values
        if not (owners == torch.arange(owners.shape[2], device=owners.device)).all():
            return False
    return True


_RULES: dict[type[Layout], Callable[..., bool]] = {
    COO: _coo, CSR: _csr, CSC: _csc, BSR: _bsr, ELL: _ell, NM: _small_index, NMG: _nmg, VNM: _small_index}
