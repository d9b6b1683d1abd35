"""Bugs in encode and validate."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...array import SparseArray
from ...errors import SpecError
from ...layouts.compressed import line_of_each_slot
from ..wire import Call
from .mutant import Run, layout_of, mutant, with_arrays, with_operand


@mutant("CORE-C1", "encode")
def stored_zeros_dropped(run: Run, call: Call) -> Any:
    """Entries of the pattern that are zero are not stored."""
    dense, pattern = call.operands
    if run(call).layout.any_pattern:
        return run(with_operand(call, 1, pattern & (dense != 0)))
    return run(call)


@mutant("CORE-I1", "encode")
def coordinates_as_int64(run: Run, call: Call) -> Any:
    """Coordinates are int64 where the clause wants int32."""
    a = run(call)
    wide = {name: array.astype(np.int64) for name, array in a.arrays.items() if array.dtype == np.int32}
    return with_arrays(a, **wide)


@mutant("CORE-I2", "encode")
def slot_index_as_uint16(run: Run, call: Call) -> Any:
    """idx is uint16 where uint8 is enough."""
    a = run(call)
    return with_arrays(a, idx=a["idx"].astype(np.uint16)) if "idx" in a.arrays else a


@mutant("CSR-C5", "encode")
def csr_columns_descending(run: Run, call: Call) -> Any:
    """The columns of a csr row come in descending order: the same entries, not the canonical form."""
    a = run(call)
    return _descending(a) if layout_of(a) == "csr" else a


def _descending(a: SparseArray) -> SparseArray:
    """csr or csc: the indices of every line from the highest to the lowest."""
    order = np.lexsort((-a["indices"], line_of_each_slot(a["indptr"])))
    return with_arrays(a, indices=a["indices"][order], values=a.values[order])


@mutant("NMG-C10", "encode")
def nmg_slots_swapped(run: Run, call: Call) -> Any:
    """Two fibres of one pattern lie in the other order: the same entries, not the canonical form."""
    a = run(call)
    if layout_of(a) != "nmg" or a.layout.g < 2 or a["idx"].shape[2] < 2:
        return a
    idx, values = a["idx"].copy(), a.values.copy()
    idx[..., [0, 1]], values[..., [0, 1], :] = idx[..., [1, 0]], values[..., [1, 0], :]
    return with_arrays(a, idx=idx, values=values)


@mutant("CORE-P5", "encode")
def padding_left_uninitialised(run: Run, call: Call) -> Any:
    """Padding slots hold what was in memory."""
    a = run(call)
    return a.with_values(np.where(a.layout.positions(a) < 0, np.ones((), a.dtype), a.values))


@mutant("ELL-C4", "encode")
def ell_one_slot_too_many(run: Run, call: Call) -> Any:
    """Every ell row has one slot of padding more than K."""
    a = run(call)
    if layout_of(a) != "ell":
        return a
    return with_arrays(a, indices=np.pad(a["indices"], [(0, 0), (0, 1)], constant_values=-1),
                       values=np.pad(a.values, [(0, 0), (0, 1)]))


@mutant("NMG-C8", "encode")
def tail_rows_dropped(run: Run, call: Call) -> Any:
    """Rows past the last whole block are encoded as zero."""
    dense = call.operands[0]
    a = run(call)
    if layout_of(a) == "nmg" and a.layout.sparse_axis == 0 and dense.shape[0] % a.layout.m and dense.ndim == 2:
        cut = dense.copy()
        cut[dense.shape[0] // a.layout.m * a.layout.m:] = 0
        return run(with_operand(call, 0, cut))
    return a


@mutant("CORE-M1", "encode")
def values_not_copied(run: Run, call: Call) -> Any:
    """The dense layout keeps the caller's own array."""
    a = run(call)
    return a.with_values(call.operands[0]) if layout_of(a) == "dense" else a


@mutant("CORE-S1", "encode", "decode", "sum")
def empty_arrays_crash(run: Run, call: Call) -> Any:
    """A side of length 0 divides by zero."""
    if any(0 in operand.shape for operand in call.operands if operand is not None):
        raise ZeroDivisionError("division by zero")
    return run(call)


@mutant("CORE-C2", "validate")
def unsorted_refused(run: Run, call: Call) -> Any:
    """csr is refused unless the columns of each row rise, which no clause asks for."""
    a = call.operands[0]
    if layout_of(a) == "csr" and np.array_equal(a["indptr"], np.sort(a["indptr"])) and len(a["indices"]) == a["indptr"][-1]:
        for start, stop in zip(a["indptr"], a["indptr"][1:], strict=False):
            if (np.diff(a["indices"][start:stop]) <= 0).any():
                raise SpecError("CSR-C3", "columns do not rise.", wanted="rising", given="not")
    return run(call)


@mutant("CORE-P1", "validate")
def stored_zeros_refused(run: Run, call: Call) -> Any:
    """A stored zero is taken for damage."""
    a = call.operands[0]
    run(call)
    if layout_of(a) == "coo" and (a.values == 0).any():
        raise SpecError("COO-C2", "a zero is stored.", wanted="no zeros", given="0")


@mutant("ERR-1", "validate")
def every_refusal_by_one_clause(run: Run, call: Call) -> Any:
    """Whatever is wrong, the refusal names CORE-A2."""
    try:
        return run(call)
    except SpecError as refusal:
        raise SpecError("CORE-A2", refusal.what, wanted=refusal.wanted, given=refusal.given) from None


@mutant("ERR-1", "validate")
def refusals_are_value_errors(run: Run, call: Call) -> Any:
    """Bad input raises a bare ValueError without a clause."""
    try:
        return run(call)
    except SpecError as refusal:
        raise ValueError(str(refusal)) from None


@mutant("CORE-A1", "validate")
def nothing_validated(run: Run, call: Call) -> Any:
    """validate looks at nothing."""
    return None


@mutant("MASKED-C2", "encode")
def masked_keeps_what_was_dropped(run: Run, call: Call) -> Any:
    """masked stores the whole array beside the mask."""
    a = run(call)
    return a.with_values(call.operands[0].copy()) if layout_of(a) == "masked" else a


@mutant("COO-C5", "encode")
def coo_column_by_column(run: Run, call: Call) -> Any:
    """coo's entries stand in column-major order."""
    a = run(call)
    if layout_of(a) != "coo":
        return a
    order = np.lexsort(a["coords"])
    return with_arrays(a, coords=a["coords"][:, order], values=a.values[order])


@mutant("CSC-C5", "encode")
def csc_rows_descending(run: Run, call: Call) -> Any:
    """The rows of a csc column come in descending order."""
    a = run(call)
    return _descending(a) if layout_of(a) == "csc" else a


@mutant("BSR-C7", "encode")
def bsr_stores_empty_blocks(run: Run, call: Call) -> Any:
    """The first block is stored even where the pattern holds nothing of it."""
    a = run(call)
    if layout_of(a) != "bsr" or len(a["indptr"]) < 2 or a["indptr"][1] != 0 or a.shape[1] == 0:
        return a
    indptr = a["indptr"].copy()
    indptr[1:] += 1
    return with_arrays(a, indptr=indptr, indices=np.insert(a["indices"], 0, 0), values=np.insert(a.values, 0, 0, axis=0))


@mutant("NM-C6", "encode")
def nm_takes_highest_filling(run: Run, call: Call) -> Any:
    """Of the places beyond the end, nm takes the last ones first."""
    return _highest_filling(run(call)) if str(call.parameters["layout"]).startswith("nm:") else run(call)


@mutant("VNM-C6", "encode")
def vnm_takes_highest_filling(run: Run, call: Call) -> Any:
    """Of the columns beyond the end, vnm takes the last ones first."""
    return _highest_filling(run(call)) if str(call.parameters["layout"]).startswith("vnm:") else run(call)


def _highest_filling(a: SparseArray) -> SparseArray:
    """The idx of filling in the last block, counted from the end of the block."""
    layout: Any = a.layout                                     # nm or vnm
    axis = layout.axis if layout.name == "nm" else layout.sparse_axis
    left = a.shape[axis] % layout.m
    idx = a["idx"].astype(np.int64)
    if left == 0 or idx.size == 0:
        return a
    last = idx[..., -1, :]
    filling = last >= left
    count = filling.sum(axis=-1, keepdims=True)
    last[filling] = (layout.m - count + (last - left))[filling]
    return with_arrays(a, idx=idx.astype(a["idx"].dtype))
