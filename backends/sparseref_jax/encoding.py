"""The encode rule of every layout: dense values and a pattern to the canonical arrays."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from sparseref import BSR, COO, CSC, CSR, ELL, NM, NMG, VNM, Dense, Layout, Masked
from sparseref.dtypes import coordinate_dtype, slot_index_dtype
from sparseref.layouts.blocks import ceil_div

from .arrays import JaxSparse, is_traced
from .blocks import bring_last, fill_to
from .encoding_nmg import assign_fibres

Arrays = dict[str, Array]
SIZED = (COO, CSR, CSC, BSR, ELL)
"""The layouts whose number of slots the pattern decides."""


def encode(dense: Array, layout: Layout, pattern: Array, slots: int | None = None) -> JaxSparse:
    """dense [shape], pattern bool [shape] -> JaxSparse in canonical form (CORE-C1).

    slots: how many are made, where the pattern decides that: entries of coo, csr and csc, blocks of bsr, K of ell.  Inside jit
    it has to be said, as shapes are fixed there; surplus slots of coo, csr and csc repeat the last entry with +0, which adds
    nothing.  Errors: the layout's own, for a shape or a pattern that it cannot hold; inside jit, where nothing can be raised,
    float values become NaN instead, and whole numbers, which have none, are refused while tracing.
    """
    if not is_traced(dense, pattern):
        if isinstance(layout, SIZED) and slots is None:
            slots = slots_needed(layout, np.asarray(pattern))
        a, fits = encode_and_tell(dense, layout, pattern, slots)
        if not fits:
            refuse(layout, np.asarray(pattern))
        return a
    if not isinstance(layout, Masked) and not jnp.issubdtype(dense.dtype, jnp.floating):
        raise ValueError(f"inside jit, a pattern that {layout} cannot hold is answered by NaN, which {dense.dtype} has not: "
                         "encode outside, or take floats")
    a, fits = encode_and_tell(dense, layout, pattern, slots)
    return a.with_values(jnp.where(fits, a.values, jnp.nan))


def encode_and_tell(dense: Array, layout: Layout, pattern: Array, slots: int | None = None) -> tuple[JaxSparse, Any]:
    """The same -> also whether the layout holds the pattern; where it does not, the arrays mean nothing."""
    layout.check(tuple(dense.shape))
    if isinstance(layout, SIZED) and slots is None:
        raise ValueError(f"inside jit it has to be said how many slots {layout} gets: slots=number")
    arrays, fits = _encode(dense, pattern, layout, slots)
    return JaxSparse(layout, tuple(dense.shape), arrays), fits


def slots_needed(layout: Layout, pattern: np.ndarray) -> int:
    """pattern [shape] -> what `slots` has to be for it."""
    if isinstance(layout, BSR):
        cut = np.pad(pattern, [(0, -side % block) for side, block in zip(pattern.shape, (layout.r, layout.c), strict=True)])
        blocks = cut.reshape(cut.shape[0] // layout.r, layout.r, cut.shape[1] // layout.c, layout.c)
        return int(blocks.any((1, 3)).sum())
    if isinstance(layout, ELL):
        return int(pattern.sum(1).max(initial=0))
    return int(pattern.sum())


def refuse(layout: Layout, pattern: np.ndarray) -> NoReturn:
    """The reference words the refusal, so that it reads the same everywhere (ERR-1)."""
    layout.encode(np.zeros(pattern.shape, np.int8), pattern)
    raise ValueError(f"{layout} takes this pattern, but not in so few slots")


@partial(jax.jit, static_argnames=("layout", "slots"))
def _encode(dense: Array, pattern: Array, layout: Layout, slots: int | None) -> tuple[Arrays, Any]:
    return _RULES[type(layout)](layout, dense, pattern, slots)


def _pointers(counts: Array, dtype: Any) -> Array:
    """counts [L] -> indptr [L + 1]."""
    return jnp.concatenate([jnp.zeros(1, dtype), jnp.cumsum(counts).astype(dtype)])


def _dense(layout: Dense, dense: Array, pattern: Array, slots: None) -> tuple[Arrays, Any]:
    return {"values": dense}, jnp.all(pattern)                                             # DENSE-C2


def _masked(layout: Masked, dense: Array, pattern: Array, slots: None) -> tuple[Arrays, Any]:
    return {"values": jnp.where(pattern, dense, _zero(dense)), "mask": pattern}, True      # MASKED-C2: padding is +0


def _entries(dense: Array, pattern: Array, slots: int) -> tuple[Array, Array, Any]:
    """-> row-major index and value of every entry, [slots] each; the last entry with +0 where there are no more."""
    index = coordinate_dtype(dense.shape)
    if not slots:
        return jnp.zeros(0, index), jnp.zeros(0, dense.dtype), ~jnp.any(pattern)
    count = jnp.sum(pattern)
    (at,) = jnp.nonzero(pattern.reshape(-1), size=slots, fill_value=0)
    real = jnp.arange(slots) < count
    at = jnp.where(real, at, at[jnp.maximum(count, 1) - 1]).astype(index)
    return at, jnp.where(real, dense.reshape(-1)[at], _zero(dense)), (count <= slots) & (count > 0)


def _coo(layout: COO, dense: Array, pattern: Array, slots: int) -> tuple[Arrays, Any]:
    at, values, fits = _entries(dense, pattern, slots)                                     # row-major order: COO-C5
    coords = jnp.stack([coordinate.astype(at.dtype) for coordinate in jnp.unravel_index(at, dense.shape)]
                       if slots else [at] * dense.ndim)
    return {"coords": coords, "values": values}, fits


def _csr(layout: CSR, dense: Array, pattern: Array, slots: int) -> tuple[Arrays, Any]:
    at, values, fits = _entries(dense, pattern, slots)                                     # rising in each row: CSR-C5
    counts = jnp.sum(pattern, axis=1, dtype=at.dtype)
    columns = max(dense.shape[1], 1)
    if slots:                                                  # surplus slots lie behind the last entry
        counts = counts.at[at[-1] // columns].add((slots - jnp.sum(counts)).astype(at.dtype))
    return {"indptr": _pointers(counts, at.dtype), "indices": at % columns, "values": values}, fits


def _csc(layout: CSC, dense: Array, pattern: Array, slots: int) -> tuple[Arrays, Any]:
    return _csr(CSR(), dense.T, pattern.T, slots)                                          # CSC-C5


def _bsr(layout: BSR, dense: Array, pattern: Array, slots: int) -> tuple[Arrays, Any]:
    rows, columns = ceil_div(dense.shape[0], layout.r), ceil_div(dense.shape[1], layout.c)

    def cut(array: Array) -> Array:
        """[R, C] -> [RB, CB, r, c]."""
        filled = fill_to(array, (rows * layout.r, columns * layout.c), 0)
        return filled.reshape(rows, layout.r, columns, layout.c).swapaxes(1, 2)

    kept, whole = cut(pattern), cut(jnp.ones_like(pattern))
    stored = jnp.any(kept, axis=(2, 3))                                                    # [RB, CB]
    broken = jnp.any(stored[:, :, None, None] & whole & ~kept)                             # BSR-C5
    index = coordinate_dtype(dense.shape)
    row, column = jnp.nonzero(stored, size=slots, fill_value=0)                            # BSR-C7
    return {"indptr": _pointers(jnp.sum(stored, axis=1), index), "indices": column.astype(index),
            "values": cut(dense)[row, column]}, ~broken & (jnp.sum(stored) == slots)


def _ell(layout: ELL, dense: Array, pattern: Array, slots: int) -> tuple[Arrays, Any]:
    index, columns = coordinate_dtype(dense.shape), dense.shape[1]
    number = jnp.where(pattern, jnp.arange(columns, dtype=index), columns)
    number = jnp.sort(number, axis=1)[:, :slots]                                           # [R, K], rising: ELL-C4
    room = number < columns
    values = jnp.take_along_axis(dense, jnp.where(room, number, 0), axis=1)
    return {"indices": jnp.where(room, number, -1), "values": jnp.where(room, values, _zero(dense))}, \
        jnp.all(jnp.sum(pattern, axis=1) <= slots)


def _chosen(kept: Array, filling: Array, n: int) -> tuple[Array, Any]:
    """kept bool [..., m], filling bool [..., m] -> the n places, rising, filled up with the lowest filling (NM-C6, VNM-C6);
    whether there are n."""
    missing = n - jnp.sum(kept, axis=-1, keepdims=True)
    full = kept | (filling & (jnp.cumsum(filling, axis=-1) <= missing))
    places = jnp.sort(jnp.where(full, jnp.arange(kept.shape[-1]), kept.shape[-1]), axis=-1)[..., :n]
    return jnp.minimum(places, kept.shape[-1] - 1), jnp.all(jnp.sum(full, axis=-1) == n)


def _nm(layout: NM, dense: Array, pattern: Array, slots: None) -> tuple[Arrays, Any]:
    side, m = dense.shape[layout.axis], layout.m
    blocks = ceil_div(side, m)

    def cut(array: Array) -> Array:
        """[shape] -> [B, KB, m]."""
        lines = bring_last(array, layout.axis)
        return fill_to(lines, (blocks * m,), 0).reshape(len(lines), blocks, m)

    filling = np.arange(blocks * m).reshape(blocks, m) >= side
    idx, fits = _chosen(cut(pattern), jnp.asarray(filling), layout.n)                      # NM-C4, NM-C5
    return {"values": jnp.take_along_axis(cut(dense), idx, axis=2), "idx": idx.astype(slot_index_dtype(m))}, fits


def _nmg(layout: NMG, dense: Array, pattern: Array, slots: None) -> tuple[Arrays, Any]:
    rows, fibres = dense.shape[layout.sparse_axis], dense.shape[layout.group_axis]
    blocks, m, count = ceil_div(rows, layout.m), layout.m, layout.slots(fibres)

    def cut(array: Array) -> Array:
        """[shape] -> [B, RB, m, S], NMG-C8."""
        plane = bring_last(array, layout.sparse_axis, layout.group_axis)
        return fill_to(plane, (blocks * m, count), 0).reshape(len(plane), blocks, m, count)

    idx, fits = assign_fibres(layout, cut(pattern), rows, fibres)                          # [B, RB, S], NMG-C6
    starts = jnp.asarray(layout.slot_chunk_start(fibres))                                  # [S]
    places = jnp.asarray(layout.slot_places(fibres)).T                                     # [n, S]
    moved = jnp.take_along_axis(cut(dense), (starts + idx)[:, :, None, :], axis=3)         # each slot's own fibre
    values = jnp.take_along_axis(moved, places[None, None], axis=2)                        # [B, RB, n, S], NMG-C4
    return {"values": values.swapaxes(2, 3), "idx": idx.astype(slot_index_dtype(layout.patterns * layout.g))}, fits


def _vnm(layout: VNM, dense: Array, pattern: Array, slots: None) -> tuple[Arrays, Any]:
    rows, columns = dense.shape[layout.vector_axis], dense.shape[layout.sparse_axis]
    row_blocks, column_blocks = ceil_div(rows, layout.v), ceil_div(columns, layout.m)

    def cut(array: Array) -> Array:
        """[shape] -> [B, VB, KB, v, m], VNM-C6."""
        plane = bring_last(array, layout.vector_axis, layout.sparse_axis)
        filled = fill_to(plane, (row_blocks * layout.v, column_blocks * layout.m), 0)
        return filled.reshape(len(plane), row_blocks, layout.v, column_blocks, layout.m).swapaxes(2, 3)

    kept, real = cut(pattern), cut(jnp.ones_like(pattern))
    idx, fits = _chosen(jnp.any(kept, axis=3), ~jnp.any(real, axis=3), layout.n)           # [B, VB, KB, n], VNM-C4
    column = jnp.any(idx[..., None] == jnp.arange(layout.m), axis=3)                       # [B, VB, KB, m]
    broken = jnp.any(column[..., None, :] & real & ~kept)                                  # VNM-C5
    values = jnp.take_along_axis(cut(dense), idx[..., None, :], axis=4)                    # [B, VB, KB, v, n]
    return {"values": values, "idx": idx.astype(slot_index_dtype(layout.m))}, fits & ~broken


def _zero(dense: Array) -> Array:
    return jnp.zeros((), dense.dtype)


_RULES: dict[type[Layout], Callable[..., tuple[Arrays, Any]]] = {
    Dense: _dense, Masked: _masked, COO: _coo, CSR: _csr, CSC: _csc, BSR: _bsr, ELL: _ell, NM: _nm, NMG: _nmg, VNM: _vnm}
