"""A sparse matrix -> the runs that the kernel multiplies: a weight is prepared once and used often.

nmg keeps its patterns: the g fibres of one are a run of n rows, and the runs of a pattern in four block rows go abreast.  They
stand there once more, alone, for many tokens: at n of 2 and more, and where filling leaves the four unlike.  Everything else
has runs of one row, four of about equal length abreast.  Padding is left out; where only some of four runs have a slot, the
others read a column of zeros, number K.  Order, from the outside in: group of rows, block of columns, four block rows or rows,
pattern, slot; alone block row, pattern, slot.  Patterns go by their rows, so that as many as possible begin with the same.

With n of 2 and more and a last chunk that is not full, runs are not equally long: for 33 tokens and more they stand there a
third time, those of a block row by their length.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from sparseref import NMG, SparseArray
from sparseref.layouts.patterns import pattern_places

from .joining import joined
from .library import ANY, FEW_TOKENS, MANY_TOKENS, ONE_TOKEN, RUN
from .one_token import NOTHING_LATER
from .segments import GROUP_ROWS, MOST_COLUMNS, MOST_ROWS, NOTHING, Part, Prepared, by_length, in_segments, real_of

SINGLE_COLUMNS = 160
"""Of a block of columns at n = 1 at most, unless one chunk has more: every multiplication reads x, so that much of a tile of
it has to stay in the first-level cache."""
RUN_COLUMNS = 12
"""Other n, about: of a run times n, as long runs rarely load and store their sums, and x counts the less the more rows share
it."""
MOST_FILLED = 1.5
"""Times its entries that the memory of rows abreast is at most; others stay alone."""


def prepare(a: SparseArray, transposed: bool = False, abreast: bool = True, once: bool = False) -> Prepared:
    """A valid array [..., K] in any layout -> Prepared [..., K] with its first sides in one, float32 for all types but float64.

    transposed: [..., K, N] -> Prepared [... N, K].  abreast: in fours, faster with few tokens, and joined for many; without,
    each value stands once.  once: for one product, so that an order for one token would take longer than it saves.
    """
    weight = _prepared(a, transposed, abreast)
    return weight if abreast and not once else replace(weight, later=dict(NOTHING_LATER))


def _prepared(a: SparseArray, transposed: bool, abreast: bool) -> Prepared:
    layout = a.layout
    if a.ndim == 2 and isinstance(layout, NMG) and layout.sparse_axis % 2 == int(transposed):
        return _from_patterns(a, layout, a.shape[::-1] if transposed else a.shape, abreast)
    positions = a.layout.positions(a).reshape(-1)
    stored = positions >= 0
    row, column = np.divmod(positions[stored], a.shape[-1])
    if not transposed:
        shape = (math.prod(a.shape[:-1]), a.shape[-1])
    else:
        batch, K = np.divmod(row, a.shape[-2])
        row, column = batch * a.shape[-1] + column, K
        shape = (math.prod(a.shape[:-2]) * a.shape[-1], a.shape[-2])
    return _from_entries(row, column, a.values.reshape(-1)[stored], shape, real_of(a.dtype), abreast)


def _from_entries(row: np.ndarray, column: np.ndarray, value: np.ndarray, shape: tuple[int, int], real: Any,
                  abreast: bool) -> Prepared:
    """Entries in any order, duplicates among them -> runs of one row within a block of columns."""
    group = row // GROUP_ROWS
    order = np.lexsort((column, row, column // SINGLE_COLUMNS, group))
    row, column, value = row[order] % GROUP_ROWS, column[order], value[order]
    edges = np.searchsorted(group[order], np.arange(-(-shape[0] // GROUP_ROWS) + 1))
    most = MOST_FILLED if abreast else 0
    parts = [_rows_in_fours(row[one], column[one], value[one], shape[1], most) for one in map(slice, edges[:-1], edges[1:])]
    return in_segments(shape, GROUP_ROWS, 1, 1, parts, real)


def _rows_in_fours(row: np.ndarray, column: np.ndarray, value: np.ndarray, zeros: int, most: float) -> list[Part]:
    """One group's entries, by block of columns, row and column -> four rows abreast where about as long; rows alone."""
    begins = np.diff(row // 4, prepend=-1).astype(bool) | np.diff(column // SINGLE_COLUMNS, prepend=-1).astype(bool)
    four, starts = np.cumsum(begins) - 1, np.flatnonzero(begins)                           # four rows in a block
    run = four * 4 + row % 4
    counts = np.bincount(run, minlength=4 * len(starts))
    rank = np.arange(len(row)) - (np.cumsum(counts) - counts)[run]                         # of an entry in its run
    counts = counts.reshape(-1, 4)
    size = 4 * counts.max(axis=1, initial=0)
    abreast = size <= most * counts.sum(axis=1)
    runs = np.zeros(counts.shape, RUN)
    runs["count"], runs["row"][..., 0] = counts, row[starts, None] // 4 * 4 + np.arange(4)
    end, inside = np.cumsum(size * abreast), abreast[four]
    columns, values = np.full(size[abreast].sum(), zeros), np.full(size[abreast].sum(), NOTHING, value.dtype)
    place = ((end - size)[four] + rank * 4 + row % 4)[inside]
    columns[place], values[place] = column[inside], value[inside]
    alone = runs[~abreast].reshape(-1)
    return [Part(runs[abreast].reshape(-1), columns, values, 1, 4),
            Part(alone[alone["count"] > 0], column[~inside], value[~inside], 1, 1)]


def _from_patterns(a: SparseArray, layout: NMG, shape: tuple[int, ...], abreast: bool) -> Prepared:
    """nmg, its sparse axis along the rows: values [1, RB, S, n], idx [1, RB, S] -> a run for each pattern of a block row."""
    fibres, m, n = shape[1], layout.m, layout.n
    pattern, chunk = _slots(layout, fibres)                                                # [S] each
    places = pattern_places(n, m)
    by_rows = np.lexsort(places.T[::-1])
    places, pattern = places[by_rows], np.argsort(by_rows)[pattern]
    columns = SINGLE_COLUMNS if n == 1 else min(RUN_COLUMNS * n * layout.patterns, MOST_COLUMNS)
    chunks, wanted = int(chunk.max(initial=0)) + 1, max(1, columns // (layout.patterns * layout.g))
    block = chunk * (math.ceil(chunks / wanted) if n == 1 else max(1, round(chunks / wanted))) // chunks
    column = layout.slot_chunk_start(fibres) + a["idx"][0].astype(np.int64)                # [RB, S]
    stored = column < fibres                                                               # NMG-C8: the rest is filling
    real = real_of(a.dtype)
    by_row = np.where(stored, column, fibres), np.where(stored[..., None], a.values[0].astype(real), real(NOTHING))
    column, values = _in_fours(by_row[0], fibres), _in_fours(by_row[1], NOTHING)           # [RB / 4, 4, S], [RB / 4, 4, S, n]
    each = -(-GROUP_ROWS // (4 * m))                                                       # fours of a group
    blocks = []
    for one in range(block[-1] + 1 if len(block) else 0):
        slots = np.flatnonzero(block == one)
        blocks.append(slots[np.argsort(pattern[slots], kind="stable")])

    def in_groups(in_fours: bool) -> Prepared:
        groups = [[part for slots in blocks
                   for part in _patterns_in_fours(column[first:first + each, :, slots], values[first:first + each, :, slots],
                                                  pattern[slots], places, m, fibres, in_fours)]
                  for first in range(0, len(column), each)]
        return in_segments(shape, each * 4 * m, m, min(n, MOST_ROWS), groups, real)

    if not abreast:
        return in_groups(False)
    even = layout.patterns * layout.g
    many = joined(shape, m, places, pattern, *by_row, real) or (in_groups(False) if n > 1 and fibres % even else None)
    return replace(in_groups(True), even=even, many=many)


def _patterns_in_fours(column: np.ndarray, values: np.ndarray, pattern: np.ndarray, places: np.ndarray, m: int,
                       zeros: int, in_fours: bool) -> list[Part]:
    """column [F, 4, S], values [F, 4, S, n], rising pattern [S], places [C, n] -> the runs of four block rows.

    in_fours: abreast for few tokens, with slots that any of the four stores, and alone for many; where n is 1 and all four
    store the same slots, abreast for all.  Without: alone, and those of a block row by their length.
    """
    starts = np.flatnonzero(np.diff(pattern, prepend=-1))                                  # P patterns
    slots_of = np.diff(starts, append=len(pattern))
    stored = column != zeros
    counts = np.add.reduceat(stored, starts, axis=2, dtype=np.int64)                       # [F, 4, P]
    first = (np.arange(len(column))[:, None] * 4 + np.arange(4))[:, :, None, None] * m     # of a block row, in its group
    rows = first + places[pattern[starts]]                                                 # [F, 4, P, n]
    alike = np.logical_and.reduceat((stored == stored[:, :1]).all(axis=1), starts, axis=1) # [F, P]

    def abreast(which: np.ndarray, serves: int) -> list[Part]:
        kept = stored.any(axis=1) & np.repeat(which, slots_of, axis=1)                     # [F, S]
        most = np.add.reduceat(kept, starts, axis=1, dtype=np.int64)                       # [F, P]
        used = most > 0
        return _pieces(np.repeat(most[used], 4), rows.swapaxes(1, 2)[used].reshape(-1, rows.shape[-1]),
                       column.swapaxes(1, 2)[kept], values.transpose(0, 2, 3, 1)[kept], 4, serves)

    def alone(which: np.ndarray, serves: int) -> list[Part]:
        used = which[:, None] & (counts > 0)
        kept = stored & np.repeat(which, slots_of, axis=1)[:, None]
        runs, slots = (counts[used], rows[used]), (column[kept], values[kept][..., None])
        if not in_fours:
            four, one, _ = np.nonzero(used)
            run, slot = by_length(four * 4 + one, counts[used])
            runs, slots = (runs[0][run], runs[1][run]), (slots[0][slot], slots[1][slot])
        return _pieces(*runs, *slots, 1, serves)

    if not in_fours:
        return alone(np.ones_like(alike), ANY)
    always = alike & (rows.shape[-1] == 1)
    both = zip(abreast(~always, ONE_TOKEN | FEW_TOKENS), alone(~always, MANY_TOKENS), strict=True)      # piece of n by piece,
    return [*abreast(always, ANY), *(part for two in both for part in two)]                             # for few as for many


def _pieces(counts: np.ndarray, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, abreast: int,
            serves: int) -> list[Part]:
    """counts [runs], rows [runs, n], columns [kept, abreast], values [kept, n, abreast] -> a part for each piece of n."""
    parts = []
    for begin in range(0, rows.shape[1], MOST_ROWS):
        piece = rows[:, begin:begin + MOST_ROWS]
        runs = np.zeros(len(counts), RUN)
        runs["count"], runs["row"][:, :piece.shape[1]] = counts, piece
        some = values[:, begin:begin + MOST_ROWS].reshape(-1)
        parts.append(Part(runs, columns.reshape(-1), some, piece.shape[1], abreast, serves))
    return parts


def _in_fours(array: np.ndarray, to: float) -> np.ndarray:
    """[RB, ...] -> [ceil(RB / 4), 4, ...], filled up."""
    filled = np.full((-len(array) % 4, *array.shape[1:]), to, array.dtype)
    return np.concatenate([array, filled]).reshape((len(array) + 3) // 4, 4, *array.shape[1:])


def _slots(layout: NMG, fibres: int) -> tuple[np.ndarray, np.ndarray]:
    """-> the pattern and the chunk of every slot, int64 [S] (NMG-C4)."""
    chunks = list(layout.chunks(fibres))
    pattern = [np.repeat(np.arange(chunk.patterns), chunk.g) for chunk in chunks]
    chunk_of = [np.full(chunk.g * chunk.patterns, number) for number, chunk in enumerate(chunks)]
    return tuple(np.concatenate([np.zeros(0, np.int64), *parts]) for parts in (pattern, chunk_of))  # type: ignore[return-value]
