"""nmg in C: sparsify by the greedy, encode, decode, validate; the arrays of the reference, to the bit.

Every function sees an array [shape] as planes [B, R, F], the sparse axis and the group axis last.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np

from sparseref import NMG, SparseArray, SpecError
from sparseref.coding import check_fields
from sparseref.dtypes import slot_index_dtype
from sparseref.layouts.blocks import bring_last, ceil_div, split_sides
from sparseref.layouts.nmg import Chunk
from sparseref.layouts.nmg_assign import assign_fibres
from sparseref.layouts.patterns import pattern_masks, pattern_places

from .choosing import choose
from .library import CCoding, library, threads
from .multiplying import done

NO_SLOT = 4
"""SPARSEREF_NO_SLOT of src/sparseref.h."""


def sparsify(dense: np.ndarray, layout: NMG, scores: np.ndarray) -> SparseArray:
    """dense [shape], scores float64 [shape] -> SparseArray: the greedy chooses, the layout places (NMGS-S1 to S4).

    Errors: SPF-2.
    """
    if scores.shape != dense.shape or scores.dtype != np.float64:                          # SPF-2
        raise SpecError("SPF-2", "these are no scores of the values.", wanted=f"{dense.shape} in float64",
                        given=f"{scores.shape} in {scores.dtype}", fix="sparseref.magnitude(values)")
    planes = _planar(layout)
    ranked = np.ascontiguousarray(planes.cut(_planes(scores, layout), 0.0))                # [B, RB, m, S], NMGS-S4
    tail = dense.shape[layout.sparse_axis] % layout.m
    owners = []
    for chunk in _chunks(dense.shape, layout):
        owner = choose(ranked, layout.n, chunk, dense.shape[layout.group_axis])            # [B, RB, C*g]
        if tail:                                               # of rows that are not there nothing is kept
            real = owner[:, -1, :dense.shape[layout.group_axis] - chunk.first]
            owner[:, -1:] = _owners_of_tail(layout, chunk, pattern_masks(layout.n, layout.m)[real, :tail].transpose(0, 2, 1))
        owners.append(owner)
    found = _placed(dense, layout, owners)
    assert found is not None, "every pattern has g fibres"
    return found


def encode(dense: np.ndarray, layout: Any, pattern: np.ndarray) -> SparseArray:
    """dense [shape], an NMG layout, pattern bool [shape] -> SparseArray in canonical form (NMG-C10).  Errors: NMG-C6."""
    planes, tail = _planes(pattern, layout), dense.shape[layout.sparse_axis] % layout.m
    kept = np.ascontiguousarray(_planar(layout).cut(planes, False))                        # [B, RB, m, S]
    owners = []
    for chunk in _chunks(dense.shape, layout):
        owner = np.empty((*kept.shape[:2], chunk.patterns * chunk.g), np.int32)
        _step("owners", _coding(layout, chunk, dense.shape, kept), blocks=kept, owner=owner)
        if tail:
            owner[:, -1:] = _owners_of_tail(layout, chunk, planes[:, -tail:, chunk.fibres])
        owners.append(owner)
    found = _placed(dense, layout, owners)
    if found is None:
        assign_fibres(layout, pattern)                                                     # NMG-C6: it says which fibre
    assert found is not None, "what the reference places is placed"
    return found


def decode(a: SparseArray) -> np.ndarray:
    """A valid SparseArray -> dense [shape], +0 where nothing is stored (CORE-V1).  Errors: those of `validate`."""
    validate(a)
    layout: Any = a.layout
    batch, block_rows, slots, _ = a.values.shape
    rows, fibres = split_sides(a.shape, layout.sparse_axis, layout.group_axis)[1]
    blocks = np.zeros((batch, block_rows, layout.m, slots), a.dtype)
    values, idx = np.ascontiguousarray(a.values), np.ascontiguousarray(a["idx"])
    for chunk in _chunks(a.shape, layout):
        _step("scatter", _coding(layout, chunk, a.shape, blocks, idx), blocks=blocks, values=values, idx=idx)
    planes = blocks.reshape(batch, block_rows * layout.m, slots)[:, :rows, :fibres]        # NMG-C8: the rest is filling
    axes = (layout.sparse_axis % len(a.shape), layout.group_axis % len(a.shape))
    others = [side for axis, side in enumerate(a.shape) if axis not in axes]
    return np.ascontiguousarray(np.moveaxis(planes.reshape(*others, rows, fibres), (-2, -1), axes))


def validate(a: SparseArray) -> None:
    """Errors: CORE-A1, CORE-A2, NMG-C5."""
    check_fields(a)
    layout: Any = a.layout
    idx = np.ascontiguousarray(a["idx"])
    for chunk in _chunks(a.shape, layout):
        if _step("check", _coding(layout, chunk, a.shape, idx, idx), idx=idx) == NO_SLOT:
            layout.validate(a)                                                             # NMG-C5: it says what is wrong


def _placed(dense: np.ndarray, layout: NMG, owners: list[np.ndarray]) -> SparseArray | None:
    """dense [shape], [B, RB, C*g] of each chunk -> SparseArray; None where a fibre finds no slot."""
    blocks = np.ascontiguousarray(_planar(layout).cut(_planes(dense, layout), 0))          # [B, RB, m, S]
    batch, block_rows, _, slots = blocks.shape
    values = np.empty((batch, block_rows, slots, layout.n), dense.dtype)
    idx = np.empty((batch, block_rows, slots), slot_index_dtype(layout.patterns * layout.g))
    for chunk, owner in zip(_chunks(dense.shape, layout), owners, strict=True):
        if _step("place", _coding(layout, chunk, dense.shape, blocks, idx), blocks=blocks, values=values, idx=idx,
                 owner=np.ascontiguousarray(owner)) == NO_SLOT:
            return None
    return SparseArray(layout, dense.shape, dense.dtype, {"values": values, "idx": idx})


def _owners_of_tail(layout: NMG, chunk: Chunk, pattern: np.ndarray) -> np.ndarray:
    """pattern bool [B, R % m, F of the chunk or more] -> int32 [B, 1, C*g]: where several patterns fit, NMG-C10 decides."""
    one = replace(_planar(layout), g=chunk.g)
    idx = assign_fibres(one, pattern[..., :chunk.patterns * chunk.g])                      # [B, 1, C*g]
    owner = np.empty(idx.shape, np.int32)
    np.put_along_axis(owner, idx, np.broadcast_to(np.arange(idx.shape[2]) // chunk.g, idx.shape).astype(np.int32), axis=2)
    return owner


def _planar(layout: NMG) -> NMG:
    return replace(layout, sparse_axis=1, group_axis=2)


def _planes(array: np.ndarray, layout: NMG) -> np.ndarray:
    return bring_last(array, layout.sparse_axis, layout.group_axis)


def _chunks(shape: tuple[int, ...], layout: NMG) -> Iterator[Chunk]:
    return layout.chunks(shape[layout.group_axis] if math.prod(shape) else 0)


def _coding(layout: NMG, chunk: Chunk, shape: tuple[int, ...], items: np.ndarray, idx: np.ndarray | None = None) -> CCoding:
    """items: an array of the values' item size."""
    batch, (rows, fibres) = split_sides(shape, layout.sparse_axis, layout.group_axis)
    places, binomial, of_rank = _tables(layout.n, layout.m)
    return CCoding(block_rows=batch * ceil_div(rows, layout.m), slots=layout.slots(fibres), first=chunk.first, n=layout.n,
                   m=layout.m, patterns=chunk.patterns, g=chunk.g, fibres=min(fibres - chunk.first, chunk.patterns * chunk.g),
                   places=places.ctypes.data, binomial=binomial.ctypes.data, pattern_of_rank=of_rank.ctypes.data,
                   item_bytes=items.itemsize, index_bytes=1 if idx is None else idx.itemsize)


@cache
def _tables(n: int, m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """-> places uint8 [C, n]; i over j, uint32 [m, n + 1]; the pattern of each rank, int32 [C].

    The rank of places i1 < i2 < ... is the sum of (i1 over 1), (i2 over 2), ...: every subset of n has its own below C.
    """
    places = pattern_places(n, m)
    most = math.comb(m, n)
    over = [[math.comb(i, j) for j in range(n + 1)] for i in range(m)]
    binomial = np.array([[found if found < most else 0 for found in row] for row in over], np.uint32)
    rank = binomial[places, np.arange(1, n + 1)].sum(axis=1)
    of_rank = np.empty(len(places), np.int32)
    of_rank[rank] = np.arange(len(places))
    return np.ascontiguousarray(places, np.uint8), binomial, of_rank


def _step(name: str, coding: CCoding, **arrays: np.ndarray) -> int:
    """Call sparseref_nmg_`name` on arrays that are contiguous and live until it returns.  -> DONE or NO_SLOT."""
    for field, array in arrays.items():
        assert array.flags.c_contiguous, field
        setattr(coding, field, array.ctypes.data)
    status = getattr(library().functions, f"sparseref_nmg_{name}")(ctypes.byref(coding), threads())
    if status != NO_SLOT:
        done(status, f"{coding.patterns} patterns of {coding.g} fibres")
    return int(status)
