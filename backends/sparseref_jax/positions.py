"""The decode rule of every layout: which position of the dense array each slot holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from jax import Array

from sparseref import BSR, COO, CSC, CSR, ELL, NM, NMG, VNM, Dense, Layout, Masked
from sparseref.dtypes import coordinate_dtype
from sparseref.layouts.blocks import split_sides

from .arrays import JaxSparse
from .blocks import batch_offsets, strides_of


def positions(a: JaxSparse) -> Array:
    """JaxSparse -> int32 [shape of `values`] (int64: huge array): the row-major index of each slot's entry, -1 for padding."""
    return _RULES[type(a.layout)](a, a.layout, coordinate_dtype(a.shape))


def line_of_each_slot(indptr: Array, slots: int) -> Array:
    """indptr [L + 1] -> [slots]: which line owns each slot."""
    return jnp.searchsorted(indptr, jnp.arange(slots, dtype=indptr.dtype), side="right").astype(indptr.dtype) - 1


def _inside(position: Array, inside: Array) -> Array:
    """-1 where a slot lies in the filling of a tail."""
    return jnp.where(inside, position, -1)


def _dense(a: JaxSparse, layout: Dense, index: Any) -> Array:
    return jnp.arange(a.size, dtype=index).reshape(a.shape)                                # DENSE-C1


def _masked(a: JaxSparse, layout: Masked, index: Any) -> Array:
    return _inside(jnp.arange(a.size, dtype=index).reshape(a.shape), a["mask"])            # MASKED-C1


def _coo(a: JaxSparse, layout: COO, index: Any) -> Array:
    position = jnp.zeros(a.values.shape, index)
    for coordinate, side in zip(a["coords"], a.shape, strict=True):                        # COO-C1
        position = position * side + coordinate
    return position


def _csr(a: JaxSparse, layout: CSR, index: Any) -> Array:
    return line_of_each_slot(a["indptr"], len(a.values)) * a.shape[1] + a["indices"]       # CSR-C4


def _csc(a: JaxSparse, layout: CSC, index: Any) -> Array:
    return a["indices"] * a.shape[1] + line_of_each_slot(a["indptr"], len(a.values))       # CSC-C4


def _bsr(a: JaxSparse, layout: BSR, index: Any) -> Array:
    row = line_of_each_slot(a["indptr"], len(a.values))[:, None] * layout.r + jnp.arange(layout.r, dtype=index)    # [nnzb, r]
    column = a["indices"][:, None] * layout.c + jnp.arange(layout.c, dtype=index)          # [nnzb, c]
    row, column = row[:, :, None], column[:, None, :]
    return _inside(row * a.shape[1] + column, (row < a.shape[0]) & (column < a.shape[1]))  # BSR-C6


def _ell(a: JaxSparse, layout: ELL, index: Any) -> Array:
    row = jnp.arange(a.shape[0], dtype=index)[:, None]
    return _inside(row * a.shape[1] + a["indices"], a["indices"] >= 0)                     # ELL-C2


def _nm(a: JaxSparse, layout: NM, index: Any) -> Array:
    _, (side,) = split_sides(a.shape, layout.axis)
    batch = jnp.asarray(batch_offsets(a.shape, (layout.axis,)), index)[:, None, None]
    place = jnp.arange(a.values.shape[1], dtype=index)[:, None] * layout.m + a["idx"].astype(index)    # [B, KB, n], NM-C3
    return _inside(batch + place * strides_of(a.shape)[layout.axis], place < side)


def _nmg(a: JaxSparse, layout: NMG, index: Any) -> Array:
    axes = (layout.sparse_axis, layout.group_axis)
    _, (rows, fibres) = split_sides(a.shape, *axes)
    stride = strides_of(a.shape)
    batch = jnp.asarray(batch_offsets(a.shape, axes), index)[:, None, None, None]
    row, fibre = nmg_places(a, layout, index)                                              # NMG-C4
    position = batch + row * stride[layout.sparse_axis] + fibre * stride[layout.group_axis]
    return _inside(position, (row < rows) & (fibre < fibres))                              # NMG-C8: filling is padding


def nmg_places(a: JaxSparse, layout: NMG, index: Any) -> tuple[Array, Array]:
    """-> the row [RB, S, n] of each value and the fibre [B, RB, S, 1] of each slot."""
    fibres = a.shape[layout.group_axis]
    block = jnp.arange(a.values.shape[-3], dtype=index)[:, None, None]
    places = jnp.asarray(layout.slot_places(fibres), index)                                # [S, n]
    starts = jnp.asarray(layout.slot_chunk_start(fibres), index)                           # [S]
    return block * layout.m + places, (starts + a["idx"].astype(index))[..., None]


def _vnm(a: JaxSparse, layout: VNM, index: Any) -> Array:
    axes = (layout.vector_axis, layout.sparse_axis)
    _, (rows, columns) = split_sides(a.shape, *axes)
    stride = strides_of(a.shape)
    batch = jnp.asarray(batch_offsets(a.shape, axes), index)[:, None, None, None, None]
    _, row_blocks, column_blocks, v, _ = a.values.shape
    row = (jnp.arange(row_blocks, dtype=index)[:, None] * v + jnp.arange(v, dtype=index))[:, None, :, None]    # [VB, 1, v, 1]
    tile = jnp.arange(column_blocks, dtype=index)[:, None, None]                           # [KB, 1, 1]
    column = tile * layout.m + a["idx"].astype(index)[..., None, :]                        # [B, VB, KB, 1, n], VNM-C3
    position = batch + row * stride[layout.vector_axis] + column * stride[layout.sparse_axis]
    return _inside(position, (row < rows) & (column < columns))                            # VNM-C6


_RULES: dict[type[Layout], Callable[..., Array]] = {
    Dense: _dense, Masked: _masked, COO: _coo, CSR: _csr, CSC: _csc, BSR: _bsr, ELL: _ell, NM: _nm, NMG: _nmg, VNM: _vnm}

LAYOUTS = tuple(layout.name for layout in _RULES)
"""The layouts that this backend knows, by name."""
