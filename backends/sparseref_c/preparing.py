"""A sparse matrix -> the runs that the kernel multiplies: a weight is prepared once and used often.

nmg keeps its patterns: the g fibres of one are a run of n rows.  Everything else is multiplied row by row, n = 1.  Padding is
left out.  Order, from the outside in: group of rows, block of columns, row or block row, pattern, column.
"""

from __future__ import annotations

import ctypes
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from sparseref import NMG, SparseArray
from sparseref.layouts.patterns import pattern_places

from .library import RUN, SEGMENT, CRuns, CSizes, load

GROUP_ROWS = 128
"""At least; sums of so many rows and a tile of tokens lie in the second-level cache."""
SINGLE_COLUMNS = 160
"""Of a block of columns at n = 1, unless one chunk has more: every multiplication reads x, so that much of a tile of it has to
stay in the first-level cache."""
RUN_COLUMNS, MOST_COLUMNS = 40, 1024
"""Other n: of a run at least, as long runs rarely load and store their sums; of a block at most, for the second-level cache."""
MOST_ROWS = 4
"""Of a run, as in src/runs.h."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """A weight [O, K] in runs, of float32 or float64 values; `arrays` own what `runs` points to."""

    shape: tuple[int, int]
    dtype: np.dtype[Any]
    runs: CRuns
    arrays: tuple[np.ndarray, ...]


def prepare(a: SparseArray, transposed: bool = False) -> Prepared:
    """A valid array [..., K] in any layout -> Prepared [..., K] with its first sides in one, float32 for all types but float64.

    transposed: [..., K, N] -> Prepared [... N, K].
    """
    layout = a.layout
    if a.ndim == 2 and isinstance(layout, NMG) and layout.sparse_axis % 2 == int(transposed):
        return _from_patterns(a, layout, a.shape[::-1] if transposed else a.shape)
    positions = a.layout.positions(a).reshape(-1)
    stored = positions >= 0
    row, column = np.divmod(positions[stored], a.shape[-1])
    if not transposed:
        shape = (math.prod(a.shape[:-1]), a.shape[-1])
    else:
        batch, K = np.divmod(row, a.shape[-2])
        row, column = batch * a.shape[-1] + column, K
        shape = (math.prod(a.shape[:-2]) * a.shape[-1], a.shape[-2])
    return _from_entries(row, column, a.values.reshape(-1)[stored], shape, _real(a.dtype))


def _from_entries(row: np.ndarray, column: np.ndarray, value: np.ndarray, shape: tuple[int, ...], real: Any) -> Prepared:
    """Entries in any order, duplicates among them -> runs of one row within a block of columns."""
    group, block = row // GROUP_ROWS, column // SINGLE_COLUMNS
    order = np.lexsort((column, row, block, group))
    row, column, value, group, block = (array[order] for array in (row, column, value, group, block))
    starts = np.flatnonzero(np.diff(row, prepend=-1).astype(bool) | np.diff(block, prepend=-1).astype(bool))
    runs = np.zeros(len(starts), RUN)
    runs["count"] = np.diff(starts, append=len(row))
    runs["row"][:, 0] = row[starts] % GROUP_ROWS
    groups = -(-shape[0] // GROUP_ROWS)
    first_run = np.searchsorted(group[starts], np.arange(groups + 1))
    first_entry = np.append(starts, len(row))[first_run]
    segments = np.zeros(groups, SEGMENT)                       # a group's column blocks follow each other: one segment
    segments["first_run"], segments["runs"] = first_run[:-1], np.diff(first_run)
    segments["first_column"] = segments["first_value"] = first_entry[:-1]
    segments["n"] = 1
    return _prepared(shape, GROUP_ROWS, np.arange(groups + 1), segments, runs, column, value, 1, real)


def _from_patterns(a: SparseArray, layout: NMG, shape: tuple[int, ...]) -> Prepared:
    """nmg, its sparse axis along the rows: values [1, RB, S, n], idx [1, RB, S] -> a run for each pattern of a block row."""
    fibres, m, n = shape[1], layout.m, layout.n
    pattern, chunk = _slots(layout, fibres)                                                # [S] each
    places = pattern_places(n, m)                                                          # [C, n]
    columns = SINGLE_COLUMNS if n == 1 else min(RUN_COLUMNS * layout.patterns, MOST_COLUMNS)
    block = chunk // max(1, columns // (layout.patterns * layout.g))
    column = layout.slot_chunk_start(fibres) + a["idx"][0].astype(np.int64)                # [RB, S]
    stored = column < fibres                                                               # NMG-C8: the rest is filling
    values, column, stored = (_in_fours(array) for array in (a.values[0], column, stored))  # [RB / 4, 4, S, ...]
    each = 4 * -(-GROUP_ROWS // (4 * m))                                                   # block rows of a group
    pieces = [slice(first, min(first + MOST_ROWS, n)) for first in range(0, n, MOST_ROWS)]
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, int]] = []
    segment_of = [0]
    for first in range(0, len(values), each // 4):
        mine = slice(first, first + each // 4)
        for one in range(block[-1] + 1 if len(block) else 0):
            slots = np.flatnonzero(block == one)
            slots = slots[np.argsort(pattern[slots], kind="stable")]
            of_slot = pattern[slots]
            starts = np.flatnonzero(np.diff(of_slot, prepend=-1))
            order = np.lexsort((np.tile(np.arange(len(slots)), 4), np.repeat(np.arange(4), len(slots)), np.tile(of_slot, 4)))
            kept = stored[mine][:, :, slots]                                               # [fours, 4, slots]
            counts = np.add.reduceat(kept, starts, axis=2, dtype=np.int64).transpose(0, 2, 1).reshape(-1)
            kept = kept.reshape(len(kept), -1)[:, order]
            columns = column[mine][:, :, slots].reshape(len(kept), -1)[:, order][kept]
            some = values[mine][:, :, slots].reshape(len(kept), -1, n)[:, order][kept]
            base = (np.arange(len(kept))[:, None] * 4 + np.arange(4)) * m                  # rows within the group
            rows = (base[:, None, :, None] + places[of_slot[starts]][None, :, None, :]).reshape(-1, n)
            for piece in pieces:
                runs = np.zeros(counts.size, RUN)
                runs["count"] = counts
                runs["row"][:, :piece.stop - piece.start] = rows[:, piece]
                parts.append((runs[counts > 0], columns, some[:, piece], piece.stop - piece.start))
        segment_of.append(len(parts))
    segments = np.zeros(len(parts), SEGMENT)
    for name, sizes in (("first_run", [len(part[0]) for part in parts]), ("first_column", [len(part[1]) for part in parts]),
                        ("first_value", [part[2].size for part in parts])):
        segments[name] = np.cumsum([0, *sizes])[:-1]
    segments["runs"], segments["n"] = [len(part[0]) for part in parts], [part[3] for part in parts]
    runs = np.concatenate([np.zeros(0, RUN), *(part[0] for part in parts)])
    columns = np.concatenate([np.zeros(0, np.int64), *(part[1] for part in parts)])
    value = np.concatenate([np.zeros(0, a.dtype), *(part[2].reshape(-1) for part in parts)])
    return _prepared(shape, each * m, segment_of, segments, runs, columns, value, min(n, MOST_ROWS), _real(a.dtype))


def _in_fours(array: np.ndarray) -> np.ndarray:
    """[RB, ...] -> [ceil(RB / 4), 4, ...], filled up with 0: runs of one pattern in four block rows are neighbours."""
    filled = np.zeros((-len(array) % 4, *array.shape[1:]), array.dtype)
    return np.concatenate([array, filled]).reshape((len(array) + 3) // 4, 4, *array.shape[1:])


def _slots(layout: NMG, fibres: int) -> tuple[np.ndarray, np.ndarray]:
    """-> the pattern and the chunk of every slot, int64 [S] (NMG-C4)."""
    chunks = list(layout.chunks(fibres))
    pattern = [np.repeat(np.arange(chunk.patterns), chunk.g) for chunk in chunks]
    chunk_of = [np.full(chunk.g * chunk.patterns, number) for number, chunk in enumerate(chunks)]
    return tuple(np.concatenate([np.zeros(0, np.int64), *parts]) for parts in (pattern, chunk_of))  # type: ignore[return-value]


def _prepared(shape: tuple[int, ...], group_rows: int, segment_of: Any, segments: np.ndarray, runs: np.ndarray,
              column: np.ndarray, value: np.ndarray, widest: int, real: Any) -> Prepared:
    arrays = (np.asarray(segment_of, np.int64), segments, runs, column.astype(np.uint32), value.astype(real))
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    rows, columns = (int(side) for side in shape)
    found = CRuns(rows, columns, group_rows, len(segment_of) - 1, widest, *pointers)
    assert not load().sparseref_check(found, CSizes(*(array.size for array in arrays)))    # of a valid array
    return Prepared((rows, columns), np.dtype(real), found, arrays)


def _real(dtype: np.dtype[Any]) -> Any:
    return np.float64 if dtype == np.float64 else np.float32
