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

from .library import RUN, SEGMENT, CRuns

GROUP_ROWS = 128
"""At least; sums of so many rows and a tile of tokens lie in the second-level cache."""
BLOCK_COLUMNS = 128
"""At most, unless one chunk has more: so much of a tile of x lies in the first-level cache."""
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
    group, block = row // GROUP_ROWS, column // BLOCK_COLUMNS
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
    values, fibres = a.values[0], shape[1]
    block_rows, _, n = values.shape
    places = pattern_places(n, layout.m)                                                   # [C, n]
    pattern, chunk = _slots(layout, fibres)                                                # [S] each
    block = chunk // max(1, BLOCK_COLUMNS // (layout.patterns * layout.g))
    turn = _turns(places, layout.m)[pattern]
    order = np.lexsort((chunk, turn, block))                                               # stable: slots of a run keep theirs
    values, pattern, block = values[:, order], pattern[order], block[order]
    column = (layout.slot_chunk_start(fibres) + a["idx"][0].astype(np.int64))[:, order]    # [RB, S]
    stored = column < fibres                                                               # NMG-C8: the rest is filling
    starts = np.flatnonzero(np.diff(pattern, prepend=-1).astype(bool) | np.diff(block, prepend=-1).astype(bool))
    counts = np.add.reduceat(stored, starts, axis=1) if len(starts) else np.zeros((block_rows, 0), np.int64)
    run_places, run_block = places[pattern[starts]], block[starts]                         # [NR, n], [NR]

    each = -(-GROUP_ROWS // layout.m)                                                      # block rows of a group
    pieces = [slice(first, min(first + MOST_ROWS, n)) for first in range(0, n, MOST_ROWS)]
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray, int]] = []
    segment_of = [0]
    for first in range(0, block_rows, each):
        mine = slice(first, min(first + each, block_rows))
        base = np.arange(mine.stop - mine.start)[:, None, None] * layout.m                 # rows within the group
        for one in range(block[-1] + 1 if len(block) else 0):
            slots, of_block = block == one, run_block == one
            kept, count = stored[mine][:, slots], counts[mine][:, of_block]
            columns = column[mine][:, slots][kept]
            rows = base + run_places[of_block]                                             # [block rows, runs, n]
            for piece in pieces:
                runs = np.zeros(count.size, RUN)
                runs["count"] = count.reshape(-1)
                runs["row"][:, :piece.stop - piece.start] = rows[:, :, piece].reshape(count.size, -1)
                value = values[mine][:, slots][kept][:, piece]
                parts.append((runs[runs["count"] > 0], columns, value, piece.stop - piece.start))
        segment_of.append(len(parts))
    segments = np.zeros(len(parts), SEGMENT)
    for name, sizes in (("first_run", [len(part[0]) for part in parts]), ("first_column", [len(part[1]) for part in parts]),
                        ("first_value", [part[2].size for part in parts])):
        segments[name] = np.cumsum([0, *sizes])[:-1]
    segments["runs"], segments["n"] = [len(part[0]) for part in parts], [part[3] for part in parts]
    runs = np.concatenate([np.zeros(0, RUN), *(part[0] for part in parts)])
    columns = np.concatenate([np.zeros(0, np.int64), *(part[1] for part in parts)])
    value = np.concatenate([np.zeros(0, values.dtype), *(part[2].reshape(-1) for part in parts)])
    return _prepared(shape, each * layout.m, segment_of, segments, runs, columns, value, min(n, MOST_ROWS), _real(a.dtype))


def _slots(layout: NMG, fibres: int) -> tuple[np.ndarray, np.ndarray]:
    """-> the pattern and the chunk of every slot, int64 [S] (NMG-C4)."""
    chunks = list(layout.chunks(fibres))
    pattern = [np.repeat(np.arange(chunk.patterns), chunk.g) for chunk in chunks]
    chunk_of = [np.full(chunk.g * chunk.patterns, number) for number, chunk in enumerate(chunks)]
    return tuple(np.concatenate([np.zeros(0, np.int64), *parts]) for parts in (pattern, chunk_of))  # type: ignore[return-value]


def _turns(places: np.ndarray, m: int) -> np.ndarray:
    """places [C, n] -> int64 [C]: each pattern's turn, such that neighbours share few rows.

    Neighbours in the layout's own order share all rows but one, so that each run would wait for the sums of the last.
    """
    patterns, n = places.shape
    if n == 1 or n == m:
        return np.arange(patterns)
    stride = max(1, patterns // max(2, m // n))
    while np.gcd(stride, patterns) != 1:
        stride += 1
    order = np.arange(patterns) * stride % patterns
    turns = np.empty(patterns, np.int64)
    turns[order] = np.arange(patterns)
    return turns


def _prepared(shape: tuple[int, ...], group_rows: int, segment_of: Any, segments: np.ndarray, runs: np.ndarray,
              column: np.ndarray, value: np.ndarray, widest: int, real: Any) -> Prepared:
    arrays = (np.asarray(segment_of, np.int64), segments, runs, column.astype(np.uint32), value.astype(real))
    pointers = [ctypes.c_void_p(array.ctypes.data) for array in arrays]
    rows, columns = (int(side) for side in shape)
    return Prepared((rows, columns), np.dtype(real), CRuns(rows, columns, group_rows, len(segment_of) - 1, widest, *pointers),
                    arrays)


def _real(dtype: np.dtype[Any]) -> Any:
    return np.float64 if dtype == np.float64 else np.float32
