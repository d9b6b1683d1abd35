"""Bugs in encode, decode and validate."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...array import SparseArray
from ...coding import decode
from ...errors import SpecError
from ...layouts import CSR, NMG
from ...layouts.blocks import entry_numbers
from ..wire import Call
from .mutant import Run, each_array, layout_of, mutant, on_values, with_arrays, with_operand


def by_position(a: SparseArray, positions: np.ndarray) -> np.ndarray:
    """Values written where `positions` say, the last one winning."""
    dense = np.zeros(int(np.prod(a.shape)), a.dtype)
    dense[positions.reshape(-1)] = a.values.reshape(-1)
    return dense.reshape(a.shape)


@mutant("CSR-C4", "decode")
def csr_last_row_dropped(run: Run, call: Call) -> Any:
    """The loop over csr rows stops one early."""
    dense = run(call)
    if layout_of(call.operands[0]) == "csr" and len(dense):
        dense[-1] = 0
    return dense


@mutant("CSC-C4", "decode")
def csc_pointer_off_by_one(run: Run, call: Call) -> Any:
    """Column j of csc takes the slots of column j + 1."""
    dense = run(call)
    return np.roll(dense, -1, axis=1) if layout_of(call.operands[0]) == "csc" else dense


@mutant("CSC-C4", "decode")
def csc_read_as_csr(run: Run, call: Call) -> Any:
    """csc decoded as csr of the same shape where the shape is square."""
    a = call.operands[0]
    if layout_of(a) == "csc" and a.shape[0] == a.shape[1]:
        return run(with_operand(call, 0, replace(a, layout=CSR())))
    return run(call)


@mutant("COO-C1", "decode")
def coo_coordinates_swapped(run: Run, call: Call) -> Any:
    """Row and column of coo exchanged."""
    a = call.operands[0]
    if layout_of(a) == "coo" and len(a.shape) == 2:
        turned = replace(with_arrays(a, coords=a["coords"][::-1]), shape=a.shape[::-1])
        return run(with_operand(call, 0, turned)).reshape(a.shape)
    return run(call)


@mutant("COO-C1", "decode")
def coo_assumed_sorted(run: Run, call: Call) -> Any:
    """coo's coordinates are sorted, its values are not taken along."""
    a = call.operands[0]
    if layout_of(a) == "coo":
        order = np.lexsort(a["coords"][::-1])
        return run(with_operand(call, 0, with_arrays(a, coords=a["coords"][:, order])))
    return run(call)


@mutant("CORE-V2", "decode")
def duplicates_last_wins(run: Run, call: Call) -> Any:
    """A duplicate overwrites the entry before it instead of adding up."""
    a = call.operands[0]
    return by_position(a, a.layout.positions(a)) if layout_of(a) in ("coo", "csr", "csc") else run(call)


@mutant("CORE-V2", "decode")
def duplicates_first_wins(run: Run, call: Call) -> Any:
    """Only the first of several duplicates counts."""
    a = call.operands[0]
    if layout_of(a) not in ("coo", "csr", "csc"):
        return run(call)
    turned = a.layout.positions(a)[::-1]
    return by_position(a.with_values(a.values[::-1]), turned)


@mutant("CORE-P5", "decode")
def padding_written_to_last_entry(run: Run, call: Call) -> Any:
    """Position -1 of padding is used as an index, so that padding lands in the last entry."""
    a = call.operands[0]
    positions = a.layout.positions(a)
    dense = run(call)
    if dense.size and (positions == -1).any():
        dense.reshape(-1)[-1] = a.values[positions == -1][0]
    return dense


@mutant("NMG-C4", "decode")
def nmg_lexicographic_patterns(run: Run, call: Call) -> Any:
    """nmg's patterns in lexicographic order, 01 02 03 12 ..., instead of minimal change."""
    a = call.operands[0]
    if not isinstance(a.layout, NMG):
        return run(call)
    places = np.concatenate([np.repeat(np.unique(_places(a.layout), axis=0), chunk.g, axis=0)
                             for chunk in a.layout.chunks(a.shape[a.layout.group_axis])] or [np.zeros((0, a.layout.n), int)])
    return _nmg_decode(a, a.layout, places, a.layout.slot_chunk_start(a.shape[a.layout.group_axis]))


@mutant("NMG-C4", "decode")
def nmg_index_not_from_chunk(run: Run, call: Call) -> Any:
    """idx read as a fibre of the whole array, not of its chunk."""
    a = call.operands[0]
    if not isinstance(a.layout, NMG):
        return run(call)
    fibres = a.shape[a.layout.group_axis]
    return _nmg_decode(a, a.layout, a.layout.slot_places(fibres), np.zeros(a.layout.slots(fibres), int))


@mutant("NMG-C9", "decode")
def nmg_short_tail_with_full_g(run: Run, call: Call) -> Any:
    """In the short last chunk the pattern of a slot is found with the full g."""
    a = call.operands[0]
    if not isinstance(a.layout, NMG) or a.layout.tail != "short":
        return run(call)
    fibres = a.shape[a.layout.group_axis]
    places = a.layout.slot_places(fibres)
    wrong = np.repeat(_places(a.layout), a.layout.g, axis=0)
    start = a.layout.slot_chunk_start(fibres)
    within = np.arange(len(places)) - start
    return _nmg_decode(a, a.layout, wrong[within] if len(places) else places, start)


def _places(layout: NMG) -> np.ndarray:
    from ...layouts.patterns import pattern_places

    return pattern_places(layout.n, layout.m)


def _nmg_decode(a: SparseArray, layout: NMG, places: np.ndarray, start: np.ndarray) -> np.ndarray:
    """nmg decoded with these places and chunk starts of the slots."""
    numbers = layout.cut(entry_numbers(a.shape), -1)
    b = np.arange(numbers.shape[0])[:, None, None, None]
    block = np.arange(numbers.shape[1])[:, None, None]
    positions = numbers[b, block, places, (start + a["idx"])[..., None]]
    dense = np.zeros(int(np.prod(a.shape)) + 1, a.dtype)       # the last place takes the padding
    dense[positions] = a.values
    return dense[:-1].reshape(a.shape)


@mutant("NM-C3", "decode")
def nm_axis_ignored(run: Run, call: Call) -> Any:
    """nm along another axis than the last read as if it were the last."""
    a = call.operands[0]
    if layout_of(a) == "nm" and a.layout.axis == 0 and len(a.shape) == 2:
        flipped = replace(a, layout=replace(a.layout, axis=-1), shape=a.shape[::-1])
        return run(with_operand(call, 0, flipped)).reshape(a.shape)
    return run(call)


@mutant("BSR-C6", "decode")
def bsr_blocks_column_major(run: Run, call: Call) -> Any:
    """The entries of a bsr block read column by column."""
    a = call.operands[0]
    if layout_of(a) == "bsr":
        turned = a.values.swapaxes(1, 2).reshape(a.values.shape)
        return run(with_operand(call, 0, a.with_values(turned)))
    return run(call)


@mutant("VNM-C3", "decode")
def vnm_first_row_everywhere(run: Run, call: Call) -> Any:
    """All rows of a vnm tile get the values of its first row."""
    a = call.operands[0]
    if layout_of(a) == "vnm":
        return run(with_operand(call, 0, a.with_values(np.broadcast_to(a.values[..., :1, :], a.values.shape))))
    return run(call)


@mutant("ELL-C2", "decode")
def ell_breaks_early(run: Run, call: Call) -> Any:
    """The loop over ell's slots stops at K - 1."""
    a = call.operands[0]
    if layout_of(a) == "ell":
        return run(with_operand(call, 0, with_arrays(a, indices=a["indices"][:, :-1], values=a.values[:, :-1])))
    return run(call)


@mutant("MASKED-C1", "decode")
def mask_ignored(run: Run, call: Call) -> Any:
    """The values of masked are given back as they are, stale ones too."""
    a = call.operands[0]
    return a.values.copy() if layout_of(a) == "masked" else run(call)


@mutant("CORE-V1", "decode", "to_dense")
def minus_zero_lost(run: Run, call: Call) -> Any:
    """Entries are added onto a zeroed array, so -0 becomes +0."""
    return on_values(run(call), lambda values: values + np.zeros((), values.dtype))


@mutant("CORE-V1", "decode", "to_dense")
def structural_zero_is_negative(run: Run, call: Call) -> Any:
    """Entries that are not stored come out as -0."""
    dense = run(call)
    return np.where(call.operands[0].pattern, dense, np.zeros((), dense.dtype) * -1) if dense.dtype.kind != "i" else dense


@mutant("CORE-V1", "decode", "encode")
def bfloat16_through_float16(run: Run, call: Call) -> Any:
    """bfloat16 values pass through float16 on their way."""
    return on_values(run(call), lambda v: v.astype(np.float16).astype(v.dtype) if v.dtype.name == "bfloat16" else v)


@mutant("CORE-V1", "decode", "encode", "linear")
def subnormals_flushed(run: Run, call: Call) -> Any:
    """Subnormal numbers become zero (a compiler's fast-math flag)."""
    def flush(values: np.ndarray) -> np.ndarray:
        if values.dtype != np.float32:
            return values
        return np.where(np.abs(values) < np.finfo(np.float32).tiny, np.float32(0), values)
    return on_values(run(call), flush)


@mutant("CORE-M2", "decode", "linear", "relu")
def fortran_order_ignored(run: Run, call: Call) -> Any:
    """Memory is read in the order it lies, whatever the strides say."""
    return run(each_array(call, lambda values: values.ravel(order="K").reshape(values.shape)))


@mutant("CORE-M2", "decode", "add")
def negative_strides_ignored(run: Run, call: Call) -> Any:
    """A reversed view is read forwards."""
    def forwards(values: np.ndarray) -> np.ndarray:
        return values[tuple(slice(None, None, -1 if step < 0 else 1) for step in values.strides)]
    return run(each_array(call, forwards))


@mutant("CORE-M2", "decode", "encode", "matmul")
def read_only_refused(run: Run, call: Call) -> Any:
    """A read-only operand is asked for a writable buffer."""
    for operand in call.operands:
        array = operand.values if isinstance(operand, SparseArray) else operand
        if isinstance(array, np.ndarray) and not array.flags.writeable:
            raise ValueError("buffer source array is read-only")
    return run(call)


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
    if layout_of(a) != "csr":
        return a
    row = np.repeat(np.arange(a.shape[0]), np.diff(a["indptr"]))
    order = np.lexsort((-a["indices"], row))
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


@mutant("CORE-V2", "to_dense", "convert", "linear")
def duplicates_lost_on_the_way(run: Run, call: Call) -> Any:
    """An operator sees the last of several duplicates only."""
    def once(operand: Any) -> Any:
        if layout_of(operand) not in ("coo", "csr", "csc"):
            return operand
        from ...coding import encode
        return encode(by_position(operand, operand.layout.positions(operand)), operand.layout, operand.pattern)
    return run(replace(call, operands=tuple(map(once, call.operands))))


@mutant("CONVERT-1", "convert")
def stored_zeros_lost_in_conversion(run: Run, call: Call) -> Any:
    """convert takes the pattern from the values, so that stored zeros vanish."""
    from ...coding import encode
    a = run(call)
    dense = decode(a)
    return encode(dense, a.layout, a.pattern & (dense != 0)) if a.layout.any_pattern else a


@mutant("DENSE-C1", "decode")
def dense_column_major(run: Run, call: Call) -> Any:
    """dense is read column by column."""
    a, dense = call.operands[0], run(call)
    return dense.reshape(-1, order="F").reshape(dense.shape) if layout_of(a) == "dense" else dense


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
    if layout_of(a) != "csc":
        return a
    column = np.repeat(np.arange(a.shape[1]), np.diff(a["indptr"]))
    order = np.lexsort((-a["indices"], column))
    return with_arrays(a, indices=a["indices"][order], values=a.values[order])


@mutant("COO-C4", "decode")
def coo_duplicates_last_wins(run: Run, call: Call) -> Any:
    """coo alone lets a duplicate overwrite."""
    return duplicates_last_wins(run, call) if layout_of(call.operands[0]) == "coo" else run(call)


@mutant("CSR-C6", "decode")
def csr_duplicates_last_wins(run: Run, call: Call) -> Any:
    """csr alone lets a duplicate overwrite."""
    return duplicates_last_wins(run, call) if layout_of(call.operands[0]) == "csr" else run(call)


@mutant("CSC-C6", "decode")
def csc_duplicates_last_wins(run: Run, call: Call) -> Any:
    """csc alone lets a duplicate overwrite."""
    return duplicates_last_wins(run, call) if layout_of(call.operands[0]) == "csc" else run(call)


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


@mutant("CONVERT-2", "convert")
def dense_of_minus_zeros(run: Run, call: Call) -> Any:
    """convert to dense stores -0 where nothing was stored."""
    a, result = call.operands[0], run(call)
    if layout_of(result) != "dense" or result.dtype.kind == "i":
        return result
    return result.with_values(np.where(a.pattern, result.values, -np.zeros((), result.dtype)))


@mutant("TODENSE-1", "to_dense")
def last_column_missing(run: Run, call: Call) -> Any:
    """to_dense leaves out the last column."""
    dense = run(call)
    if dense.ndim and dense.shape[-1]:
        dense[..., -1] = 0
    return dense
