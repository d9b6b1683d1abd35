"""Bugs in decode."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...array import SparseArray
from ...layouts import CSR, NMG
from ...layouts.blocks import entry_numbers
from ...layouts.patterns import pattern_places
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


@mutant("DENSE-C1", "decode")
def dense_column_major(run: Run, call: Call) -> Any:
    """dense is read column by column."""
    a, dense = call.operands[0], run(call)
    return dense.reshape(-1, order="F").reshape(dense.shape) if layout_of(a) == "dense" else dense


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
